# SPDX-License-Identifier: Apache-2.0
"""A stereo pair and the truth about it, from files or drawn; windows of pairs; and a picture of one camera with its truth."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from vizion3d.camera import Calibration, PinholeCamera, StereoRig
from vizion3d.errors import InputError
from vizion3d.evaluate.visibility import lands_inside
from vizion3d.images import load_rgb_pair
from vizion3d.rectify import RectifiedPair, Rectifier


@dataclass(frozen=True, eq=False)
class StereoCase:
    """A pair with its truth.

    Attributes:
        name: short, for tables.
        left, right: (H, W, 3) RGB, uint8, or uint16 with `bits`; raw ones if `raw` is given, else rectified.
        truth_px: (H, W) float64 disparity x_left - x_right of the rectified pair, NaN where unknown.
        visible: (H, W) bool, both cameras see that point; None if it is not known.
        rig: of the rectified pair; None if it is not known, then only disparity can be judged.
        bits: of each colour; the values go from 0 to ``2**bits - 1``.
        raw: left and right calibration of raw images; None if the images are rectified.
    """

    name: str
    left: np.ndarray
    right: np.ndarray
    truth_px: np.ndarray
    visible: np.ndarray | None = None
    rig: StereoRig | None = None
    bits: int = 8
    raw: tuple[Calibration, Calibration] | None = None

    @property
    def doffs_px(self) -> float:
        """cx_right - cx_left; 0 if the rig is not known."""
        return self.rig.doffs_px if self.rig else 0.0

    @property
    def depth_m(self) -> np.ndarray | None:
        """(H, W) float64 true depth, NaN where unknown; None if the rig is not known."""
        if self.rig is None:
            return None
        corrected = self.truth_px + self.rig.doffs_px
        out = np.full(corrected.shape, np.nan)
        return np.divide(self.rig.left.fx * self.rig.baseline_m, corrected, out=out, where=corrected > 0)

    def rectified_pair(self) -> RectifiedPair:
        """Both images as every door of vizion3d decodes them, raw ones rectified; a rig that is not known is made up."""
        left, right = load_rgb_pair(self.left, self.right, (f"left image of {self.name}", f"right image of {self.name}"))
        if self.raw:
            return Rectifier.from_calibrations(*self.raw)(left, right)
        return RectifiedPair(left, right, self.rig or StereoRig.uncalibrated(left.shape[1], left.shape[0]))

    def window(self, part: int) -> StereoCase:
        """The middle 1/part of width and height, the same window of both images, as a driver's ROI cuts it.

        What was seen beside the window of the right image is not visible any more.

        Raises:
            InputError: part is not 1 or more, or the images are raw.
        """
        if part < 1 or self.raw:
            raise InputError(f"a window of 1/{part} of {self.name}; the part must be 1 or more, the images rectified")
        full_height, full_width = self.truth_px.shape
        width, height = full_width // part, full_height // part
        x, y = (full_width - width) // 2, (full_height - height) // 2
        cut = np.s_[y : y + height, x : x + width]
        truth_px = self.truth_px[cut]
        # Not known to be hidden counts as seen, so that the window has its mask although the whole picture has none.
        visible = np.isfinite(truth_px) if self.visible is None else self.visible[cut]
        return dataclasses.replace(
            self,
            name=f"{self.name}/{part}",
            left=self.left[cut],
            right=self.right[cut],
            truth_px=truth_px,
            visible=visible & lands_inside(truth_px),
            rig=self.rig and self.rig.cropped(x, y, width, height),
        )


@dataclass(frozen=True, eq=False)
class MonoCase:
    """A picture with its truth.

    Attributes:
        name: short, for tables.
        rgb: (H, W, 3) uint8.
        truth_m: (H, W) float64 depth, NaN where unknown.
        camera: without its distortion; None if it is not known.
        no_camera: why it is not known, or what helps.
    """

    name: str
    rgb: np.ndarray
    truth_m: np.ndarray
    camera: PinholeCamera | None = None
    no_camera: str = ""
