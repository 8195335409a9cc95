# SPDX-License-Identifier: Apache-2.0
"""The exact door to stereo depth: arrays and a rig in, tensors out. The API, the command line and the node use it."""

from __future__ import annotations

import logging
import math
import os

import numpy as np
import torch
import torch.nn.functional as F

from vizion3d.camera import PinholeCamera, StereoRig
from vizion3d.errors import InputError
from vizion3d.images import check_rgb, rgb_tensor
from vizion3d.option_records import without_effect
from vizion3d.options import ROBOT_STEREO_MODEL, StereoOptions
from vizion3d.rectify import Shown
from vizion3d.stereo.matchers import StereoMatcher, open_matcher, sigma_of_confidence
from vizion3d.stereo.prediction import StereoPrediction
from vizion3d.stereo.resize import ResizePlan
from vizion3d.stereo.row_check import tell_calibrated_rows
from vizion3d.stereo.search_range import BEYOND_PX, wanted_disparity
from vizion3d.stereo.widening import Widening

_LOG = logging.getLogger(__name__)


class StereoDepthEstimator:
    """Rectified pairs to depth with one matcher, loaded once.

    Args:
        model: "sgbm" (no weights, on the CPU); weights of LAS2 or S2M2: a registry name ("las2-s", "s2m2-s"), a path or an
            address; or a matcher of your own, which brings its device.
        device: "auto", "cpu", "mps", "cuda" or "cuda:N".
        precision: of a network: "auto" (float16 on CUDA, else float32), "float32" or "float16".
        engine: what runs a network, see `StereoOptions.engine`.

    Raises:
        InputError: there is no such device, precision or engine.
        WeightsError: there are no such weights, or they cannot be had or loaded.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | StereoMatcher = ROBOT_STEREO_MODEL,
        device: str = "auto",
        *,
        precision: str = "auto",
        engine: str = "eager",
    ) -> None:
        options = StereoOptions(device=device, precision=precision, engine=engine)
        if isinstance(model, (str, os.PathLike)):
            model = open_matcher(model, options)
        elif not hasattr(model, "match"):
            raise InputError(f"model is {model!r:.60}; a name, a path, an address or a matcher is needed")
        self.matcher = model
        self._told: set[str] = set()

    @classmethod
    def open(cls, model: str | os.PathLike[str], options: StereoOptions) -> StereoDepthEstimator:
        """The estimator that these options describe."""
        estimator = cls(open_matcher(model, options))
        estimator.tell_without_effect(options)
        return estimator

    def tell_without_effect(self, options: StereoOptions) -> None:
        """Log, once, which options do nothing: those of other models, and thresholds of what this one does not give."""
        matcher = self.matcher
        texts = [without_effect(options, matcher.architecture)]
        if not matcher.has_confidence:
            texts.append(f"{matcher.name} gives no confidence: conf_threshold has no effect")
        if not matcher.has_visibility:
            texts.append(f"{matcher.name} gives no visibility: occ_threshold has no effect")
        for text in {*texts} - {""} - self._told:
            self._told.add(text)
            _LOG.warning(text)

    def describe(self) -> str:
        """Model and device in one line."""
        return self.matcher.describe()

    @torch.no_grad()
    def estimate(
        self,
        left: np.ndarray,
        right: np.ndarray,
        rig: StereoRig,
        shown: Shown | None = None,
        *,
        scale_factor: float | None = None,
        max_disparity_px: float | None = None,
        z_near_m: float | None = None,
    ) -> StereoPrediction:
        """Match a rectified pair.

        Args:
            left: (H, W, 3) uint8 RGB.
            right: the same of the right camera.
            rig: of these images, at their size.
            shown: which pixels the raw images show, if these are rectified from them; None is all.
            scale_factor: size to match at, as a part of the image size; None takes the matcher's own limit.
            max_disparity_px: largest disparity that counts, in pixels of these images. Matchers whose range is fixed pass
                over it.
            z_near_m: nearest depth that counts; it sets the range where max_disparity_px does not. Without either the
                matcher's default holds.

        Raises:
            InputError: the sizes differ from each other or from the rig's, or are too small to match; or max_disparity_px
                ends before z_near_m.
        """
        height, width = common_size(left, right, rig)
        max_width, max_height = self.matcher.max_size or (None, None)
        plan = ResizePlan.fit(
            height,
            width,
            scale_factor=scale_factor,
            max_width=max_width,
            max_height=max_height,
        )
        if min(plan.work_height, plan.work_width) < self.matcher.min_side:
            raise InputError(
                f"the images are {width}x{height} and would be matched at {plan.work_width}x{plan.work_height}; "
                f"{self.matcher.name} needs at least {self.matcher.min_side} pixels in both directions"
            )
        widening = Widening.for_doffs(rig.doffs_px * plan.sx, plan.work_width)
        pair = widening.apply(*(self._at_working_size(image, plan) for image in (left, right)))
        limit = self._limit(rig, plan, widening, max_disparity_px, z_near_m)
        whole = pair[0].shape[-1]  # no disparity is larger
        matches = self.matcher.match(*pair, None if limit is None else min(limit + BEYOND_PX, whole))
        if matches.max_disparity is not None and matches.max_disparity < whole:
            limit = min(limit or math.inf, matches.max_disparity - BEYOND_PX)
        confidence, visibility = (
            None if certainty is None else plan.undo(widening.undo(certainty))[0, 0]
            for certainty in (matches.confidence, matches.visibility)
        )
        prediction = StereoPrediction(
            disparity_px=plan.undo_disparity(widening.undo_disparity(matches.disparity))[0, 0],
            confidence=confidence,
            visibility=visibility,
            rig=rig,
            max_disparity_px=None if limit is None else (limit - widening.shift_px) / plan.sx,
            disparity_step_px=matches.step / plan.sx,
            unmatched=None if matches.reason is None else _enlarged(widening.undo(matches.reason), height, width)[0, 0],
            range_follows_size=self.matcher.searched_part_of_width is None,
            sigma_of_confidence=tuple((low, sigma / plan.sx) for low, sigma in sigma_of_confidence(self.matcher)),
        )
        tell_calibrated_rows(rig, prediction.max_disparity_px or width / 6)
        return prediction if shown is None else prediction.without_border(shown)

    def _at_working_size(self, image: np.ndarray, plan: ResizePlan) -> torch.Tensor:
        """(H, W, 3) uint8 -> (1, 3, h, w) as the matcher takes it."""
        batch = rgb_tensor(image, self.matcher.device).permute(2, 0, 1)[None]
        if not plan.is_identity:
            batch = plan.apply(batch.float())
            if self.matcher.image_dtype == torch.uint8:
                batch = batch.round().clamp(0, 255)
        return batch.to(self.matcher.image_dtype)

    def _limit(
        self, rig: StereoRig, plan: ResizePlan, widening: Widening, max_disparity_px: float | None, z_near_m: float | None
    ) -> float | None:
        """Largest disparity of the widened pair that counts; None leaves it to the matcher."""
        part_of_width = self.matcher.searched_part_of_width
        if part_of_width is None:
            return None
        wanted = wanted_disparity(rig, max_disparity_px, z_near_m)
        if wanted is None:
            return part_of_width * plan.work_width + max(0, widening.shift_px)
        return wanted * plan.sx + widening.shift_px

    def warm_up(self) -> None:
        """Match an empty pair, so that the first real one does not pay for what is done only once.

        On a GPU the pair is as large as usual, because kernels are chosen by size; elsewhere a small one does. An engine gets
        one of the size that it is built for.
        """
        usual = (64, 64) if self.matcher.device.type == "cpu" else (640, 480)
        width, height = getattr(self.matcher, "built_size_wh", None) or usual
        rig = StereoRig(PinholeCamera(width, height, width, width, width / 2, height / 2), 0.1)
        image = np.zeros((height, width, 3), np.uint8)
        self.estimate(image, image, rig)


def _enlarged(codes: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """(1, 1, h, w) uint8 -> (1, 1, height, width), by repetition."""
    return codes if codes.shape[-2:] == (height, width) else F.interpolate(codes, (height, width), mode="nearest-exact")


def common_size(left: np.ndarray, right: np.ndarray, rig: StereoRig) -> tuple[int, int]:
    """Height and width of a pair; raises `InputError` unless both images and the rig are of one size."""
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
