# SPDX-License-Identifier: Apache-2.0
"""Disparities to a small part of a pixel.

StereoSGBM fits a parabola to costs that are none, which draws disparities to whole pixels: a third of them end there, and the
rest is 0.1 to 0.2 px off. One step of Lucas and Kanade, from the grey values themselves, takes that away.
"""

from __future__ import annotations

import cv2
import numpy as np

_WINDOW = (7, 7)
# What the product of two gradients is in noise and rounding, so that nothing moves where there is no texture.
_NOISE = 2.0
_MAX_STEP_PX = 0.5  # as far as it can be wrong; a larger step follows something else
_MIN_DISPARITY_PX = 1 / 16


def refine(disparity: np.ndarray, left: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Move each disparity to where the surroundings of the pixel look most alike.

    Args:
        disparity: (h, w) float32, right to about half a pixel.
        left: (h, w) uint8.
        seen: (h, w) uint8, the right image where these disparities see it.

    Returns:
        (h, w) float32; still positive, and still inside the right image.
    """
    here = left.astype(np.float32)
    difference = seen - here
    gradient = cv2.Sobel(here, cv2.CV_32F, 1, 0, ksize=1, scale=0.5)
    mean_gradient = cv2.blur(gradient, _WINDOW)
    covariance = cv2.blur(gradient * difference, _WINDOW) - mean_gradient * cv2.blur(difference, _WINDOW)
    variance = cv2.blur(gradient * gradient, _WINDOW) - mean_gradient * mean_gradient
    step = covariance / (variance + _NOISE)  # brightness that differs by a constant leaves it alone
    step *= np.abs(step) <= _MAX_STEP_PX
    columns = np.maximum(np.arange(disparity.shape[1], dtype=np.float32), _MIN_DISPARITY_PX)
    return np.minimum(np.maximum(disparity + step, _MIN_DISPARITY_PX), columns)
