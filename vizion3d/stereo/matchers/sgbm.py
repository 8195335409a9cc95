# SPDX-License-Identifier: Apache-2.0
"""OpenCV's semi-global block matching: no weights, runs anywhere, the default for robots without a GPU."""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch

from vizion3d.errors import InputError
from vizion3d.options import StereoOptions
from vizion3d.stereo.matchers import Matches

_BLOCK_SIZE = 5
_SUBPIXEL_STEPS = 16  # OpenCV gives disparities in sixteenths of a pixel
# Left and right disparities that differ by this much deserve no confidence.
_LEFT_RIGHT_TOLERANCE_PX = 2.0


class SgbmMatcher:
    """StereoSGBM with a left-right check.

    Both images get a border on the side where matches run out of the picture, so that the first columns, which plain
    StereoSGBM leaves empty, are answered too. Confidence compares the left disparity with one computed from the right
    image: 1 where they agree, 0 from 2 px on. Visibility is 0 from there on: the right image shows another thing.
    """

    name = architecture = "sgbm"
    device = torch.device("cpu")
    has_confidence = has_visibility = True
    max_size: tuple[int, int] | None = None
    min_side = 2 * _BLOCK_SIZE
    # What close-range robot and benchmark pairs need.
    searched_part_of_width = 1 / 6

    def describe(self) -> str:
        """See `StereoMatcher.describe`."""
        return "sgbm on cpu"

    def match(self, left: torch.Tensor, right: torch.Tensor, max_disparity: float | None = None) -> Matches:
        """See `StereoMatcher.match`; by default a sixth of the image width is searched."""
        left_bgr, right_bgr = (_bgr(image) for image in (left, right))
        wanted = max_disparity or left_bgr.shape[1] * self.searched_part_of_width
        search_range = 16 * max(1, math.ceil(wanted / 16))  # OpenCV demands multiples of 16
        disparity = _disparity(left_bgr, right_bgr, search_range)
        # The mirrored pair, exchanged, is again a left and a right image.
        right_disparity = _disparity(right_bgr[:, ::-1], left_bgr[:, ::-1], search_range)[:, ::-1]

        columns = np.arange(disparity.shape[1], dtype=np.float32)
        seen_at = np.nan_to_num(columns - disparity).round().astype(np.intp)  # >= 0: _disparity has no match outside
        excess = np.take_along_axis(right_disparity, seen_at, axis=1) - disparity
        with np.errstate(invalid="ignore"):
            confidence = np.nan_to_num(1 - np.abs(excess) / _LEFT_RIGHT_TOLERANCE_PX, nan=0.0).clip(0, 1)
            visibility = np.abs(excess) < _LEFT_RIGHT_TOLERANCE_PX
        return Matches(
            _tensor(disparity),
            _tensor(confidence),
            _tensor(visibility),
            max_disparity=float(search_range),
            step=1 / _SUBPIXEL_STEPS,
        )


def load(options: StereoOptions) -> SgbmMatcher:
    """The matcher; see `open_matcher`."""
    if options.device not in ("auto", "cpu"):
        raise InputError(f'sgbm runs on the CPU; device is "{options.device}", use "auto" or "cpu"')
    return SgbmMatcher()


def _bgr(image: torch.Tensor) -> np.ndarray:
    """(1, 3, h, w) RGB float -> (h, w, 3) BGR uint8."""
    return image[0].flip(0).permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).contiguous().numpy()


def _tensor(values: np.ndarray) -> torch.Tensor:
    """(h, w) -> (1, 1, h, w) float32."""
    return torch.from_numpy(values.astype(np.float32))[None, None]


def _disparity(left: np.ndarray, right: np.ndarray, search_range: int) -> np.ndarray:
    """(h, w) float32 disparity of the left image, NaN where StereoSGBM gives none or points outside the right image."""
    matcher = cv2.StereoSGBM.create(
        minDisparity=0,
        numDisparities=search_range,
        blockSize=_BLOCK_SIZE,
        P1=8 * 3 * _BLOCK_SIZE**2,
        P2=32 * 3 * _BLOCK_SIZE**2,
        disp12MaxDiff=1,
        preFilterCap=63,
        uniquenessRatio=10,
        speckleWindowSize=100,
        speckleRange=2,
        mode=cv2.STEREO_SGBM_MODE_SGBM_3WAY,
    )
    padded = (cv2.copyMakeBorder(i, 0, 0, search_range, 0, cv2.BORDER_REPLICATE) for i in (left, right))
    disparity = matcher.compute(*padded)[:, search_range:].astype(np.float32) / _SUBPIXEL_STEPS
    columns = np.arange(disparity.shape[1], dtype=np.float32)
    disparity[(disparity <= 0) | (disparity > columns)] = np.nan
    return disparity
