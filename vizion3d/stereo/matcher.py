# SPDX-License-Identifier: Apache-2.0
"""What a stereo matcher is to the rest: two images in, disparity with its certainty out, all at one size."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch


class Matches(NamedTuple):
    """What a matcher found for each pixel of the left image it was given."""

    disparity: torch.Tensor
    """(1, 1, h, w) float32, x_left - x_right in pixels of the matched images; NaN where nothing was found."""
    confidence: torch.Tensor
    """(1, 1, h, w) float32 in 0..1, how sure the disparity is."""
    visibility: torch.Tensor
    """(1, 1, h, w) float32 in 0..1, near 1 where the point is seen in the right image as well, near 0 where it is hidden."""
    max_disparity: float | None
    """Largest disparity that was searched, in pixels of the matched images; None if there is no limit but the image."""
    step: float
    """Smallest increment of the disparity."""


class StereoMatcher(Protocol):
    """A way to match two rectified images."""

    name: str
    """As the user chose it."""
    device: torch.device
    """Where it computes; images are brought there and everything after it stays there."""
    max_size: tuple[int, int] | None
    """(width, height) to which larger images are reduced by default; None matches at any size."""
    multiple: int
    """Resized images have sides that are multiples of this."""
    min_side: int
    """Smallest width and height it can match."""

    def match(self, left: torch.Tensor, right: torch.Tensor) -> Matches:
        """Match (1, 3, h, w) float images, RGB, 0..255, on `device`."""
        ...
