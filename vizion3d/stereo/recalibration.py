# SPDX-License-Identifier: Apache-2.0
"""A camera that was knocked: how it is turned now, from matches of any scene, and the calibration that says so.

Rows alone are used, which a rectified pair has in common whatever the scene is. They see how far the right camera is
turned up or down (pitch) and about its axis (roll), and how much larger its image is (focal ratio). They see hardly
anything of yaw and nothing of the baseline, on which depth depends: what is mended here is matching, and a known distance
must tell whether depth is right.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from vizion3d.camera import Calibration, StereoRig
from vizion3d.errors import CalibrationError, InputError
from vizion3d.rectify import Rectifier
from vizion3d.stereo.row_check import match_features

MIN_MATCHES = 60
# The middle nine tenths of the matches must spread over so much of the width and of the height of the image: roll is seen
# by matches on the left and on the right, the focal ratio by those above and below.
_MIN_SPREAD = 0.3
_SPREAD_PERCENTILES = (5, 95)
# A camera that is off by more than this was taken off.
_MAX_TURN_DEG = 5.0
_MAX_FOCAL_CHANGE = 0.05
_MAX_SHARE_BEHIND = 0.5
# Rows at the upper and lower edge, below which a growth is left alone: a knock does not change a focal length, lenses that
# are calibrated a little wrong look like it, and it would shift columns, and so depth, as well.
_MIN_GROWTH_PX = 0.5
# Huber's: residuals above 1.345 deviations pull no more than one there, at 95 % of the efficiency of least squares.
_HUBER = 1.345
_MAD_TO_DEVIATION = 1.4826
_MIN_DEVIATION_PX = 0.01
_INLIER_DEVIATIONS = 4.0
_MAX_ITERATIONS = 50
# Rows that are searched for matches, as a part of the height: first wherever a knock may have put them, then nearby.
_SEARCHED_ROWS = (0.15, 0.02, 0.02, 0.02)
# More than a quick check takes, so that they spread over the image.
_CORNERS = 1000
# Less than this rectifying anew does not change.
_SETTLED_PX = 0.02


@dataclass(frozen=True)
class Turn:
    """How the right camera differs from its calibration, as far as rows see it.

    Attributes:
        pitch_deg: positive where it looks further up, so that its image shows things lower.
        roll_deg: turn of its image, positive clockwise.
        focal_ratio: its focal length by the calibrated one; 1 where the rows hardly differ by that.
        pitch_error_deg, roll_error_deg, focal_ratio_error: standard errors of these.
        matches: that agree with this, of all `of_matches`.
        of_matches: matches there were.
    """

    pitch_deg: float
    roll_deg: float
    focal_ratio: float
    pitch_error_deg: float
    roll_error_deg: float
    focal_ratio_error: float
    matches: int
    of_matches: int

    def rows_px(self, rig: StereoRig) -> float:
        """By how many rows it shifts the pixels of the image that it shifts most."""
        camera = rig.right
        x = (np.array([0, 0, 0.5, 1, 1]) * camera.width - camera.cx) / camera.fx
        y = (np.array([0, 1, 0.5, 0, 1]) * camera.height - camera.cy) / camera.fy
        change = np.array([math.radians(self.pitch_deg), math.radians(self.roll_deg), self.focal_ratio - 1])
        return float(np.abs(_columns(x, y) @ change).max() * camera.fy)

    def applied(self, right: Calibration) -> Calibration:
        """The calibration of the right camera as it is now; P, which the left camera shares, stays."""
        correction, _ = cv2.Rodrigues(np.radians([self.pitch_deg, 0.0, -self.roll_deg]))
        R = correction @ np.reshape(right.R, (3, 3))
        fx, skew, cx, zero, fy, cy, *last = right.K
        K = (fx * self.focal_ratio, skew, cx, zero, fy * self.focal_ratio, cy, *last)
        return dataclasses.replace(right, K=K, R=tuple(R.ravel().tolist()))

    def between(self, former: Calibration, now: Calibration) -> Turn:
        """This one with the whole way from a former calibration, of which it is the last step."""
        vector, _ = cv2.Rodrigues(np.reshape(now.R, (3, 3)) @ np.reshape(former.R, (3, 3)).T)
        pitch_deg, _, counterclockwise_deg = np.degrees(vector.ravel()).tolist()
        return dataclasses.replace(
            self, pitch_deg=pitch_deg, roll_deg=-counterclockwise_deg, focal_ratio=now.K[0] / former.K[0]
        )


@dataclass(frozen=True)
class Recalibration:
    """What was found, and the calibrations that say so.

    Attributes:
        turn: of the right camera against its former calibration.
        left, right: of the images as they are now, which have to be rectified with it.
    """

    turn: Turn
    left: Calibration
    right: Calibration


Pair = tuple[np.ndarray, np.ndarray]


def recalibrate(pairs: Sequence[Pair], left: Calibration, right: Calibration) -> Recalibration:
    """Find how the right camera is turned and calibrate it anew.

    Args:
        pairs: left and right images, (H, W, 3) uint8 RGB, as the cameras give them.
        left, right: the former calibration; of images that come rectified `Calibration.rectified`.

    Raises:
        InputError: there is no pair, or the sizes differ.
        CalibrationError: see `fit_turn`, or the calibration describes no rig.
    """
    size_wh = _common_size(pairs)
    left, former = left.for_image(size_wh), right.for_image(size_wh)
    right = former
    for searched_rows in _SEARCHED_ROWS:
        matches = rectified_matches(pairs, left, right, searched_rows)
        rig = Rectifier.from_calibrations(left, right).rig
        turn = fit_turn(matches, rig)
        right = turn.applied(right)
        if turn.rows_px(rig) < _SETTLED_PX:
            break
    return Recalibration(turn.between(former, right), left, right)


def rectified_matches(
    pairs: Sequence[Pair], left: Calibration, right: Calibration, searched_rows: float = _SEARCHED_ROWS[0]
) -> np.ndarray:
    """Matches of all pairs, rectified with these calibrations: see `match_features`."""
    rectify = Rectifier.from_calibrations(left, right)
    found = (rectify(*pair) for pair in pairs)
    search = partial(match_features, searched_rows=searched_rows, corners=_CORNERS)
    return np.concatenate([search(pair.left, pair.right) for pair in found])


def _common_size(pairs: Sequence[Pair]) -> tuple[int, int]:
    if not pairs:
        raise InputError("there is no pair of images; at least one is needed")
    sizes = {image.shape[1::-1] for pair in pairs for image in pair}
    if len(sizes) > 1:
        raise InputError(f"the images have sizes {', '.join(f'{w}x{h}' for w, h in sorted(sizes))}; all must be of one rig")
    width, height = sizes.pop()
    return width, height


def fit_turn(matches: np.ndarray, rig: StereoRig) -> Turn:
    """Find how the right camera of a rectified pair is turned.

    The fit is robust (Huber) and linear: after a large turn, rectify anew and fit what is left.

    Args:
        matches: (N, 4) x_left, y_left, x_right, y_right in pixels of rectified images of the rig, of one pair or several.
        rig: of these images.

    Raises:
        CalibrationError: the matches are too few or not spread over the image, left and right seem to be exchanged, or the
            camera is turned so far that a calibration has to be made anew.
    """
    matches = matches.astype(np.float64)
    _check_order(matches, rig)
    left, right = rig.left, rig.right
    _, y_left, x_right, y_right = matches.T
    x, y = (x_right - right.cx) / right.fx, (y_right - right.cy) / right.fy
    rows_px = (y - (y_left - left.cy) / left.fy) * left.fy
    columns_px = _columns(x, y) * left.fy
    coefficients, errors, agrees = _robust_fit(columns_px, rows_px)
    if abs(coefficients[2]) * rig.left.height / 2 < _MIN_GROWTH_PX:
        coefficients, errors, agrees = _robust_fit(columns_px[:, :2], rows_px)
    _check_spread(matches[agrees], len(matches), rig)
    pitch, roll, growth = [*coefficients, 0.0][:3]
    turn = Turn(
        math.degrees(pitch),
        math.degrees(roll),
        1 + growth,
        math.degrees(errors[0]),
        math.degrees(errors[1]),
        [*errors.tolist(), 0.0][2],
        int(agrees.sum()),
        len(matches),
    )
    if max(abs(turn.pitch_deg), abs(turn.roll_deg)) > _MAX_TURN_DEG or abs(growth) > _MAX_FOCAL_CHANGE:
        raise CalibrationError(
            f"the right camera seems to be turned by {turn.pitch_deg:+.1f} deg (pitch) and {turn.roll_deg:+.1f} deg (roll) at "
            f"{turn.focal_ratio:.3f} times its focal length; at most {_MAX_TURN_DEG:g} deg and {_MAX_FOCAL_CHANGE:.0%} are "
            "mended. Check that calibration and images belong together and that raw images are rectified, or calibrate the "
            "pair anew"
        )
    return turn


def _columns(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(N, 3): rows, at focal length 1, by which a point at (x, y) gets lower with pitch and roll (per radian) and ratio."""
    return np.stack((1 + y * y, x, y), axis=1)


def _robust_fit(columns: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients of ``columns @ coefficients = values`` by iterated weights, their standard errors, and which rows agree."""
    if len(values) < columns.shape[1]:
        return np.zeros(columns.shape[1]), np.full(columns.shape[1], np.inf), np.zeros(len(values), bool)
    residuals, coefficients = values - np.median(values), np.zeros(columns.shape[1])
    for _ in range(_MAX_ITERATIONS):
        deviation = max(_MAD_TO_DEVIATION * float(np.median(np.abs(residuals))), _MIN_DEVIATION_PX)
        weights = np.sqrt(np.minimum(1, _HUBER * deviation / np.maximum(np.abs(residuals), 1e-12)))
        before, weighted = coefficients, columns * weights[:, None]
        coefficients = np.linalg.lstsq(weighted, values * weights, rcond=None)[0]
        residuals = values - columns @ coefficients
        if np.allclose(coefficients, before, rtol=0, atol=1e-9):
            break
    errors = deviation * np.sqrt(np.diag(np.linalg.pinv(weighted.T @ weighted)))
    return coefficients, errors, np.abs(residuals) <= _INLIER_DEVIATIONS * deviation


def _check_order(matches: np.ndarray, rig: StereoRig) -> None:
    behind = float((matches[:, 0] - matches[:, 2] + rig.doffs_px <= 0).mean()) if len(matches) else 0.0
    if behind > _MAX_SHARE_BEHIND:
        raise CalibrationError(
            f"{behind:.0%} of the matches lie behind the cameras: left and right are exchanged, or the calibration is of "
            "another pair; see vizion3d doctor"
        )


def _check_spread(agreeing: np.ndarray, of_matches: int, rig: StereoRig) -> None:
    if len(agreeing) < MIN_MATCHES:
        raise CalibrationError(
            f"{len(agreeing)} of {of_matches} matches agree, and {MIN_MATCHES} are needed; give more pairs, of well lit scenes "
            "with texture"
        )
    low, high = np.percentile(agreeing[:, 2:], _SPREAD_PERCENTILES, axis=0)
    width, height = (high - low) / (rig.left.width, rig.left.height)
    if min(width, height) < _MIN_SPREAD:
        raise CalibrationError(
            f"the matches spread over {width:.0%} of the width and {height:.0%} of the height of the image, and "
            f"{_MIN_SPREAD:.0%} of both are needed; give more pairs, with texture near all edges of the image"
        )
