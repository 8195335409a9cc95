# SPDX-License-Identifier: Apache-2.0
"""Depth Anything 3 as a model among others: metres from the focal length, and no depth in the sky."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from vizion3d import runtime
from vizion3d.camera import PinholeCamera
from vizion3d.errors import InputError
from vizion3d.lifting.models import DepthKind, MonoMap
from vizion3d.lifting.models.depth_anything_3.checkpoint import is_metric, load_depth_anything_3
from vizion3d.lifting.models.depth_anything_3.picture import (
    CANONICAL_FOCAL_PX,
    LONG_SIDE,
    SKY_FROM,
    network_focal_px,
    network_size,
    prepare_image,
    resize_maps,
)
from vizion3d.options import MonoOptions
from vizion3d.runtime import LoadedNetwork
from vizion3d.weights import LocatedWeights

_LOG = logging.getLogger(__name__)


class DepthAnything3Model:
    """Depth Anything 3.

    Args:
        network: the network.
        name: the file of its weights.
        metric: whether they are METRIC's, not MONO's.
    """

    def __init__(self, network: LoadedNetwork, name: str, *, metric: bool) -> None:
        self.name = name
        self.device = network.device
        self.kind = DepthKind.METRES if metric else DepthKind.RELATIVE
        self.needs_camera = metric
        self._network = network

    def describe(self) -> str:
        """See `MonoModel.describe`."""
        scale = "metres by the focal length" if self.needs_camera else f"{self.kind.value}, NOT metres"
        return f"{Path(self.name).name} on {self._network.describe()}, {scale}"

    def predict(self, rgb: torch.Tensor, camera: PinholeCamera | None) -> MonoMap:
        """See `MonoModel.predict`.

        Raises:
            InputError: the picture is too long and thin.
        """
        height, width = rgb.shape[:2]
        maps = self._network(prepare_image(rgb).to(self._network.dtype))
        (depth,), (sky,) = resize_maps(maps, (height, width))
        if self.needs_camera:
            assert camera is not None
            depth = depth * (network_focal_px(camera, network_size(height, width)) / CANONICAL_FOCAL_PX)
        return MonoMap(depth, self.kind, sky < SKY_FROM)


def load(located: LocatedWeights, options: MonoOptions, max_depth_m: float | None) -> DepthAnything3Model:
    """The model with the weights in a file; see `open_model`.

    Raises:
        InputError: there is a `max_depth_m`.
    """
    if max_depth_m is not None:
        raise InputError(f"max_depth_m={max_depth_m:g} is for metric weights of Depth Anything V2; Depth Anything 3 takes none")
    if options.input_size != MonoOptions.input_size:
        _LOG.warning("input_size is of Depth Anything V2: the longer side of the image in Depth Anything 3 is %d px", LONG_SIDE)
    metric = is_metric(located)
    network = load_depth_anything_3(located.path)
    name = str(located.path)
    loaded = runtime.load(network, options.device, options.precision, options.engine, name)
    return DepthAnything3Model(loaded, name, metric=metric)
