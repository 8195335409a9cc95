# SPDX-License-Identifier: Apache-2.0
"""Cameras as values: what a calibration says, a pinhole camera, a rectified stereo rig.

Pixel centres are at integer (u, v), u to the right and v down. Lengths are metres, everything else is pixels. All records
are frozen and refuse numbers that cannot be right when they are made, so code that holds one need not check again.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from vizion3d.errors import CalibrationError

_LOG = logging.getLogger(__name__)

# Two cameras count as having one focal length or one principal row if they agree to this.
_MAX_FOCAL_LENGTH_MISMATCH = 1e-3
_MAX_ROW_MISMATCH_PX = 1.0
# Rows per pixel of disparity: calibrations leave some thousandths, a camera above the other one is beyond all bounds.
_MAX_ROW_SLOPE = 0.05
# Shorter ones are rounding errors of a rectification.
_MIN_BASELINE_M = 1e-6
# An image may be a resized version of the calibrated one; beyond this it has another shape and is another crop.
_MAX_ASPECT_CHANGE = 0.02
# Pixels. What is beyond is no camera's, and its rays or their squares are no numbers any more.
_FOCAL_LENGTHS = 1e-6, 1e9


@dataclass(frozen=True)
class Calibration:
    """The numbers of a ``sensor_msgs/CameraInfo`` or a camera_calibration YAML file, as they are written there.

    Attributes:
        width, height: size of the full, unbinned image in pixels; 0 means unknown.
        K: 9 numbers, intrinsics of the raw image, row-major.
        D: distortion coefficients, as many as the model has.
        R: 9 numbers, rotation from the camera to the rectified frame.
        P: 12 numbers, projection of the rectified image; ``P[3] = -fx * baseline`` for a right camera.
        distortion_model: "plumb_bob", "rational_polynomial", "equidistant" or "fisheye"; "" is none.
        binning: (x, y) pixels that were combined into one; 0 means 1.
        roi: (x, y, width, height) of the part that was read out, in unbinned pixels; all 0 means everything.
    """

    width: int
    height: int
    K: tuple[float, ...]
    D: tuple[float, ...]
    R: tuple[float, ...]
    P: tuple[float, ...]
    distortion_model: str = "plumb_bob"
    binning: tuple[int, int] = (1, 1)
    roi: tuple[int, int, int, int] = (0, 0, 0, 0)

    @classmethod
    def rectified(cls, width: int, height: int, P: tuple[float, ...]) -> Calibration:
        """A camera whose images are rectified, so that P is all there is to it."""
        K = (*P[0:3], *P[4:7], *P[8:11])
        identity = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
        return cls(width, height, K, (), identity, P, distortion_model="")

    @property
    def effective_binning(self) -> tuple[int, int]:
        """(x, y) binning with 0 read as 1."""
        return max(1, self.binning[0]), max(1, self.binning[1])

    @property
    def image_size(self) -> tuple[int, int]:
        """(width, height) of the image that this calibration announces: the ROI, binned; (0, 0) if unknown."""
        _, _, roi_width, roi_height = self.roi
        width, height = (roi_width, roi_height) if roi_width and roi_height else (self.width, self.height)
        return width // self.effective_binning[0], height // self.effective_binning[1]

    def image_scale(self, image_size: tuple[int, int] | None) -> tuple[float, float]:
        """(sx, sy) from the announced image to the one at hand, ``image_size`` = (width, height).

        Raises:
            CalibrationError: the two have different shapes, so that one is not a resized version of the other.
        """
        announced = self.as_read_out(image_size).image_size
        if image_size is None or 0 in announced or 0 in image_size:
            return 1.0, 1.0
        sx, sy = image_size[0] / announced[0], image_size[1] / announced[1]
        if abs(sx / sy - 1) > _MAX_ASPECT_CHANGE:
            raise CalibrationError(
                f"the image is {image_size[0]}x{image_size[1]} but its calibration is for {announced[0]}x{announced[1]}: "
                "different shapes, so the image is cropped or the calibration belongs to another mode; "
                "crop with roi set in CameraInfo, or calibrate this mode"
            )
        return sx, sy

    def for_image(self, image_size: tuple[int, int] | None = None) -> Calibration:
        """The same camera in the pixels of the image at hand: binning, ROI and resizing worked into K and P.

        Binning divides as image_geometry does; resizing keeps pixel centres half a pixel inside their pixels.

        Args:
            image_size: (width, height) of the image, if it may differ from what the calibration announces.

        Raises:
            CalibrationError: see `image_scale`; or the ROI is not inside the image.
        """
        self._check_roi()
        taken = self.as_read_out(image_size)
        sx, sy = taken.image_scale(image_size)
        ax, ay = sx / taken.effective_binning[0], sy / taken.effective_binning[1]
        x, y, _, _ = taken.roi
        half_x, half_y = (sx - 1) / 2, (sy - 1) / 2
        width, height = image_size or taken.image_size
        K, P = self.K, self.P
        if K:
            K = (ax * K[0], ax * K[1], ax * (K[2] - x) + half_x, K[3], ay * K[4], ay * (K[5] - y) + half_y, *K[6:])
        if P:
            cx, cy = ax * (P[2] - x) + half_x, ay * (P[6] - y) + half_y
            P = (ax * P[0], ax * P[1], cx, ax * P[3], P[4], ay * P[5], cy, ay * P[7], *P[8:])
        return dataclasses.replace(self, width=width, height=height, K=K, P=P, binning=(1, 1), roi=(0, 0, 0, 0))

    def as_read_out(self, image_size: tuple[int, int] | None) -> Calibration:
        """This calibration without a ROI or binning that the image at hand does not have, for it is as large as without."""
        taken, full = self, (self.width, self.height)
        if image_size == full:
            taken = dataclasses.replace(self, binning=(1, 1), roi=(0, 0, 0, 0))
        elif image_size == tuple(side // factor for side, factor in zip(full, self.effective_binning, strict=True)):
            taken = dataclasses.replace(self, roi=(0, 0, 0, 0))
        if taken.image_size != self.image_size:
            _tell_once(self._passed_over(taken))
        if taken.effective_binning != (1, 1) and self._looks_binned_already():
            bx, by = taken.effective_binning
            _tell_once(
                f"K and P with binning {bx}x{by} look like those of the binned image: their principal point is its middle; "
                f"then depth is wrong by a factor of {bx}. In CameraInfo K, P, width and height are of the full image"
            )
        return taken

    def _passed_over(self, taken: Calibration) -> str:
        size = "x".join(map(str, taken.image_size))
        if taken.effective_binning != self.effective_binning:
            bx, by = self.effective_binning
            return f"the image is {size} and so is its CameraInfo without binning: binning {bx}x{by} and roi are passed over"
        x, y, width, height = self.roi
        return (
            f"the image is {size}, whole, but its CameraInfo has a roi of {width}x{height} at ({x}, {y}): this is taken as the "
            "part with valid pixels, not as a crop. Leave roi at 0 for whole images"
        )

    def _looks_binned_already(self) -> bool:
        """Whether the principal point is nearer to the middle of the binned image than of the full one."""
        for factor, size, place in zip(self.effective_binning, (self.width, self.height), ((2, 2), (5, 6)), strict=True):
            centres = [numbers[at] for numbers, at in zip((self.K, self.P), place, strict=True) if any(numbers)]
            if factor > 1 and any(abs(c - size / factor / 2) >= abs(c - size / 2) for c in centres):
                return False
        return bool(self.width and self.height)

    def _check_roi(self) -> None:
        x, y, width, height = self.roi
        if self.width and self.height and (x + max(1, width) > self.width or y + max(1, height) > self.height):
            raise CalibrationError(
                f"the roi is {width}x{height} at ({x}, {y}), outside of the {self.width}x{self.height} image; "
                "give it in unbinned pixels of the whole image, or all 0 for everything"
            )


@dataclass(frozen=True)
class PinholeCamera:
    """An ideal camera: ``u = fx * X/Z + cx``, ``v = fy * Y/Z + cy`` in the optical frame (x right, y down, z forward).

    Raises:
        CalibrationError: size or focal length not positive, any number not finite, or a focal length that no camera has.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        if self.width <= 0 or self.height <= 0:
            raise CalibrationError(f"the image size is {self.width}x{self.height}; both must be positive")
        for name in ("fx", "fy", "cx", "cy"):
            value = getattr(self, name)
            if not math.isfinite(value):
                raise CalibrationError(f"{name} is {value}; it must be a finite number of pixels")
        if self.fx == 0 and self.fy == 0:
            raise CalibrationError("fx and fy are 0: the camera is not calibrated (a driver without calibration sends zeros)")
        for name in ("fx", "fy"):
            value = getattr(self, name)
            if value <= 0:
                raise CalibrationError(f"{name} is {value}; a focal length must be positive")
            if not _FOCAL_LENGTHS[0] <= value <= _FOCAL_LENGTHS[1]:
                raise CalibrationError(f"{name} is {value}; a focal length is a number of pixels, such as {self.width}")

    @classmethod
    def from_calibration(cls, calibration: Calibration, image_size: tuple[int, int] | None = None) -> PinholeCamera:
        """Camera of the rectified image, from P, with binning, ROI and a resized image taken into account.

        Args:
            calibration: as published with the image.
            image_size: (width, height) of the image at hand, if it may differ from what the calibration announces.
        """
        if len(calibration.P) != 12:
            raise CalibrationError(f"P has {len(calibration.P)} numbers; 12 are needed")
        own = calibration.for_image(image_size)
        camera = cls(own.width, own.height, fx=own.P[0], fy=own.P[5], cx=own.P[2], cy=own.P[6])
        # A window need not hold the principal point, the whole image does.
        whole = calibration if calibration.width and calibration.height else own
        cx, cy, width, height = whole.P[2], whole.P[6], whole.width, whole.height
        if not (0 <= cx <= width and 0 <= cy <= height):
            raise CalibrationError(
                f"the principal point ({cx:.6g}, {cy:.6g}) is outside of the {width}x{height} image: "
                "the calibration belongs to another camera or mode; calibrate this one, and set width, height, binning and roi"
            )
        return camera

    @property
    def K(self) -> np.ndarray:
        """Intrinsic matrix, (3, 3) float64."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], dtype=np.float64)

    def scaled(self, sx: float, sy: float) -> PinholeCamera:
        """The camera of an image resized by (sx, sy): to whole pixels, so by what this really is."""
        width, height = round(self.width * sx), round(self.height * sy)
        sx, sy = width / self.width, height / self.height
        cx, cy = sx * self.cx + (sx - 1) / 2, sy * self.cy + (sy - 1) / 2
        return PinholeCamera(width, height, self.fx * sx, self.fy * sy, cx, cy)

    def cropped(self, x: int, y: int, width: int, height: int) -> PinholeCamera:
        """The camera of the window with top left corner (x, y)."""
        return PinholeCamera(width, height, self.fx, self.fy, self.cx - x, self.cy - y)


@dataclass(frozen=True)
class StereoRig:
    """Two cameras after rectification: rows aligned, one focal length, the right one ``baseline_m`` to the right.

    ``Z = left.fx * baseline_m / (disparity + doffs_px)`` with disparity = x_left - x_right.

    Attributes:
        left: camera of the left image, which is the reference of every output.
        baseline_m: distance of the optical centres in metres.
        doffs_px: cx_right - cx_left in pixels; 0 for most rectified rigs, not for Middlebury's.
        row_offset_px: cy_right - cy_left in pixels; what a rectification leaves, for points infinitely far.
        row_slope: rows by which the right image is lower, per pixel of disparity + doffs; what a rectification leaves.

    Raises:
        CalibrationError: the baseline is not positive (swapped cameras), or a number is not finite.
    """

    left: PinholeCamera
    baseline_m: float
    doffs_px: float = 0.0
    row_offset_px: float = 0.0
    row_slope: float = 0.0

    def __post_init__(self) -> None:
        for name in ("baseline_m", "doffs_px", "row_offset_px", "row_slope"):
            if not math.isfinite(getattr(self, name)):
                raise CalibrationError(f"{name} is {getattr(self, name)}; it must be finite")
        if abs(self.baseline_m) < _MIN_BASELINE_M:
            raise CalibrationError(
                "the baseline is 0: P[3] of the right camera must be -fx * baseline. "
                "Both CameraInfo may come from one camera, or the pair was calibrated as two single cameras"
            )
        if self.baseline_m < 0:
            raise CalibrationError(
                f"the baseline is {self.baseline_m:.6g} m; it must be positive. Left and right are swapped: "
                "exchange the two cameras (images and camera_info together)"
            )

    @classmethod
    def from_calibrations(cls, left: Calibration, right: Calibration, image_size: tuple[int, int] | None = None) -> StereoRig:
        """Rig from both P: ``baseline = -(P_r[3]/P_r[0] - P_l[3]/P_l[0])``, ``doffs = cx_r - cx_l``.

        Args:
            left: as published with the left image.
            right: as published with the right image.
            image_size: (width, height) of both images, if they may be resized.

        Raises:
            CalibrationError: the numbers are zero, not finite, swapped, or those of two unrelated cameras.
        """
        cameras = []
        for side, calibration in (("left", left), ("right", right)):
            if not any(calibration.P):
                raise CalibrationError(
                    f"P of the {side} camera is all zeros: not calibrated. "
                    "Calibrate the pair (camera_calibration cameracalibrator) or load its calibration in the driver"
                )
            try:
                if not all(map(math.isfinite, calibration.P)):
                    raise CalibrationError(f"P is {list(calibration.P)}; all numbers must be finite")
                cameras.append(PinholeCamera.from_calibration(calibration, image_size))
            except CalibrationError as error:
                raise CalibrationError(f"{side} camera: {error}") from None
        left_camera, right_camera = cameras
        if (left_camera.width, left_camera.height) != (right_camera.width, right_camera.height):
            raise CalibrationError(
                f"the left calibration is for {left_camera.width}x{left_camera.height} and the right one for "
                f"{right_camera.width}x{right_camera.height}; a stereo pair has one size"
            )
        for name in ("fx", "fy"):
            f_left, f_right = getattr(left_camera, name), getattr(right_camera, name)
            if abs(f_left - f_right) > _MAX_FOCAL_LENGTH_MISMATCH * f_left:
                raise CalibrationError(
                    f"{name} differs: left {f_left:.6g}, right {f_right:.6g}. A rectified pair has one focal length: "
                    "P must come from one stereo calibration, not from two single ones"
                )
        row_offset_px = right_camera.cy - left_camera.cy
        tx_m, ty_m = (left.P[i] / left.P[j] - right.P[i] / right.P[j] for i, j in ((3, 0), (7, 5)))
        aligned = abs(ty_m) <= max(_MAX_ROW_SLOPE * abs(tx_m), _MIN_BASELINE_M)
        if abs(row_offset_px) > _MAX_ROW_MISMATCH_PX or not aligned:
            raise CalibrationError(
                f"the rows are not aligned: cy left {left_camera.cy:.6g}, right {right_camera.cy:.6g}, "
                f"P[7] left {left.P[7]:.6g}, right {right.P[7]:.6g}. The pair is not rectified horizontally"
            )
        row_slope = -ty_m * left_camera.fy / (tx_m * left_camera.fx) if abs(tx_m) >= _MIN_BASELINE_M else 0.0
        return cls(left_camera, tx_m, right_camera.cx - left_camera.cx, row_offset_px, row_slope)

    @classmethod
    def uncalibrated(cls, width: int, height: int) -> StereoRig:
        """A stand-in for a pair whose calibration is not known: its disparities are right, its depths mean nothing.

        The baseline is so small that whatever has a disparity is nearer than any limit of depth that people set.
        """
        return cls(PinholeCamera(width, height, width, width, width / 2, height / 2), baseline_m=0.001)

    @property
    def right(self) -> PinholeCamera:
        """Camera of the right image."""
        return dataclasses.replace(self.left, cx=self.left.cx + self.doffs_px, cy=self.left.cy + self.row_offset_px)

    def rows_off(self, disparity_px: float) -> float:
        """How many rows lower a point of this disparity is in the right image, by the calibration alone."""
        return self.row_offset_px + self.row_slope * (disparity_px + self.doffs_px)

    def scaled(self, sx: float, sy: float) -> StereoRig:
        """The rig of a pair resized by (sx, sy)."""
        left = self.left.scaled(sx, sy)
        sx, sy = left.fx / self.left.fx, left.fy / self.left.fy
        return StereoRig(left, self.baseline_m, self.doffs_px * sx, self.row_offset_px * sy, self.row_slope * sy / sx)

    def cropped(self, x: int, y: int, width: int, height: int) -> StereoRig:
        """The rig of the same window cut out of both images."""
        return dataclasses.replace(self, left=self.left.cropped(x, y, width, height))


@lru_cache(maxsize=64)
def _tell_once(text: str) -> None:
    _LOG.warning("%s", text)
