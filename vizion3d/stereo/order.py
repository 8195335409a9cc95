# SPDX-License-Identifier: Apache-2.0
"""Is left really left? Whether matches lie in front of the cameras, as they are given and with the images exchanged.

Where doffs is large both may be possible. Then what one camera alone sees decides: it belongs to what is far, and is beside
what hides it from the other camera.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from vizion3d.options import ValidityLimits
from vizion3d.stereo.findings import Finding
from vizion3d.stereo.prediction import StereoPrediction

# Disparities this close to that of infinity say nothing, and only a clear majority of the others does.
_UNDECIDED_PX = 1.0
_MIN_DECIDED = 20
_CLEAR_MAJORITY = 0.8
# Of the strips that one camera alone sees 71 to 91 % look like what is far on real pairs, and 4 to 22 % (once 47 %) if the
# images are exchanged.
_EXCHANGED_STRIPS, _PROPER_STRIPS = 0.25, 0.6
_MIN_STRIPS = 40
_STRIP_ROWS = 4  # every so many-th row is looked at
_BESIDE_PX = 8
_MIN_JUMP_PX = 3.0
_CLEAR_GREY = 10.0

_SWAPPED = "left and right are swapped: exchange the two images"


@dataclass(frozen=True)
class OrderReport:
    """How many matches are in front of the cameras, where disparity + doffs is positive.

    Attributes:
        decided: number of matches clearly before or behind infinity.
        in_front_share: part of those that is in front; NaN if they are too few, as in a far scene.
        exchanged_share: the same if the two images are exchanged, and their calibrations are not.
    """

    decided: int
    in_front_share: float = math.nan
    exchanged_share: float = math.nan

    @classmethod
    def from_matches(cls, matches: np.ndarray, doffs_px: float = 0.0) -> OrderReport:
        """Derive the report from matches (N, 4), with doffs_px = cx_right - cx_left."""
        disparity = matches[:, 0] - matches[:, 2]
        decided, in_front_share = _in_front(doffs_px + disparity)
        return cls(decided, in_front_share, _in_front(doffs_px - disparity)[1])

    @property
    def proper_is_possible(self) -> bool:
        """Whether the matches are where a rig sees things."""
        return self.in_front_share >= _CLEAR_MAJORITY

    @property
    def exchanged_is_possible(self) -> bool:
        """Whether they would be with the images exchanged."""
        return self.exchanged_share >= _CLEAR_MAJORITY

    def finding(self, doffs_px: float, far_strips: float = math.nan) -> Finding:
        """What that means.

        Args:
            doffs_px: as for `from_matches`.
            far_strips: of `far_strips_share`, if both orders are possible.
        """
        value = f"{self.in_front_share:.0%} of {self.decided} matches are in front of the cameras"
        if math.isnan(self.in_front_share):
            return Finding("unknown", "order", "the scene is too far away to shift between the images")
        if self.proper_is_possible and self.exchanged_is_possible:
            value += f" in either order (doffs {doffs_px:.6g} px)"
            if far_strips >= _PROPER_STRIPS:
                return Finding("ok", "order", value)
            if not far_strips <= _EXCHANGED_STRIPS:
                return Finding("unknown", "order", value)
            value += (
                f", but near things come out far: {1 - far_strips:.0%} of what one camera sees alone is on their wrong side"
            )
            return Finding("error", "order", value, _SWAPPED)
        if self.proper_is_possible:
            return Finding("ok", "order", value)
        if self.exchanged_is_possible:
            value += f", and {self.exchanged_share:.0%} with left and right exchanged"
            return Finding("error", "order", value, _SWAPPED)
        if self.in_front_share <= 1 - _CLEAR_MAJORITY:
            value += f" in either order (doffs {doffs_px:.6g} px)"
            return Finding(
                "error", "order", value, "doffs = cx_right - cx_left is wrong: load the calibration of these cameras"
            )
        advice = "all should be: check that both images are of one moment and rectified"
        return Finding("warning", "order", value, advice, passing=True)


def far_strips_share(left_rgb: np.ndarray, prediction: StereoPrediction, limits: ValidityLimits) -> float:
    """Of the strips that the left camera sees alone, the part that looks like what is to the left of them.

    Such a strip is where disparity jumps up to the right. With the cameras in order it is seen past the left side of what is
    near, so it belongs to its left. With exchanged images it does so to its right.

    Args:
        left_rgb: (H, W, 3) uint8.
        prediction: of this image and the other one.
        limits: which confidence and visibility count.

    Returns:
        NaN if there are too few that look clearly like one side.
    """
    thin = prediction.thinned(_STRIP_ROWS, 1)
    sure = thin.sure(limits).cpu().numpy()
    disparity_px = thin.disparity_px.cpu().numpy()
    grey = cv2.cvtColor(left_rgb[::_STRIP_ROWS], cv2.COLOR_RGB2GRAY)
    edges = np.diff(np.pad(~sure, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    (y, begin), (_, end) = np.nonzero(edges == 1), np.nonzero(edges == -1)
    inside = (begin >= _BESIDE_PX) & (end <= sure.shape[1] - _BESIDE_PX)
    y, begin, end = y[inside], begin[inside], end[inside]
    width, jump_px = end - begin, disparity_px[y, end] - disparity_px[y, begin - 1]
    # Other gaps have other reasons.
    hidden = (jump_px >= _MIN_JUMP_PX) & (np.abs(width - jump_px) <= np.maximum(_MIN_JUMP_PX, jump_px / 2))
    y, begin, end = y[hidden], begin[hidden], end[hidden]
    sums = np.pad(np.cumsum(grey, axis=1, dtype=np.float32), ((0, 0), (1, 0)))

    def mean(first: np.ndarray, last: np.ndarray) -> np.ndarray:
        return (sums[y, last] - sums[y, first]) / (last - first)

    strip = mean(begin, end)
    unlike_left, unlike_right = np.abs(strip - mean(begin - _BESIDE_PX, begin)), np.abs(strip - mean(end, end + _BESIDE_PX))
    clear = np.abs(unlike_left - unlike_right) > _CLEAR_GREY
    return float((unlike_left < unlike_right)[clear].mean()) if clear.sum() >= _MIN_STRIPS else math.nan


def _in_front(corrected_px: np.ndarray) -> tuple[int, float]:
    """Number of decided matches of these disparity + doffs, and the part that is in front."""
    decided = corrected_px[np.abs(corrected_px) > _UNDECIDED_PX]
    return len(decided), float((decided > 0).mean()) if len(decided) >= _MIN_DECIDED else math.nan
