# SPDX-License-Identifier: Apache-2.0
"""Raw stereo pairs -> rectified ones, by the K, D, R and P of their calibrations.

One rectifier serves all pairs of a rig::

    rectify = Rectifier.from_calibrations(left_calibration, right_calibration)
    pair = rectify(left_rgb, right_rgb)
    StereoDepthEstimator().estimate(*pair)
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from vizion3d.camera import Calibration, PinholeCamera, StereoRig
from vizion3d.errors import CalibrationError, InputError
from vizion3d.lens_rays import project_to_pixels, rays_of_points, reaches_image
from vizion3d.records import HoldsArrays

# Maps and their tables are 10 bytes a pixel and camera: 40 MB for a full HD pair.
_KEPT_RIGS = 8
# Half of the step in which OpenCV places samples: what is outside by less is read from the outermost pixels.
_TOLERANCE_PX = 1 / 64
_MAX_ROTATION_ERROR = 0.01
# Some millionths of a pixel, more than any calibration knows; and fewer than files keep, so that a message and the file that
# was written from it give equal pixels.
_DIGITS = 8


@dataclass(frozen=True, eq=False, repr=False)
class Shown(HoldsArrays):
    """Which pixels of a rectified pair the raw images show. The others are border: filled with what is at the edge of the raw
    images, which disturbs matching beside them least, and never matched themselves.

    Attributes:
        left, right: (H, W) bool.
    """

    left: np.ndarray
    right: np.ndarray

    @cached_property
    def everything(self) -> bool:
        """Whether there is no border."""
        return bool(self.left.all() and self.right.all())

    @cached_property
    def window(self) -> tuple[int, int, int, int]:
        """(x, y, width, height) of the smallest window that holds all that the left image shows; all 0 if that is nothing."""
        return tuple(cv2.boundingRect(self.left.astype(np.uint8)))  # type: ignore[return-value]


class RectifiedPair(NamedTuple):
    """A rectified pair: the first arguments of `StereoDepthEstimator.estimate`."""

    left: np.ndarray
    """(H, W, 3) uint8 RGB."""
    right: np.ndarray
    """The same."""
    rig: StereoRig
    """Of these images."""
    shown: Shown | None = None
    """None if all of both images is shown."""


@dataclass(frozen=True, eq=False, repr=False)
class Rectifier(HoldsArrays):
    """Rectifies the pairs of one rig.

    Attributes:
        rig: of the rectified images, which are as large as the raw ones.
        shown: which of their pixels the raw images show.
        is_identity: rectified images are the raw ones, since the calibration has no distortion, turn or other focal length.
        maps: of the left and the right camera, as OpenCV's remap takes them.
    """

    rig: StereoRig
    shown: Shown
    is_identity: bool
    maps: tuple[tuple[np.ndarray, np.ndarray], ...]

    @classmethod
    def from_calibrations(cls, left: Calibration, right: Calibration, image_size: tuple[int, int] | None = None) -> Rectifier:
        """The rectifier of these cameras, computed once and kept.

        Args:
            left: as published with the left raw image.
            right: as published with the right raw image.
            image_size: (width, height) of both images, if they may be resized.

        Raises:
            CalibrationError: they describe no rig (see `StereoRig.from_calibrations`), or K, D or R of a camera cannot be used.
        """
        return _rectifier(_rounded(left), _rounded(right), image_size)

    def __call__(self, left: np.ndarray, right: np.ndarray) -> RectifiedPair:
        """Rectify a pair.

        Args:
            left: (H, W) or (H, W, C) uint8 or uint16, raw.
            right: the same of the right camera.

        Raises:
            InputError: an image has not the size of the calibration.
        """
        rectified = []
        for side, image, maps in zip(("left", "right"), (left, right), self.maps, strict=True):
            size = image.shape[1], image.shape[0]
            expected = self.rig.left.width, self.rig.left.height
            if size != expected:
                raise InputError(
                    f"the {side} image is {size[0]}x{size[1]} but is to be rectified at {expected[0]}x{expected[1]}; "
                    "both images must have one size, that of the calibration or image_size"
                )
            rectified.append(cv2.remap(image, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
        return RectifiedPair(rectified[0], rectified[1], self.rig, None if self.shown.everything else self.shown)


def raw_pixels(calibration: Calibration, camera: PinholeCamera) -> np.ndarray:
    """Where the raw image shows what each pixel of the rectified camera sees.

    Args:
        calibration: of the raw camera, for images of the size at hand (`Calibration.for_image`).
        camera: the rectified one.

    Returns:
        (H, W, 2) float64, x and y in pixels, inside the image or not; NaN where the lens shows nothing.

    Raises:
        CalibrationError: K, D or R cannot be used.
    """
    v, u = np.indices((camera.height, camera.width), dtype=np.float64)
    rectified = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones_like(u)], axis=-1)
    raw = rectified @ _rotation(calibration)  # a row times R is R transposed times a column
    in_front = raw[..., 2] > 0
    rays = raw[..., :2] / np.where(in_front, raw[..., 2], np.nan)[..., None]
    pixels = project_to_pixels(calibration, rays)
    pixels[~reaches_image(calibration, rays)] = np.nan
    return pixels


def rectified_points(calibration: Calibration, points: np.ndarray) -> np.ndarray:
    """Where the rectified image shows what a raw one shows at some points; the inverse of `raw_pixels`.

    Args:
        calibration: of the raw camera, for images of the size at hand (`Calibration.for_image`). Zeros for R are no turn.
        points: (N, 2), x and y in pixels of the raw image.

    Returns:
        (N, 2) float64, x and y in pixels; NaN where the lens shows nothing.

    Raises:
        CalibrationError: K, D or R cannot be used.
    """
    rays = rays_of_points(calibration, points)
    turned = np.column_stack((rays, np.ones(len(rays))))
    if any(calibration.R):
        turned = turned @ _rotation(calibration).T
    x, y, depth = (turned @ np.reshape(calibration.P, (3, 4))[:, :3].T).T
    return np.column_stack((x, y)) / np.where(depth > 0, depth, np.nan)[:, None]


@lru_cache(maxsize=_KEPT_RIGS)
def _rectifier(left: Calibration, right: Calibration, image_size: tuple[int, int] | None) -> Rectifier:
    rig = StereoRig.from_calibrations(left, right, image_size)
    pixels = []
    for side, calibration, camera in (("left", left, rig.left), ("right", right, rig.right)):
        try:
            pixels.append(raw_pixels(calibration.for_image((camera.width, camera.height)), camera))
        except CalibrationError as error:
            raise CalibrationError(f"{side} camera: {error}") from None
    grid = np.stack(np.meshgrid(np.arange(rig.left.width), np.arange(rig.left.height)), axis=-1)
    return Rectifier(
        rig,
        Shown(*map(_is_inside, pixels)),
        all(np.abs(where - grid).max() < _TOLERANCE_PX for where in pixels),
        tuple(map(_remap_maps, pixels)),
    )


def _rounded(calibration: Calibration) -> Calibration:
    K, D, R, P = (
        tuple(float(f"{number:.{_DIGITS}g}") for number in numbers)
        for numbers in (calibration.K, calibration.D, calibration.R, calibration.P)
    )
    return dataclasses.replace(calibration, K=K, D=D, R=R, P=P)


def _rotation(calibration: Calibration) -> np.ndarray:
    """R, (3, 3)."""
    R = np.array(calibration.R, dtype=np.float64)
    if R.size == 9 and np.isfinite(R).all():
        R = R.reshape(3, 3)
        if np.linalg.det(R) > 0 and np.abs(R @ R.T - np.eye(3)).max() < _MAX_ROTATION_ERROR:
            return R
    raise CalibrationError(
        f"R is {list(calibration.R)}; it must be 9 numbers of a rotation. Calibrate the pair "
        "(camera_calibration cameracalibrator), or rectify the images before"
    )


def _is_inside(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 2) pixels of an image of this size -> (H, W) bool; NaN is outside."""
    last = np.array(pixels.shape[1::-1]) - 1
    inside = (pixels >= -_TOLERANCE_PX) & (pixels <= last + _TOLERANCE_PX)
    return inside[..., 0] & inside[..., 1]


def _remap_maps(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As `cv2.remap` is quickest with."""
    height, width = pixels.shape[:2]
    x, y = np.moveaxis(np.nan_to_num(pixels, nan=-1.0).clip(-1, (width, height)).astype(np.float32), -1, 0)
    return cv2.convertMaps(x, y, cv2.CV_16SC2)  # type: ignore[return-value]
