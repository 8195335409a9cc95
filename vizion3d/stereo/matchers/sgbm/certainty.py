# SPDX-License-Identifier: Apache-2.0
"""How sure a disparity is, whether the right camera sees the point, and why there is no answer.

Most of it is computed at half size, which takes a quarter of the time; at full size only what is decided at edges of objects.
Disparities are OpenCV's, in sixteenths of a pixel of the full size.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from vizion3d.stereo.matchers.agreement import TOLERANCE_PX
from vizion3d.stereo.matchers.sgbm.search import STEPS_A_PIXEL, Places, places
from vizion3d.stereo.reasons import Reason

_TOLERANCE = TOLERANCE_PX * STEPS_A_PIXEL
_UNKNOWN = np.int16(np.iinfo(np.int16).max)  # beyond all disparities
# Surroundings in half-size pixels: over which the images are compared, and in which matched neighbours count.
_COMPARED, _NEIGHBOURHOOD, _TEXTURE = (5, 5), (31, 31), (7, 7)
_ROUNDING_VARIANCE = 0.25  # of grey levels, and then some: what is flatter correlates with nothing
# Half size overlooks what is only a few pixels wide. There the images themselves have to look twice as alike, over these pixels
# of the full size, as at the disparity behind it, where the difference would be that many grey levels.
_LIKENED, _MUCH_MORE_ALIKE, _MIN_UNLIKE = (5, 5), 0.5, 4.0
# Confidence is a logistic regression of being right within 2 px on the shared pairs, with rounded numbers, moved and steepened
# so that 0.1 is where about half of the answers are wrong.
_INTERCEPT, _PER_CORRELATION, _PER_LOG_RESIDUAL, _PER_DIFFERENCE_PX = 7.9, 2.5, -2.75, -1.25
_MAX_DIFFERENCE_PX, _DIFFERENCE_TO_UNKNOWN_PX = 4.0, 5.0
# Noise on an even wall is matched now and then, but it hardly correlates and has no matched neighbours, unlike an even surface
# between edges. Either counts as evidence, from nothing at the first number to all at the second. Where the right image has no
# answer, as on repeated texture, which has several, only clear correlation does.
_CORRELATES, _CORRELATES_WELL, _HAS_NEIGHBOURS = (0.1, 0.3), (0.4, 0.8), (0.15, 0.4)
# Mean horizontal change from pixel to pixel below which there is nothing to match, in grey levels.
_MIN_GRADIENT = 1.0


class Views(NamedTuple):
    """Both images, (h, w) uint8."""

    left: np.ndarray
    right: np.ndarray

    def halved(self) -> Views:
        """At half size, where an odd last row or column is repeated."""
        return Views(_halved(self.left), _halved(self.right))


class Certainty(NamedTuple):
    """What is known about each disparity, (h, w)."""

    confidence: np.ndarray
    """float32, 0..1; 0 where there is no disparity."""
    visibility: np.ndarray
    """float32: 0 where the right camera does not see the point, else 1."""
    reason: np.ndarray
    """uint8: HIDDEN, BORDER or NO_TEXTURE of `Reason`, else 0."""


def judge(
    disparity: np.ndarray, seen_at: Places, seen: np.ndarray, right_disparity: np.ndarray, views: Views, halves: Views
) -> Certainty:
    """Compare the disparity with what was found from the right image, and the two images with each other.

    Args:
        disparity: (h, w) int16 steps of the left image, not positive where there is none.
        seen_at: its `places`.
        seen: (h, w) uint8, the right image there.
        right_disparity: (h2, w2) the same of the right image at half size, in steps of its pixels.
        views: the images.
        halves: the same at half size.
    """
    known, right = np.maximum(disparity, 0), 2 * right_disparity
    extremes = _extremes(right)
    farthest, nearest = (cv2.remap(_doubled(e, disparity.shape), *seen_at, cv2.INTER_NEAREST) for e in extremes)
    answered = disparity > 0
    agrees = answered & (farthest - known <= _TOLERANCE) & (known - nearest <= _TOLERANCE)
    overlooked = (known - nearest > _TOLERANCE) & (nearest > 0) & _stands_out(views, seen, nearest)
    possible = answered & (agrees | (farthest == _UNKNOWN) | overlooked)

    half = _one_of_four(known)
    support = cv2.blur(agrees[::2, ::2].astype(np.float32), _NEIGHBOURHOOD)
    likely, evidence = _likelihood(half, right, halves, support)
    confidence = _doubled(likely * evidence, disparity.shape)
    confidence *= possible

    reason = _reason_without_answer(_one_of_four(known * possible), extremes[1])
    flat = _is_flat(halves.left)
    reason[(flat & (reason == 0)) | ((flat | (half > 0)) & (support < _HAS_NEIGHBOURS[0]))] = Reason.NO_TEXTURE
    reason = _doubled(reason, disparity.shape)
    reason *= ~possible | (reason == Reason.NO_TEXTURE)
    visibility = ((reason != Reason.HIDDEN) & (reason != Reason.BORDER)).astype(np.float32)
    return Certainty(confidence, visibility, reason)


def _stands_out(views: Views, seen: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(h, w) bool: a pixel and where it was seen look much more alike than if it had the other disparity, in steps."""
    elsewhere = cv2.remap(views.right, *places(other / np.float32(STEPS_A_PIXEL)), cv2.INTER_LINEAR)
    unlike, otherwise = (cv2.boxFilter(cv2.absdiff(views.left, i), cv2.CV_32F, _LIKENED) for i in (seen, elsewhere))
    return (otherwise > _MIN_UNLIKE) & (unlike < _MUCH_MORE_ALIKE * otherwise)


def _likelihood(half: np.ndarray, right: np.ndarray, halves: Views, support: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How likely an answer is right if there was something to match, and whether there was; both (h2, w2), 0..1."""
    known_px = half / np.float32(STEPS_A_PIXEL)
    seen_at = places(known_px / 2)
    matched = cv2.remap(halves.right.astype(np.float32), *seen_at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    correlation, residual = _compare(halves.left.astype(np.float32), matched)
    from_right = cv2.remap(right, *seen_at, cv2.INTER_NEAREST)
    difference_px = np.minimum(abs(from_right / np.float32(STEPS_A_PIXEL) - known_px), _MAX_DIFFERENCE_PX)
    difference_px[from_right <= 0] = _DIFFERENCE_TO_UNKNOWN_PX
    odds = np.exp(
        _INTERCEPT
        + _PER_CORRELATION * correlation
        + _PER_LOG_RESIDUAL * np.log1p(residual)
        + _PER_DIFFERENCE_PX * difference_px
    )
    evidence = np.maximum(_ramp(correlation, _CORRELATES), _ramp(support, _HAS_NEIGHBOURS))
    return odds / (1 + odds), np.where(from_right <= 0, _ramp(correlation, _CORRELATES_WELL), evidence)


def _compare(left: np.ndarray, matched: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Correlation of the surroundings in two (h2, w2) float32 images, and what is left of the first after fitting the second.

    The second may be brighter or have more contrast. The residual is a standard deviation in grey levels.
    """
    mean_left, mean_matched = cv2.blur(left, _COMPARED), cv2.blur(matched, _COMPARED)
    variance_left = np.maximum(cv2.blur(left * left, _COMPARED) - mean_left * mean_left, 0)
    variance_matched = np.maximum(cv2.blur(matched * matched, _COMPARED) - mean_matched * mean_matched, _ROUNDING_VARIANCE)
    covariance = cv2.blur(left * matched, _COMPARED) - mean_left * mean_matched
    correlation = covariance / np.sqrt(np.maximum(variance_left, _ROUNDING_VARIANCE) * variance_matched)
    return correlation, np.sqrt(np.maximum(variance_left - covariance * covariance / variance_matched, 0))


def _reason_without_answer(half: np.ndarray, nearest: np.ndarray) -> np.ndarray:
    """BORDER or HIDDEN where a point behind what is around it would be out of the right image or covered there, (h2, w2)."""
    background = _background(half)
    x, y = places(background / np.float32(2 * STEPS_A_PIXEL))
    covered = cv2.remap(nearest, x, y, cv2.INTER_NEAREST) > background + _TOLERANCE
    reason = np.where(covered, np.uint8(Reason.HIDDEN), np.uint8(0))
    reason[x < 0] = Reason.BORDER
    return reason


def _background(half: np.ndarray) -> np.ndarray:
    """Unanswered pixels get the smaller one of the nearest disparities in their row; 0 stays where there is none."""
    positions, known = np.arange(half.size).reshape(half.shape), half > 0
    before = np.maximum.accumulate(np.where(known, positions, positions[:, :1]), axis=1)
    after = np.minimum.accumulate(np.where(known, positions, positions[:, -1:])[:, ::-1], axis=1)[:, ::-1]
    on_left, on_right = half.take(before), half.take(after)
    return np.where((on_left > 0) & (on_right > 0), np.minimum(on_left, on_right), np.maximum(on_left, on_right))


def _is_flat(image: np.ndarray) -> np.ndarray:
    """(h2, w2) bool: hardly anything changes along the row around a pixel."""
    change = np.abs(cv2.Sobel(image, cv2.CV_16S, 1, 0, ksize=1)).astype(np.float32) / 2
    return cv2.blur(change, _TEXTURE) < _MIN_GRADIENT


def _extremes(right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest of the 3x3 disparities around each pixel; _UNKNOWN and 0 where there is none."""
    block = np.ones((3, 3), np.uint8)
    known = np.maximum(right, 0)
    return cv2.erode(np.where(known > 0, known, _UNKNOWN), block), cv2.dilate(known, block)


def _ramp(values: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    """0 up to the first end, 1 from the second."""
    return ((values - ends[0]) / (ends[1] - ends[0])).clip(0, 1)


def _halved(image: np.ndarray) -> np.ndarray:
    """(h, w) -> half size, rounded up; each pixel is the mean of four."""
    height, width = image.shape
    even = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return cv2.resize(even, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def _one_of_four(disparity: np.ndarray) -> np.ndarray:
    """(h, w) -> half size, rounded up: of each four pixels the first that is known."""
    half = disparity[::2, ::2].copy()
    for y, x in ((0, 1), (1, 0), (1, 1)):
        other = disparity[y::2, x::2]
        part = half[: other.shape[0], : other.shape[1]]
        np.copyto(part, other, where=part <= 0)
    return half


def _doubled(half: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The inverse of halving, by repetition."""
    height, width = shape
    doubled = cv2.resize(half, (2 * half.shape[1], 2 * half.shape[0]), interpolation=cv2.INTER_NEAREST)
    return np.ascontiguousarray(doubled[:height, :width])
