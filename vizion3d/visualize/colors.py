# SPDX-License-Identifier: Apache-2.0
"""Depth and disparity as colours: near is warm and far is blue in both, and each has a map of its own."""

from __future__ import annotations

from enum import Enum
from functools import lru_cache

import cv2
import numpy as np

from vizion3d.errors import InputError

INVALID_RGB = (56, 56, 56)
# Percent of the values left out at either end when the range is chosen: a few outliers would use up all the colours.
_OUTLIERS_PERCENT = 1.0


class ColorMap(Enum):
    """The map of OpenCV, and which of its 256 colours are the farthest and the nearest."""

    # The outermost colours of Turbo are so dark that they look like holes.
    DEPTH = cv2.COLORMAP_TURBO, 22, 236
    DISPARITY = cv2.COLORMAP_PLASMA, 16, 255


@lru_cache(maxsize=2)
def table_of(color_map: ColorMap) -> np.ndarray:
    """(n, 3) uint8 RGB from the farthest to the nearest."""
    number, farthest, nearest = color_map.value
    colors = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], number)[:, 0, ::-1]
    return colors[farthest : nearest + 1].copy()


def colorize_depth(depth_m: np.ndarray, near_m: float | None = None, far_m: float | None = None) -> np.ndarray:
    """Depth as colour, near red, far blue, on a logarithmic scale: equal ratios of depth look equally far apart.

    Args:
        depth_m: (H, W); NaN, infinite, 0 and negative values are invalid and become dark grey.
        near_m, far_m: depths of the two ends of the colour map; None takes them from the image. Set both to compare
            pictures, such as the frames of a video.

    Raises:
        InputError: depth_m is not (H, W), or not 0 < near_m < far_m.
    """
    depth_m = _checked_map("depth_m", depth_m)
    near_m, far_m = depth_range(depth_m, near_m, far_m)
    valid = np.isfinite(depth_m) & (depth_m > 0)
    log_depth = np.log(np.where(valid, depth_m, near_m))
    return _apply_colors(ColorMap.DEPTH, (np.float32(np.log(far_m)) - log_depth) / np.float32(np.log(far_m / near_m)), valid)


def colorize_disparity(disparity_px: np.ndarray, min_px: float | None = None, max_px: float | None = None) -> np.ndarray:
    """Disparity as colour, large (near) yellow, small (far) blue, on a linear scale.

    Args:
        disparity_px: (H, W); NaN and infinite values are invalid and become dark grey.
        min_px, max_px: disparities of the two ends of the colour map; None takes them from the image.

    Raises:
        InputError: disparity_px is not (H, W), or not min_px < max_px.
    """
    disparity_px = _checked_map("disparity_px", disparity_px)
    min_px, max_px = disparity_range(disparity_px, min_px, max_px)
    valid = np.isfinite(disparity_px)
    return _apply_colors(ColorMap.DISPARITY, (np.where(valid, disparity_px, min_px) - min_px) / (max_px - min_px), valid)


def depth_range(depth_m: np.ndarray, near_m: float | None = None, far_m: float | None = None) -> tuple[float, float]:
    """The depths of the nearest and the farthest colour: what is given, the rest so that nearly all of the map is between."""
    depth_m = _checked_map("depth_m", depth_m)
    near_m, far_m = _range("near_m", "far_m", depth_m[np.isfinite(depth_m) & (depth_m > 0)], near_m, far_m)
    if near_m <= 0:
        raise InputError(f"near_m is {near_m}; it must be positive, in metres")
    return near_m, far_m


def disparity_range(disparity_px: np.ndarray, min_px: float | None = None, max_px: float | None = None) -> tuple[float, float]:
    """`depth_range` for disparities, the farthest first."""
    disparity_px = _checked_map("disparity_px", disparity_px)
    return _range("min_px", "max_px", disparity_px[np.isfinite(disparity_px)], min_px, max_px)


def _checked_map(name: str, values: np.ndarray) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim != 2:
        raise InputError(f"{name} has shape {values.shape}; it must be (H, W)")
    return values.astype(np.float32, copy=False)


def _range(low_name: str, high_name: str, values: np.ndarray, low: float | None, high: float | None) -> tuple[float, float]:
    """Range of the colours: what is given, and for the rest what holds nearly all of the values."""
    if low is not None and high is not None:
        if not low < high:
            raise InputError(f"{low_name} is {low} and {high_name} is {high}; {low_name} must be less than {high_name}")
        return low, high
    robust = np.percentile(values, (_OUTLIERS_PERCENT, 100 - _OUTLIERS_PERCENT)) if values.size else (1.0, 2.0)
    chosen_low = float(robust[0]) if low is None else low
    chosen_high = float(robust[1]) if high is None else high
    if chosen_low < chosen_high:
        return chosen_low, chosen_high
    # All values are equal, or lie beyond the one limit given: any range will do that starts or ends there.
    step = max(1e-3 * abs(chosen_low), 1e-6)
    return (chosen_high - step, chosen_high) if low is None and high is not None else (chosen_low, chosen_low + step)


def _apply_colors(color_map: ColorMap, nearness: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Colours of a map (H, W) from 0 (far) to 1 (near)."""
    table = table_of(color_map)
    indices = np.rint(np.clip(nearness, 0, 1) * (len(table) - 1)).astype(np.uint8)
    indices[~valid] = len(table)
    return np.concatenate([table, np.array([INVALID_RGB], np.uint8)]).take(indices, axis=0)
