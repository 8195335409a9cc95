# SPDX-License-Identifier: Apache-2.0
"""From what a user calls a model to its file and the network that the file belongs to."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vizion3d.weights import architectures, integrity
from vizion3d.weights.address import without_secrets
from vizion3d.weights.checkpoint import read_state_dict
from vizion3d.weights.registry import WeightsRecord, match, names, published
from vizion3d.weights.store import is_cached, resolve

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

    @property
    def sha256(self) -> str:
        """Digest of the file in hex; the recorded one where the file is as it was then."""
        seal = integrity.read_seal(self.path) if is_cached(self.path) else None
        return seal.sha256 if seal and seal.untouched(self.path) else integrity.digest_of(self.path)


def file_of(model: str | os.PathLike[str], task: architectures.Task, without_weights: Sequence[str] = ()) -> Path:
    """The file of the weights that a model's name, path or address stands for, fetched if need be.

    Args:
        model: name, path or address.
        task: what they are for.
        without_weights: other models for it, to be named with the weights that there are.

    Raises:
        WeightsError: the weights cannot be had; or are known to be of another task, before anything is fetched.
    """
    record = published(model)
    if record is not None and record.task != task:
        raise architectures.refusal(without_secrets(os.fspath(model)), record.architecture, architectures.of_task(task))
    return resolve(model, known=[*without_weights, *names(task)])


def task_of(model: str | os.PathLike[str]) -> architectures.Task:
    """What weights are for, by their name or address; of any other file by its tensors. It is fetched if need be.

    Raises:
        WeightsError: the weights cannot be had, or belong to no network.
    """
    if record := published(model):
        return record.task
    path = resolve(model)
    known = architectures.ARCHITECTURES
    return known[architectures.require(known, read_state_dict(path, mapped=True), path)].task


def locate(model: str | os.PathLike[str], task: architectures.Task, without_weights: Sequence[str] = ()) -> LocatedWeights:
    """As `find_weights`; their licence is logged."""
    located = find_weights(model, task, without_weights)
    if (record := located.record) is not None:
        level = logging.INFO if record.commercial_use == "yes" else logging.WARNING
        _LOG.log(level, "loading %s: these weights are licensed %s", record.name, record.terms)
    return located


def find_weights(
    model: str | os.PathLike[str], task: architectures.Task, without_weights: Sequence[str] = ()
) -> LocatedWeights:
    """The weights that a model's name, path or address stands for, fetched if need be.

    Published weights are known by their name or address. Any other file is told by its tensors, whatever it is called.

    Args: as of `file_of`.

    Raises:
        WeightsError: the weights cannot be had, or belong to no network for this task.
    """
    path, record = file_of(model, task, without_weights), published(model)
    if record is not None:
        architecture = record.architecture
    else:
        architecture = architectures.require(architectures.of_task(task), read_state_dict(path, mapped=True), path)
        record = match(model)
        if record is not None and record.architecture != architecture:
            record = None  # it only has the name of a published file
    return LocatedWeights(path, architecture, record)


def record_first_use(located: LocatedWeights) -> None:
    """Note the digest of cached weights that have loaded, to be compared ever after; a user's own file is left alone."""
    if is_cached(located.path):
        integrity.record(located.path)
