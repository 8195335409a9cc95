# SPDX-License-Identifier: Apache-2.0
"""Depth Anything V2: encoder, decoder and the last activation."""

import math

import torch.nn.functional as F
from torch import Tensor, nn

from vizion3d.errors import InputError
from vizion3d.lifting.models.depth_anything.backbone import Backbone
from vizion3d.lifting.models.depth_anything.config import DepthAnythingConfig
from vizion3d.lifting.models.depth_anything.head import DepthHead


class DepthAnythingV2(nn.Module):
    """Depth from one picture.

    Args:
        config: the widths and depths, one of `CONFIGS` for the published weights.
        max_depth_m: None for a relative network. A metric network was trained up to this depth (20 for the Hypersim
            weights, 80 for the Virtual KITTI ones); another value scales every depth.

    Raises:
        InputError: `max_depth_m` is not a positive number.
    """

    def __init__(self, config: DepthAnythingConfig, max_depth_m: float | None = None) -> None:
        super().__init__()
        if max_depth_m is not None and not (math.isfinite(max_depth_m) and max_depth_m > 0):
            raise InputError(
                f"max_depth_m is {max_depth_m}; it must be a positive number of metres "
                "(20 for Hypersim weights, 80 for Virtual KITTI weights), or None for a relative network"
            )
        self.config = config
        self.max_depth_m = max_depth_m
        self.pretrained = Backbone(config)
        self.depth_head = DepthHead(config)

    def forward(self, x: Tensor) -> Tensor:
        """Estimate depth.

        Args:
            x: (B, 3, h, w) from `prepare_image`, in the dtype of the weights; h and w are multiples of 14.

        Returns:
            (B, h, w) float32. Relative network: inverse depth >= 0 without unit, nearer is larger, scale and shift
            differ from picture to picture. Metric network: depth along the optical axis in metres.

        Raises:
            InputError: h or w is not a multiple of 14.
        """
        value = self.depth_head(self.pretrained(x)).squeeze(1).float()
        if self.max_depth_m is None:
            return F.relu(value)
        return self.max_depth_m * value.sigmoid()
