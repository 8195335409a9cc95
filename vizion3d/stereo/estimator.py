# SPDX-License-Identifier: Apache-2.0
"""The exact door to stereo depth: arrays and a rig in, tensors out. The API, the command line and the node use it."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from vizion3d import geometry
from vizion3d.camera import PinholeCamera, StereoRig
from vizion3d.errors import InputError
from vizion3d.images import check_rgb, rgb_tensor
from vizion3d.pointcloud import PointCloud
from vizion3d.resize import ResizePlan
from vizion3d.stereo.matcher import StereoMatcher
from vizion3d.stereo.s2m2_matcher import S2M2Matcher
from vizion3d.stereo.sgbm import SgbmMatcher

DEFAULT_MODEL = "s2m2-s"


@dataclass(frozen=True)
class ValidityLimits:
    """Which pixels count as measured.

    Attributes:
        z_far: depth in metres from which on a pixel is not trusted.
        conf_threshold: smallest confidence, 0..1.
        occ_threshold: smallest visibility, 0..1 (high = seen by both cameras).

    Raises:
        InputError: a number is outside its range.
    """

    z_far: float = 50.0
    conf_threshold: float = 0.1
    occ_threshold: float = 0.5

    def __post_init__(self) -> None:
        if not (math.isfinite(self.z_far) and self.z_far > 0):
            raise InputError(f"z_far is {self.z_far}; it must be positive and finite, in metres")
        for name in ("conf_threshold", "occ_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}; it must be from 0 to 1")


@dataclass(frozen=True)
class StereoPrediction:
    """What was found for each pixel of the left image. Tensors are (H, W) float32 on the matcher's device.

    Attributes:
        disparity_px: x_left - x_right in pixels of the input images; NaN, infinite or negative values are left in.
        confidence: 0..1, how sure the disparity is.
        occlusion: visibility 0..1 despite its customary name: near 1 = seen by both cameras.
        rig: the rig that the images belong to.
        max_disparity_px: largest disparity that was searched; None if there was no limit but the image.
        disparity_step_px: smallest increment of the disparity.
    """

    disparity_px: torch.Tensor
    confidence: torch.Tensor
    occlusion: torch.Tensor
    rig: StereoRig
    max_disparity_px: float | None
    disparity_step_px: float

    @cached_property
    def depth_m(self) -> torch.Tensor:
        """Depth along the optical axis in metres, NaN where the disparity gives none."""
        return geometry.depth_from_disparity(self.disparity_px, self.rig)

    def valid(self, limits: ValidityLimits) -> torch.Tensor:
        """(H, W) bool: depth below z_far, confidence and visibility at least at their thresholds."""
        trusted = (self.confidence >= limits.conf_threshold) & (self.occlusion >= limits.occ_threshold)
        return (self.depth_m < limits.z_far) & trusted

    def point_cloud(self, left: np.ndarray, limits: ValidityLimits) -> PointCloud:
        """The organised cloud of the valid pixels, coloured by the left image, (H, W, 3) uint8 RGB."""
        depth_m = torch.where(self.valid(limits), self.depth_m, torch.nan)
        return PointCloud(geometry.unproject(depth_m, self.rig.left).cpu().numpy(), left)


class StereoDepthEstimator:
    """Rectified pairs to depth with one matcher, loaded once.

    Args:
        model: "sgbm" (no weights, on the CPU); S2M2 weights: a registry name ("s2m2-s"), a path or an address; or a matcher
            of your own, which brings its device.
        device: "auto", "cpu", "mps", "cuda" or "cuda:N".
        precision: of a network: "auto" (float16 on CUDA, else float32), "float32" or "float16".

    Raises:
        InputError: there is no such device or precision.
        WeightsError: there are no such weights, or they cannot be had or loaded.
    """

    def __init__(
        self, model: str | os.PathLike[str] | StereoMatcher = DEFAULT_MODEL, device: str = "auto", *, precision: str = "auto"
    ) -> None:
        self.matcher = _open_matcher(model, device, precision) if isinstance(model, (str, os.PathLike)) else model

    @torch.inference_mode()
    def estimate(
        self, left: np.ndarray, right: np.ndarray, rig: StereoRig, *, scale_factor: float | None = None
    ) -> StereoPrediction:
        """Match a rectified pair.

        Args:
            left, right: (H, W, 3) uint8 RGB.
            rig: of these images, at their size.
            scale_factor: size to match at, as a part of the image size; None takes the matcher's own limit.

        Raises:
            InputError: the sizes differ from each other or from the rig's, or are too small to match.
        """
        height, width = _common_size(left, right, rig)
        max_width, max_height = self.matcher.max_size or (None, None)
        plan = ResizePlan.fit(
            height,
            width,
            scale_factor=scale_factor,
            max_width=max_width,
            max_height=max_height,
            multiple=self.matcher.multiple,
        )
        if min(plan.work_height, plan.work_width) < self.matcher.min_side:
            raise InputError(
                f"the images are {width}x{height} and would be matched at {plan.work_width}x{plan.work_height}; "
                f"{self.matcher.name} needs at least {self.matcher.min_side} pixels in both directions"
            )
        pair = (rgb_tensor(image, self.matcher.device).permute(2, 0, 1)[None].float() for image in (left, right))
        matches = self.matcher.match(*(plan.apply(image) for image in pair))
        return StereoPrediction(
            disparity_px=plan.undo_disparity(matches.disparity)[0, 0],
            confidence=plan.undo(matches.confidence)[0, 0],
            occlusion=plan.undo(matches.visibility)[0, 0],
            rig=rig,
            max_disparity_px=None if matches.max_disparity is None else matches.max_disparity / plan.sx,
            disparity_step_px=matches.step / plan.sx,
        )

    def warm_up(self) -> None:
        """Match an empty pair, so that the first real one does not pay for what is done only once.

        On a GPU the pair is as large as usual, because kernels are chosen by size; elsewhere a small one does.
        """
        width, height = (64, 64) if self.matcher.device.type == "cpu" else (640, 480)
        rig = StereoRig(PinholeCamera(width, height, width, width, width / 2, height / 2), 0.1)
        image = np.zeros((height, width, 3), np.uint8)
        self.estimate(image, image, rig)


def _open_matcher(model: str | os.PathLike[str], device: str, precision: str) -> StereoMatcher:
    if model == "sgbm":
        if device not in ("auto", "cpu"):
            raise InputError(f'sgbm runs on the CPU; device is "{device}", use "auto" or "cpu"')
        return SgbmMatcher()
    return S2M2Matcher.load(model, device, precision)


def _common_size(left: np.ndarray, right: np.ndarray, rig: StereoRig) -> tuple[int, int]:
    check_rgb(left, "the left image")
    check_rgb(right, "the right image")
    height, width = left.shape[:2]
    if left.shape != right.shape:
        raise InputError(
            f"the left image is {width}x{height} but the right one is {right.shape[1]}x{right.shape[0]}; "
            "a rectified pair has one size"
        )
    if (rig.left.width, rig.left.height) != (width, height):
        raise InputError(
            f"the images are {width}x{height} but the rig is for {rig.left.width}x{rig.left.height}; "
            "give image_size when making the rig, or use rig.scaled() / rig.cropped()"
        )
    return height, width
