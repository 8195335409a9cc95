# SPDX-License-Identifier: Apache-2.0
"""Do the rows of a pair line up? Answered from a few hundred feature matches, in milliseconds.

Matches are (N, 4) float32 arrays of x_left, y_left, x_right, y_right in pixels of the images.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from vizion3d.camera import Calibration, StereoRig
from vizion3d.errors import CalibrationError, InputError
from vizion3d.rectify import rectified_points

_LOG = logging.getLogger(__name__)

# Larger images are reduced to this many pixels first, so that time hardly grows with size. The median of many matches
# is still good to an eighth of a row of a full HD image.
_MAX_PIXELS = 640 * 480
_MAX_FEATURES = 500
# Rows between the two ends of a match, as a part of the height. More than this no software rectification leaves over.
_SEARCHED_ROWS = 0.05
# Of the 256 bits of a descriptor this many may differ, and the second best must be clearly worse. The latter is what
# leaves nothing to match in repetitive texture, where any answer would be a guess.
_MAX_DESCRIPTOR_DISTANCE = 64
_MAX_DISTANCE_RATIO = 0.85
# Refined positions must lead back to where they started from.
_MAX_ROUND_TRIP_PX = 0.3
_REFINEMENT_WINDOW = (15, 15)
_MIN_MATCHES = 20
_FITS = 4
# More than this the calibration itself may not leave between the rows without a word.
_TOLD_ROWS_PX = 0.25


@dataclass(frozen=True)
class RowReport:
    """How well the rows of the two images line up.

    Attributes:
        matches: number of matches behind the numbers.
        offset_px: median of y_right - y_left: positive where the right image shows things lower. NaN, as all that
            follows, if there are not enough matches.
        spread_px: median absolute deviation from that.
        roll_deg: turn of the right image against the left one, positive clockwise.
        vertical_scale: height of things in the right image by their height in the left one.
        roll_error_deg, scale_error: standard errors of these two; large where the matches are few, or all in one place.
        typical_px: median of |y_right - y_left|: how far a usual point is from its row, for whatever reason.
    """

    matches: int
    offset_px: float = math.nan
    spread_px: float = math.nan
    roll_deg: float = math.nan
    vertical_scale: float = math.nan
    roll_error_deg: float = math.nan
    scale_error: float = math.nan
    typical_px: float = math.nan

    @property
    def enough(self) -> bool:
        """Whether there were enough matches to say anything."""
        return self.matches >= _MIN_MATCHES

    @classmethod
    def from_matches(cls, matches: np.ndarray) -> RowReport:
        """Derive the report from matches (N, 4)."""
        if len(matches) < _MIN_MATCHES:
            return cls(len(matches))
        _, y_left, x_right, y_right = matches.T.astype(np.float64)
        offset = y_right - y_left
        median = float(np.median(offset))
        spread = float(np.median(np.abs(offset - median)))
        positions = np.stack((x_right, y_left, np.ones_like(x_right)), axis=1)
        slopes = np.array([0.0, 0.0, median])
        for _ in range(_FITS):  # each without what the one before leaves far off: wrong matches
            rest = np.abs(offset - positions @ slopes)
            near = rest <= max(4 * float(np.median(rest)), 0.5)
            slopes, squares, _, _ = np.linalg.lstsq(positions[near], offset[near], rcond=None)
        variance = float(squares[0]) / max(near.sum() - 3, 1) if len(squares) else math.inf
        positions = positions[near]
        error_x, error_y, _ = np.sqrt(variance * np.diag(np.linalg.pinv(positions.T @ positions)))
        return cls(
            len(matches),
            median,
            spread,
            roll_deg=math.degrees(math.atan(slopes[0])),
            vertical_scale=float(1 + slopes[1]),
            roll_error_deg=math.degrees(error_x),
            scale_error=float(error_y),
            typical_px=float(np.median(np.abs(offset))),
        )


def measure_rows(left_rgb: np.ndarray, right_rgb: np.ndarray) -> RowReport:
    """Measure how the rows of a pair line up; see `match_features` for the arguments."""
    return RowReport.from_matches(match_features(left_rgb, right_rgb))


def rectified_matches(
    matches: np.ndarray, calibrations: tuple[Calibration, Calibration], image_size: tuple[int, int]
) -> np.ndarray | None:
    """Where matches of raw images would be after rectification with this calibration.

    Args:
        matches: (N, 4), in raw images of this size.
        calibrations: of the left and the right camera.
        image_size: (width, height).

    Returns:
        (N, 4) float64, without those that the lens cannot have shown; None if the calibration has neither a lens nor a turn to
        undo, or a lens that is not known.
    """
    own = [calibration.for_image(image_size) for calibration in calibrations]
    if not all(any(camera.K) and any(camera.P) for camera in own) or not any(map(_changes_images, own)):
        return None
    pairs = zip(np.hsplit(matches, 2), own, strict=True)
    try:
        rectified = np.hstack([rectified_points(camera, points) for points, camera in pairs])
    except CalibrationError:
        return None
    return rectified[np.isfinite(rectified).all(axis=1)]


def _changes_images(calibration: Calibration) -> bool:
    turned = any(calibration.R) and not np.allclose(np.reshape(calibration.R, (3, 3)), np.eye(3), atol=1e-6)
    return turned or any(calibration.D)


def match_features(
    left_rgb: np.ndarray, right_rgb: np.ndarray, *, searched_rows: float = _SEARCHED_ROWS, corners: int = _MAX_FEATURES
) -> np.ndarray:
    """Match corners of two images that differ by at most some rows and by any disparity of either sign.

    Args:
        left_rgb, right_rgb: (H, W, 3) uint8.
        searched_rows: how many rows they may differ by, as a part of the height.
        corners: how many are looked for in each image; time grows with their square.

    Returns:
        (N, 4) float32: x_left, y_left, x_right, y_right in pixels of the images, to a fraction of a pixel. Empty where
        there is no texture.

    Raises:
        InputError: the images differ in size.
    """
    if left_rgb.shape != right_rgb.shape:
        raise InputError(f"the images are {left_rgb.shape} and {right_rgb.shape}; a rectified pair has one size")
    height, width = left_rgb.shape[:2]
    scale = min(1.0, math.sqrt(_MAX_PIXELS / (height * width)))
    left, right = (_small_grey(image, scale) for image in (left_rgb, right_rgb))
    points_left, points_right = _refine(left, right, *_match_descriptors(left, right, searched_rows, corners))
    sx, sy = width / left.shape[1], height / left.shape[0]
    # Pixel centres are at integers, so that resizing maps x + 0.5, not x.
    to_full = np.array([sx, sy, sx, sy], dtype=np.float32)
    return (np.hstack((points_left, points_right)) + 0.5) * to_full - 0.5


def _small_grey(rgb: np.ndarray, scale: float) -> np.ndarray:
    """A grey image with all grey values in use: corners and their refinement compare these, and cameras expose differently."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    size_wh = round(scale * grey.shape[1]), round(scale * grey.shape[0])
    if scale <= 0.5:  # halving is quick, other factors are not
        grey = cv2.resize(grey, (grey.shape[1] // 2, grey.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return cv2.equalizeHist(cv2.resize(grey, size_wh, interpolation=cv2.INTER_AREA) if scale < 1 else grey)


def _match_descriptors(
    left: np.ndarray, right: np.ndarray, searched_rows: float, corners: int
) -> tuple[np.ndarray, np.ndarray]:
    """Corners of two grey images that are each other's best match near their row: two (N, 2) float32 of x, y."""
    orb = cv2.ORB_create(nfeatures=corners, nlevels=1, edgeThreshold=16)  # type: ignore[attr-defined]
    (keys_left, bits_left), (keys_right, bits_right) = (orb.detectAndCompute(image, None) for image in (left, right))
    if len(keys_left) < 2 or len(keys_right) < 2:
        return np.empty((0, 2), np.float32), np.empty((0, 2), np.float32)
    points_left, points_right = (np.array([key.pt for key in keys], np.float32) for keys in (keys_left, keys_right))
    distance = _hamming(bits_left, bits_right)
    rows_apart = np.abs(points_left[:, None, 1] - points_right[None, :, 1])
    distance[rows_apart > searched_rows * left.shape[0]] = 256
    best, each = distance.argmin(axis=1), np.arange(len(distance))
    mutual = distance.argmin(axis=0)[best] == each
    first = distance[each, best]
    distance[each, best] = 256
    second = distance.min(axis=1)
    good = mutual & (first <= _MAX_DESCRIPTOR_DISTANCE) & (first < _MAX_DISTANCE_RATIO * second)
    return points_left[good], points_right[best[good]]


def _hamming(bits: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Number of different bits of each two descriptors, (N, 32) and (M, 32) uint8 -> (N, M) float32."""
    signs, other_signs = (1 - 2 * np.unpackbits(b, axis=1).astype(np.float32) for b in (bits, others))
    return (signs.shape[1] - signs @ other_signs.T) / 2


def _refine(
    left: np.ndarray, right: np.ndarray, points_left: np.ndarray, points_right: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Matches to a fraction of a pixel by Lucas-Kanade; those that do not lead back to their start are left out."""
    if not len(points_left):
        return points_left, points_right
    refined, found = _track(left, right, points_left, points_right)
    back, found_back = _track(right, left, refined, points_left)
    good = found & found_back & (np.abs(back - points_left).max(axis=1) <= _MAX_ROUND_TRIP_PX)
    return points_left[good], refined[good]


def _track(source: np.ndarray, target: np.ndarray, points: np.ndarray, guess: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where surroundings of points (N, 2) are in the other image near a guess, and whether they were found, (N,)."""
    tracked, found, _ = cv2.calcOpticalFlowPyrLK(
        source,
        target,
        points,
        guess.copy(),
        winSize=_REFINEMENT_WINDOW,
        maxLevel=0,
        criteria=(cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 10, 0.02),
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    return tracked, found[:, 0].astype(bool)


@lru_cache(maxsize=64)
def tell_calibrated_rows(rig: StereoRig, max_disparity_px: float) -> None:
    """Say once a rig if its calibration leaves rows misaligned somewhere up to this disparity."""
    rows = max(rig.row_offset_px, rig.rows_off(max_disparity_px), key=abs)
    if abs(rows) > _TOLD_ROWS_PX:
        _LOG.warning(
            "by its calibration (P[7], cy) the right image is up to %+.2f rows lower than the left one, for disparities up to "
            "%.0f px; near things may match worse. Rectify the pair horizontally to be rid of it",
            rows,
            max_disparity_px,
        )
