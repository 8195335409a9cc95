# SPDX-License-Identifier: Apache-2.0
"""Reading the cost volume around the current disparity."""

import torch
from torch import Tensor
from torch.nn import functional as F

_REACH = 4


def cost_levels(cost: Tensor) -> tuple[Tensor, Tensor]:
    """The cost volume (B, h, w, w) and a copy with right columns averaged in pairs, (B, h, w, w/2)."""
    return cost, F.avg_pool2d(cost, (1, 2))


def costs_near(levels: tuple[Tensor, Tensor], disparity: Tensor) -> tuple[Tensor, Tensor]:
    """Costs of the nine right columns around the match that `disparity` (B, 1, h, w) names, on both levels.

    Returns:
        Two maps (B, 9, h, w) float32; the second covers twice the distance.
    """
    fine, coarse = levels
    match = torch.arange(fine.shape[-2], device=fine.device) - disparity.squeeze(1)
    return sample_nine(fine, match), sample_nine(coarse, match / 2)


def sample_nine(rows: Tensor, centre: Tensor) -> Tensor:
    """Linear interpolation at `centre - 4 .. centre + 4` along the last axis, with zeros beyond both ends.

    The nine positions have one fraction in common, so ten neighbouring samples serve them all.

    Args:
        rows: (B, h, w, n) float32.
        centre: (B, h, w) float32, sample j lies at position j.

    Returns:
        (B, 9, h, w).
    """
    length = rows.shape[-1]
    base = centre.floor()
    index = base.long().unsqueeze(-1) + torch.arange(-_REACH, _REACH + 2, device=rows.device)
    inside = (index >= 0) & (index < length)
    samples = rows.gather(-1, index.clamp(0, length - 1)) * inside
    fraction = (centre - base).unsqueeze(-1)
    return torch.lerp(samples[..., :-1], samples[..., 1:], fraction).permute(0, 3, 1, 2)
