# SPDX-License-Identifier: Apache-2.0
"""StereoSGBM, answered from the first column on, of the left image and of the right one."""

from __future__ import annotations

import math

import cv2
import numpy as np

SUBPIXEL_STEPS = 16
"""OpenCV gives disparities in sixteenths of a pixel."""

# Found on the shared pairs: small blocks and a low cap of the prefilter have a third fewer wrong answers than blocks of 5 and
# a cap of 63, at equal density. OpenCV's own filters stay at their usual values.
_BLOCK_SIZE = 3
_P1, _P2 = 8 * _BLOCK_SIZE**2, 32 * _BLOCK_SIZE**2
_PREFILTER_CAP = 15


def search(left: np.ndarray, right: np.ndarray, max_disparity: float) -> tuple[np.ndarray, float]:
    """Match two grey images.

    Both get a border on the side where matches run out of the picture, so that the first columns, which StereoSGBM leaves
    empty, are answered too.

    Args:
        left, right: (h, w) uint8.
        max_disparity: how far to search at least, in pixels.

    Returns:
        (h, w) float32 disparity of the left image, NaN where there is none or it points outside the right image; and how far
        was searched.
    """
    reached = 16 * max(1, math.ceil(max_disparity / 16))  # OpenCV demands multiples of 16
    matcher = cv2.StereoSGBM.create(
        minDisparity=0,
        numDisparities=reached,
        blockSize=_BLOCK_SIZE,
        P1=_P1,
        P2=_P2,
        disp12MaxDiff=1,
        preFilterCap=_PREFILTER_CAP,
        uniquenessRatio=10,
        speckleWindowSize=100,
        speckleRange=2,
        mode=cv2.STEREO_SGBM_MODE_SGBM_3WAY,
    )
    bordered = (cv2.copyMakeBorder(image, 0, 0, reached, 0, cv2.BORDER_REPLICATE) for image in (left, right))
    steps = matcher.compute(*bordered)[:, reached:]
    limit = SUBPIXEL_STEPS * np.arange(steps.shape[1], dtype=np.int16)
    disparity = np.where((steps > 0) & (steps <= limit), steps, np.float32(np.nan))
    disparity /= SUBPIXEL_STEPS
    return disparity, float(reached)


def search_right(left: np.ndarray, right: np.ndarray, max_disparity: float) -> np.ndarray:
    """Like `search`, of the right image. The mirrored pair, exchanged, is again a left and a right image."""
    disparity, _ = search(cv2.flip(right, 1), cv2.flip(left, 1), max_disparity)
    return cv2.flip(disparity, 1)
