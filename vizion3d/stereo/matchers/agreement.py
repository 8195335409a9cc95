# SPDX-License-Identifier: Apache-2.0
"""Whether what was found from the left image and what was found from the right one are the same surface."""

from __future__ import annotations

import torch
from torch import Tensor

TOLERANCE_PX = 2
"""Disparities found from the two sides that differ by more belong to different surfaces."""


def visibility(disparity: Tensor, right_disparity: Tensor | None = None) -> Tensor:
    """How surely the right camera sees the point of each left pixel, 0..1.

    Args:
        disparity: of the left image, (..., h, w) pixels.
        right_disparity: of the right image, positive as well; None asks only whether the match is in the right image.

    Returns:
        Same shape; 1 where both sides agree, 1/2 where they differ by TOLERANCE_PX, 0 from twice that and outside.
    """
    x_right = torch.arange(disparity.shape[-1], device=disparity.device) - disparity
    inside = (x_right >= 0).to(disparity.dtype)
    if right_disparity is None:
        return inside
    difference = (disparity - sample_columns(right_disparity, x_right)).abs()
    return inside * (1 - difference / (2 * TOLERANCE_PX)).clamp(0, 1)


def sample_columns(maps: Tensor, x: Tensor) -> Tensor:
    """Linear interpolation of each row of `maps` at the columns `x`, both (..., h, w); beyond its ends a row continues."""
    last = maps.shape[-1] - 1
    x = x.clamp(0, last)
    before = x.floor().long()
    after = (before + 1).clamp(max=last)
    return torch.lerp(maps.gather(-1, before), maps.gather(-1, after), x - before)
