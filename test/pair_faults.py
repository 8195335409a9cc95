# SPDX-License-Identifier: Apache-2.0
"""Real pairs with their rigs, and what may be wrong with them: for the tests of every door that must name it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from vizion3d.calibration_files import load_stereo_rig
from vizion3d.camera import PinholeCamera, StereoRig
from vizion3d.images import load_rgb

Pair = tuple[np.ndarray, np.ndarray]

PAIRS = {
    "teddy": ("im2.png", "im6.png"),
    "wood2": ("view1.png", "view5.png"),
    "aloe": ("aloeL.jpg", "aloeR.jpg"),
    "kitti_odometry": ("left.png", "right.png"),
    "sceneflow_0": ("left.png", "right.png"),
}
# For tests of a whole door, where the largest pair takes a minute.
PARAMETERS = [pytest.param(name, marks=pytest.mark.slow if name == "aloe" else ()) for name in PAIRS]
# Focal length and baseline of those that come without a file; the unit of length of the drawn one is no metre.
_RIGS = {"wood2": (1870.0, 0.16), "aloe": (3740.0, 0.16), "sceneflow_0": (1050.0, 0.1)}


def load_pair(name: str, data: Path) -> tuple[np.ndarray, np.ndarray, StereoRig]:
    """Both images and their rig."""
    left, right = (load_rgb(data / "stereo" / name / file) for file in PAIRS[name])
    size = left.shape[1], left.shape[0]
    if name in _RIGS:
        focal_length, baseline_m = _RIGS[name]
        return left, right, StereoRig(PinholeCamera(*size, focal_length, focal_length, size[0] / 2, size[1] / 2), baseline_m)
    return left, right, load_stereo_rig([data / "stereo" / name / "calib.txt"], size)


def warped(image: np.ndarray, affine: np.ndarray) -> np.ndarray:
    size = image.shape[1], image.shape[0]
    return cv2.warpAffine(image, affine, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _lowered(left: np.ndarray, right: np.ndarray) -> Pair:
    return left, warped(right, np.array([[1.0, 0, 0], [0, 1, 3]]))


def _rolled(left: np.ndarray, right: np.ndarray) -> Pair:
    centre = right.shape[1] / 2, right.shape[0] / 2
    return left, warped(right, cv2.getRotationMatrix2D(centre, -0.5, 1))  # OpenCV turns counter-clockwise


def _scaled(left: np.ndarray, right: np.ndarray) -> Pair:
    return left, warped(right, np.array([[1.0, 0, 0], [0, 1.01, -0.005 * right.shape[0]]]))


def _half_as_bright(left: np.ndarray, right: np.ndarray) -> Pair:
    return left, (right * 0.5).astype(np.uint8)


FAULTS: dict[str, tuple[Callable[[np.ndarray, np.ndarray], Pair], str, str]] = {
    "offset of 3 rows": (_lowered, "row offset", "warning"),
    "roll of 0.5 degrees": (_rolled, "roll", "warning"),
    "scale of 1 %": (_scaled, "vertical scale", "warning"),
    "exchanged": (lambda left, right: (right, left), "order", "error"),
    "gain of 0.5": (_half_as_bright, "exposure", "warning"),
    "one camera twice": (lambda left, right: (left, left.copy()), "cameras", "error"),
}
"""By name: what it makes of a pair, the finding that names it, and its level."""
