# SPDX-License-Identifier: Apache-2.0
"""A third network for one picture, as it would lie in `vizion3d.lifting.models`: brightness is distance, black is sky."""

from __future__ import annotations

import torch
from torch import nn

from vizion3d import runtime
from vizion3d.camera import PinholeCamera
from vizion3d.lifting.models import DepthKind, MonoMap
from vizion3d.options import MonoOptions
from vizion3d.runtime import LoadedNetwork
from vizion3d.weights import LocatedWeights, read_state_dict


class ToyModel:
    """Metres from brightness and the focal length."""

    kind = DepthKind.METRES
    needs_camera = True

    def __init__(self, network: LoadedNetwork, name: str) -> None:
        self.name = name
        self.device = network.device
        self._network = network

    def describe(self) -> str:
        return f"toy on {self._network.describe()}"

    def predict(self, rgb: torch.Tensor, camera: PinholeCamera | None) -> MonoMap:
        assert camera is not None
        brightness = self._network(rgb.float().mean(dim=-1, keepdim=True))[..., 0]
        return MonoMap(brightness * camera.fx, self.kind, brightness > 0)


def load(located: LocatedWeights, options: MonoOptions, max_depth_m: float | None) -> ToyModel:
    network = nn.Linear(1, 1, bias=False)
    network.load_state_dict({"weight": read_state_dict(located.path)["toy_mono.scale"]})
    return ToyModel(runtime.load(network, options.device, options.precision), str(located.path))
