# SPDX-License-Identifier: Apache-2.0
"""Which points of the left image the right camera sees, as far as true disparities tell."""

from __future__ import annotations

import numpy as np


def lands_inside(disparity_px: np.ndarray) -> np.ndarray:
    """(H, W) bool: the point is between the outermost pixel centres of the right image."""
    width = disparity_px.shape[1]
    x_right = np.arange(width) - disparity_px
    with np.errstate(invalid="ignore"):
        return (x_right >= 0) & (x_right <= width - 1)


def left_right_check(truth_px: np.ndarray, right_truth_px: np.ndarray, tolerance_px: float = 1.0) -> np.ndarray:
    """Which pixels both cameras see, from the true disparities of both images.

    Args:
        truth_px: (H, W) of the left image, NaN where unknown.
        right_truth_px: (H, W) of the right image, x_left - x_right of **its** pixels, NaN where unknown.
        tolerance_px: how far the two may be apart.

    Returns:
        (H, W) bool; false where the left truth is unknown, leads out of the right image, or to a pixel without truth or of
        another disparity.
    """
    x_right = np.arange(truth_px.shape[1]) - truth_px
    inside = lands_inside(truth_px)
    column = np.where(inside, np.rint(x_right), 0).astype(np.intp)
    return inside & (np.abs(np.take_along_axis(right_truth_px, column, axis=1) - truth_px) <= tolerance_px)
