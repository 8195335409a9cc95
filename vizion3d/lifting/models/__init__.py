# SPDX-License-Identifier: Apache-2.0
"""What a network for one picture is to the rest, and how one is opened by name.

A network is a folder with ``load(located, options, max_depth_m)``, named in its row of `vizion3d.weights.ARCHITECTURES`. What
belongs to it alone, as its resizing and normalising, stays in there.
"""

from __future__ import annotations

import importlib
import os
from enum import Enum
from typing import NamedTuple, Protocol

import torch

from vizion3d import runtime, weights
from vizion3d.camera import PinholeCamera
from vizion3d.options import MonoOptions


class DepthKind(Enum):
    """What the numbers of a map mean."""

    INVERSE = "relative inverse depth"
    """Larger is nearer; scale and shift are unknown and differ from picture to picture."""
    RELATIVE = "relative depth"
    """Larger is farther; scale and shift are unknown and differ from picture to picture."""
    METRES = "metres"
    """Depth along the optical axis."""


class MonoMap(NamedTuple):
    """What a network says of each pixel of a picture."""

    values: torch.Tensor
    """(H, W) float32."""
    kind: DepthKind
    """What they mean."""
    mask: torch.Tensor | None
    """(H, W) bool, False where there is nothing to measure, such as sky; None if the network does not say."""


class MonoModel(Protocol):
    """A way to see depth in one picture."""

    name: str
    """The file of its weights."""
    device: torch.device
    """Where it computes; pictures are brought there and everything after it stays there."""
    kind: DepthKind
    """What its maps will mean."""
    needs_camera: bool
    """Whether `predict` cannot do without a camera."""

    def predict(self, rgb: torch.Tensor, camera: PinholeCamera | None) -> MonoMap:
        """See the depth of a picture.

        Args:
            rgb: (H, W, 3) uint8 on `device`.
            camera: of the picture, None if it is not known.
        """
        ...

    def describe(self) -> str:
        """Weights, device, precision and scale in one line."""
        ...


def open_model(model: str | os.PathLike[str], options: MonoOptions, max_depth_m: float | None = None) -> MonoModel:
    """The network with these weights.

    Args:
        model: a registry name, a path or an address.
        options: device, precision and the like.
        max_depth_m: range in metres of metric weights that are not in the registry; None takes the registry's, if any.

    Raises:
        InputError: there is no such device or precision, or a number is out of range.
        WeightsError: the weights cannot be had, or are not those of a network for one picture.
    """
    runtime.check(options.device, options.precision, options.engine)
    located = weights.locate(model, "mono")
    folder = weights.ARCHITECTURES[located.architecture].folder
    network = importlib.import_module(f"{__name__}.{folder}").load(located, options, max_depth_m)
    weights.record_first_use(located)
    return network
