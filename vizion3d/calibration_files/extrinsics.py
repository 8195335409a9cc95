# SPDX-License-Identifier: Apache-2.0
"""Where one camera is seen from the other -> R and P of both, for files that do not have them."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np

from vizion3d.camera import Calibration
from vizion3d.errors import CalibrationError

_LOG = logging.getLogger(__name__)
_EQUIDISTANT = "equidistant"
# Robots have shorter baselines; longer ones are in millimetres or in squares of the chessboard.
_MAX_BASELINE_M = 10.0


def with_rectification(
    left: Calibration, right: Calibration, rotation: np.ndarray, translation_m: np.ndarray
) -> list[Calibration]:
    """The two cameras with the R and P of OpenCV's stereoRectify with alpha 0, which is told.

    Args:
        left, right: with size, K and D.
        rotation, translation_m: (3, 3) and (3,), from left to right: ``X_right = rotation @ X_left + translation``.

    Raises:
        CalibrationError: the cameras are of two kinds, side by side in no order, or not in metres.
    """
    import cv2

    translation_m = np.asarray(translation_m, dtype=np.float64).ravel()
    check_length(float(np.linalg.norm(translation_m)))
    if translation_m[0] > 0:
        raise CalibrationError(
            f"the second camera is {translation_m[0]:.4g} m to the left of the first: exchange the two (--cameras 1 0)"
        )
    if (left.distortion_model == _EQUIDISTANT) != (right.distortion_model == _EQUIDISTANT):
        raise CalibrationError(
            f"the lens models are {left.distortion_model} and {right.distortion_model}; calibrate both cameras with one of them"
        )
    K_left, K_right = (np.reshape(camera.K, (3, 3)).astype(np.float64) for camera in (left, right))
    D_left, D_right = (np.array(camera.D, dtype=np.float64) for camera in (left, right))
    size = left.width, left.height
    if left.distortion_model == _EQUIDISTANT:
        R_left, R_right, P_left, P_right, _ = cv2.fisheye.stereoRectify(
            K_left, D_left, K_right, D_right, size, rotation, translation_m, flags=cv2.CALIB_ZERO_DISPARITY, balance=0.0
        )
    else:
        R_left, R_right, P_left, P_right, *_ = cv2.stereoRectify(
            K_left, D_left, K_right, D_right, size, rotation, translation_m, flags=cv2.CALIB_ZERO_DISPARITY, alpha=0
        )
    _LOG.info("R and P are not in the calibration: computed as OpenCV's stereoRectify does with alpha 0")
    return [
        dataclasses.replace(camera, R=tuple(R.ravel().tolist()), P=tuple(P.ravel().tolist()))
        for camera, R, P in ((left, R_left, P_left), (right, R_right, P_right))
    ]


def check_length(baseline: float) -> None:
    """Raise `CalibrationError` if a baseline can hardly be in metres."""
    if baseline > _MAX_BASELINE_M:
        raise CalibrationError(
            f"the cameras are {baseline:.4g} apart, which can hardly be metres: calibrations have the unit of the squares that "
            "were given; divide T and the last column of P1 and P2 (1000 if it is millimetres)"
        )
