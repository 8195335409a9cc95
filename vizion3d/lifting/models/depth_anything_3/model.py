# SPDX-License-Identifier: Apache-2.0
"""Depth Anything 3 for single pictures: what it has beyond version 2.

Attribute names are those of the published weight files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch.nn.functional as F
from torch import Tensor, nn

from vizion3d.lifting.models.depth_anything import CONFIGS as V2_CONFIGS
from vizion3d.lifting.models.depth_anything.backbone import Backbone
from vizion3d.lifting.models.depth_anything.config import DepthAnythingConfig
from vizion3d.lifting.models.depth_anything.head import DepthHead

CONFIGS = {
    "large": replace(V2_CONFIGS["vitl"], final_norm_eps=1e-5, sky=True, unused_tensors=False),
    # Nobody has trained it: for golden vectors, and for tests of everything around a network.
    "tiny": DepthAnythingConfig(
        64, 4, 2, (0, 1, 2, 3), 32, (24, 32, 48, 64), final_norm_eps=1e-5, sky=True, unused_tensors=False
    ),
}
"""METRIC and MONO share one."""


class DepthAnything3(nn.Module):
    """Depth and sky from one picture.

    Args:
        config: the widths and depths, one of `CONFIGS`.
    """

    def __init__(self, config: DepthAnythingConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = nn.ModuleDict({"pretrained": Backbone(config)})
        self.head = _Float32Head(config)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """See.

        Args:
            x: (B, 3, h, w) from `prepare_image`, in the dtype of the encoder's weights.

        Returns:
            Depth (B, h, w) > 0 and sky (B, h, w) >= 0, float32. Depth has no unit and larger is farther; METRIC's is that of a
            camera with a focal length of 300 px. Sky is about 0 on things and about 1 in the sky.

        Raises:
            InputError: h or w is not a multiple of 14.
        """
        maps = [feature.float() for feature in self.backbone["pretrained"](x)]
        value, sky = self.head(maps).unbind(1)
        return value.exp(), F.relu(sky)


class _Float32Head(DepthHead):
    """Stays in float32 when the network is converted: exp makes an error of its value a part of the depth."""

    def _apply(self, convert: Callable[[Tensor], Tensor], recurse: bool = True) -> _Float32Head:
        return super()._apply(lambda tensor: tensor.to(convert(tensor).device), recurse)
