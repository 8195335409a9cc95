# SPDX-License-Identifier: Apache-2.0
"""Bring any rectified pair to disparities >= 0, which is all that matchers look for, and undo it exactly.

A point at infinity has the disparity -doffs, so where the principal points of a pair differ, everything beyond some distance
has a negative disparity, or nothing has one near 0. Moving the right image by whole pixels mends both without touching a grey
value; both images are widened, so that no column is lost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

# A measured doffs of a few thousandths of a pixel is 0; disparities that are negative by so little belong to no near point.
_TOLERANCE_PX = 0.01


@dataclass(frozen=True)
class Widening:
    """A whole-pixel shift of the right image against the left one.

    Attributes:
        shift_px: what it adds to every disparity; 0 changes nothing.
    """

    shift_px: int

    @classmethod
    def for_doffs(cls, doffs_px: float, width: int) -> Widening:
        """The smallest shift after which no point in front of the cameras has a negative disparity.

        It is never larger than the images are wide, since what differs by more is not in both of them.
        """
        return cls(max(-width, min(width, math.ceil(doffs_px - _TOLERANCE_PX))))

    def apply(self, left: torch.Tensor, right: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Two (B, C, h, w) images, each with its outermost column repeated on one side -> (B, C, h, w + abs(shift_px))."""
        shift = self.shift_px
        return _repeat_edge(left, shift), _repeat_edge(right, -shift)

    def undo(self, maps: torch.Tensor) -> torch.Tensor:
        """A map of the widened left image, (B, C, h, w + abs(shift_px)) -> (B, C, h, w)."""
        return maps[..., self.shift_px :] if self.shift_px >= 0 else maps[..., : self.shift_px]

    def undo_disparity(self, disparity: torch.Tensor) -> torch.Tensor:
        """Like `undo`, with the shift taken off the disparities."""
        return self.undo(disparity) - self.shift_px


def _repeat_edge(image: torch.Tensor, columns: int) -> torch.Tensor:
    """Repeat the first column to the left, or the last one to the right if columns is negative."""
    if not columns:
        return image
    edge = image[..., :1] if columns > 0 else image[..., -1:]
    edge = edge.expand(*edge.shape[:-1], abs(columns))
    return torch.cat((edge, image) if columns > 0 else (image, edge), dim=-1)
