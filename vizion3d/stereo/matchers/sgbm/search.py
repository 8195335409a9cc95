# SPDX-License-Identifier: Apache-2.0
"""StereoSGBM, answered from the first column on, of the left image and of the right one."""

from __future__ import annotations

import math

import cv2
import numpy as np

STEPS_A_PIXEL = 16
"""OpenCV gives disparities in sixteenths of a pixel."""

Places = tuple[np.ndarray, np.ndarray]
"""x and y of points in an image, (h, w) float32, as `cv2.remap` takes them."""

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
        (h, w) int16, disparity of the left image in steps, not positive where there is none or it points outside the right
        image; and how far was searched.
    """
    reached = 16 * max(1, math.ceil(max_disparity / 16))  # OpenCV demands multiples of 16
    matcher = open_matcher(reached)
    bordered = (cv2.copyMakeBorder(image, 0, 0, reached, 0, cv2.BORDER_REPLICATE) for image in (left, right))
    steps = matcher.compute(*bordered)[:, reached:]
    inside = steps <= STEPS_A_PIXEL * np.arange(steps.shape[1], dtype=np.int32)
    return np.multiply(steps, inside, dtype=np.int16), float(reached)


def open_matcher(disparities: int) -> cv2.StereoSGBM:
    """OpenCV's matcher for so many disparities from 0 on."""
    return cv2.StereoSGBM.create(
        minDisparity=0,
        numDisparities=disparities,
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


def search_right(left: np.ndarray, right: np.ndarray, max_disparity: float) -> np.ndarray:
    """Like `search`, of the right image. The mirrored pair, exchanged, is again a left and a right image."""
    steps, _ = search(cv2.flip(right, 1), cv2.flip(left, 1), max_disparity)
    return cv2.flip(steps, 1)


def places(disparity_px: np.ndarray) -> Places:
    """Where the right image sees each pixel."""
    height, width = disparity_px.shape
    x = np.arange(width, dtype=np.float32) - disparity_px
    return x, np.repeat(np.arange(height, dtype=np.float32)[:, None], width, axis=1)
