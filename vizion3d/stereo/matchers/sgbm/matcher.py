# SPDX-License-Identifier: Apache-2.0
"""The matcher: one search of the left image at full size, one of the right image at half size that checks it."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from vizion3d.errors import InputError
from vizion3d.options import StereoOptions
from vizion3d.stereo.matchers import Matches
from vizion3d.stereo.matchers.sgbm.certainty import Views, judge
from vizion3d.stereo.matchers.sgbm.refinement import refine
from vizion3d.stereo.matchers.sgbm.search import STEPS_A_PIXEL, places, search, search_right
from vizion3d.stereo.matchers.sgbm.sigma import SIGMA_OF_CONFIDENCE
from vizion3d.stereo.search_range import BEYOND_PX

# Exposures that differ by less are left alone: so much the two views of one scene may differ.
_SAME_CONTRAST = 0.15
_SAME_BRIGHTNESS = 16
_MIN_CONTRAST = 2.0


class SgbmMatcher:
    """StereoSGBM on grey images, checked by a second search of the right image at half size, which takes an eighth of the time.

    Confidence is about 1 where both agree, the matched surroundings look alike and have texture of their own or matched
    neighbours; see `certainty`. Visibility is 0 where the right image shows something nearer, or ends.
    """

    name = architecture = "sgbm"
    device = torch.device("cpu")
    image_dtype = torch.uint8
    has_confidence = has_visibility = True
    sigma_of_confidence = SIGMA_OF_CONFIDENCE
    max_size: tuple[int, int] | None = None
    min_side = 10
    # What close-range robot and benchmark pairs need.
    searched_part_of_width = 1 / 6

    def describe(self) -> str:
        """See `StereoMatcher.describe`."""
        return "sgbm on cpu"

    def match(self, left: torch.Tensor, right: torch.Tensor, max_disparity: float | None = None) -> Matches:
        """See `StereoMatcher.match`; by default a sixth of the image width is searched, and what is beyond what counts."""
        searched = max_disparity or left.shape[-1] * self.searched_part_of_width + BEYOND_PX
        views = Views(*_alike(_grey(left), _grey(right)))
        halves = views.halved()
        steps, reached = search(*views, searched)
        right_steps = search_right(*halves, searched / 2)
        disparity = np.maximum(steps, 0) / np.float32(STEPS_A_PIXEL)
        seen_at = places(disparity)
        seen = cv2.remap(views.right, *seen_at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        certainty = judge(steps, seen_at, seen, right_steps, views, halves)
        disparity = refine(disparity, views.left, seen)
        disparity[steps <= 0] = np.nan
        return Matches(
            _tensor(disparity),
            _tensor(certainty.confidence),
            _tensor(certainty.visibility),
            max_disparity=reached,
            step=1 / STEPS_A_PIXEL,
            reason=_tensor(certainty.reason),
        )


def load(options: StereoOptions) -> SgbmMatcher:
    """The matcher; see `open_matcher`."""
    if options.device not in ("auto", "cpu"):
        raise InputError(f'sgbm runs on the CPU; device is "{options.device}", use "auto" or "cpu"')
    return SgbmMatcher()


def _grey(image: torch.Tensor) -> np.ndarray:
    """(1, 3, h, w) RGB uint8 -> (h, w) uint8. Colour costs 1.4 times the time and finds no more."""
    return cv2.cvtColor(image[0].permute(1, 2, 0).numpy(), cv2.COLOR_RGB2GRAY)


def _alike(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both (h, w) uint8 images, the right one in the exposure of the left one if theirs differ clearly."""
    (mean_left, contrast_left), (mean_right, contrast_right) = (
        (float(mean.item()), float(deviation.item())) for mean, deviation in map(cv2.meanStdDev, (left, right))
    )
    if min(contrast_left, contrast_right) < _MIN_CONTRAST:
        return left, right
    gain = contrast_left / contrast_right
    if abs(np.log(gain)) < _SAME_CONTRAST and abs(mean_left - mean_right) < _SAME_BRIGHTNESS:
        return left, right
    levels = mean_left + gain * (np.arange(256) - mean_right)
    return left, cv2.LUT(right, levels.round().clip(0, 255).astype(np.uint8))


def _tensor(values: np.ndarray) -> torch.Tensor:
    """(h, w) -> (1, 1, h, w)."""
    return torch.from_numpy(values)[None, None]
