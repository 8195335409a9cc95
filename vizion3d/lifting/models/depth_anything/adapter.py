# SPDX-License-Identifier: Apache-2.0
"""Depth Anything as a model among others: weights, size of the picture in the network, meaning of the output."""

from __future__ import annotations

from pathlib import Path

import torch

from vizion3d import runtime
from vizion3d.camera import PinholeCamera
from vizion3d.lifting.models import DepthKind, MonoMap
from vizion3d.lifting.models.depth_anything.checkpoint import load_depth_anything
from vizion3d.lifting.models.depth_anything.preprocess import network_size, prepare_image, resize_depth
from vizion3d.options import MonoOptions
from vizion3d.runtime import LoadedNetwork
from vizion3d.weights import LocatedWeights


class DepthAnythingModel:
    """Depth Anything V2.

    Args:
        network: the network.
        path: of its weights.
        input_size: shorter side of the picture in the network, pixels.
        max_depth_m: range of a metric network, None for a relative one.
    """

    def __init__(self, network: LoadedNetwork, path: Path, input_size: int, max_depth_m: float | None) -> None:
        self.name = str(path)
        self.device = network.device
        self.kind = DepthKind.INVERSE if max_depth_m is None else DepthKind.METRES
        self.needs_camera = False
        self.max_depth_m = max_depth_m
        self._network = network
        self._input_size = input_size

    def describe(self) -> str:
        """See `MonoModel.describe`."""
        scale = f"{self.kind.value}, NOT metres" if self.max_depth_m is None else f"metric up to {self.max_depth_m:g} m"
        return f"{Path(self.name).name} on {self._network.describe()}, {scale}"

    def predict(self, rgb: torch.Tensor, camera: PinholeCamera | None) -> MonoMap:
        """See `MonoModel.predict`; the camera makes no difference.

        Raises:
            InputError: the picture is too long and thin.
        """
        height, width = rgb.shape[:2]
        size = network_size(height, width, self._input_size)
        output = self._network(prepare_image(rgb, size).to(self._network.dtype))
        return MonoMap(resize_depth(output, (height, width))[0], self.kind, None)


def load(located: LocatedWeights, options: MonoOptions, max_depth_m: float | None) -> DepthAnythingModel:
    """The model with the weights in a file; see `open_model`."""
    if max_depth_m is None and located.record is not None:
        max_depth_m = located.record.max_depth_m
    network = load_depth_anything(located.path, max_depth_m)
    loaded = runtime.load(network, options.device, options.precision, options.engine, str(located.path))
    return DepthAnythingModel(loaded, located.path, options.input_size, max_depth_m)
