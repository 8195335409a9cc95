# SPDX-License-Identifier: Apache-2.0
"""The way from image size to the size a matcher works at, and back, in one object that keeps the exact factors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from vizion3d.errors import InputError

_MAX_SCALE_FACTOR = 8


@dataclass(frozen=True)
class ResizePlan:
    """Resize from (height, width) to (work_height, work_width), and undo it.

    Both axes are scaled by the same factor but for the rounding to whole pixels. Disparities are divided by the true
    horizontal factor, `sx`, never by the one that was asked for. Matchers that need multiples of something pad themselves.
    """

    height: int
    width: int
    work_height: int
    work_width: int

    @classmethod
    def fit(
        cls,
        height: int,
        width: int,
        *,
        scale_factor: float | None = None,
        max_width: int | None = None,
        max_height: int | None = None,
    ) -> ResizePlan:
        """Plan for a wanted scale, or for one that fits (max_width, max_height) without ever enlarging.

        Raises:
            InputError: scale_factor is not a positive number, or nothing would be left of the image.
        """
        if scale_factor is None:
            scale_factor = min(1.0, (max_width or width) / width, (max_height or height) / height)
        elif not 0 < scale_factor <= _MAX_SCALE_FACTOR:
            raise InputError(
                f"scale_factor is {scale_factor}; it must be a positive number (1 = full size), at most {_MAX_SCALE_FACTOR}"
            )
        work_height, work_width = (round(side * scale_factor) for side in (height, width))
        if not (work_height and work_width):
            raise InputError(
                f"a {width}x{height} image scaled by {scale_factor:.4g} is smaller than 1 pixel; "
                "use a larger image or scale_factor"
            )
        return cls(height, width, work_height, work_width)

    @property
    def sx(self) -> float:
        """Exact horizontal factor, work pixels per image pixel."""
        return self.work_width / self.width

    @property
    def is_identity(self) -> bool:
        """Whether nothing is to be done."""
        return (self.height, self.width) == (self.work_height, self.work_width)

    def apply(self, images: torch.Tensor) -> torch.Tensor:
        """(B, C, height, width) float -> (B, C, work_height, work_width); bilinear, half-pixel centres."""
        return self._interpolate(images, (self.work_height, self.work_width))

    def undo(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, C, work_height, work_width) -> (B, C, height, width), values unchanged."""
        return self._interpolate(maps, (self.height, self.width))

    def undo_disparity(self, disparity: torch.Tensor) -> torch.Tensor:
        """Like `undo`, with disparities in work pixels turned into image pixels."""
        return self.undo(disparity) / self.sx

    def _interpolate(self, maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        if maps.shape[-2:] == size:
            return maps
        return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)
