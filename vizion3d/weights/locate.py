# SPDX-License-Identifier: Apache-2.0
"""From what a user calls a model to its file and the network that the file belongs to."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vizion3d.weights import architectures
from vizion3d.weights.checkpoint import read_state_dict
from vizion3d.weights.registry import WeightsRecord, match, names
from vizion3d.weights.store import resolve

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class LocatedWeights:
    """A weights file on this disk.

    Attributes:
        path: the file.
        architecture: the network that it belongs to, a name from `ARCHITECTURES`.
        record: what the registry knows about it, None if it is not in there.
    """

    path: Path
    architecture: str
    record: WeightsRecord | None


def locate(model: str | os.PathLike[str], task: architectures.Task, without_weights: Sequence[str] = ()) -> LocatedWeights:
    """The weights that a model's name, path or address stands for, fetched if need be; their licence is logged.

    Published weights are known by their name or address. Any other file is told by its tensors, whatever it is called.

    Args:
        model: name, path or address.
        task: what they are for.
        without_weights: other models for it, to be named with the weights that there are.

    Raises:
        WeightsError: the weights cannot be had, or belong to no network for this task.
    """
    record, wanted = match(model), architectures.of_task(task)
    if record is not None and os.fspath(model) in (record.name, record.url):
        if record.architecture not in wanted:
            raise architectures.refusal(model, record.architecture, wanted)
        path, architecture = resolve(model), record.architecture
    else:
        path = resolve(model, known=[*without_weights, *names(task)])
        architecture = architectures.require(wanted, read_state_dict(path, mapped=True), path)
        if record is not None and record.architecture != architecture:
            record = None  # it only has the name of a published file
    if record is not None:
        level = logging.INFO if record.commercial_use == "yes" else logging.WARNING
        _LOG.log(level, "loading %s: these weights are licensed %s", record.name, record.terms)
    return LocatedWeights(path, architecture, record)
