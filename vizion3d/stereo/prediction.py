# SPDX-License-Identifier: Apache-2.0
"""What stereo says of each pixel, and what follows from it: depth, the mask of what counts, the point cloud."""

from __future__ import annotations

import dataclasses
import functools
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from vizion3d import geometry
from vizion3d.camera import StereoRig
from vizion3d.geometry import comparable
from vizion3d.options import ValidityLimits
from vizion3d.pointcloud import PointCloud
from vizion3d.records import HoldsArrays
from vizion3d.rectify import Shown
from vizion3d.stereo.flying_pixels import remove_flying_pixels
from vizion3d.stereo.reasons import Reason

_BEHIND_INFINITY_PX = 2.0  # more than calibrations are off by at the horizon
_SURE = 0.5


@dataclass(frozen=True, eq=False, repr=False)
class StereoPrediction(HoldsArrays):
    """What was found for each pixel of the left image. Tensors are (H, W) float32 on the matcher's device.

    Attributes:
        disparity_px: x_left - x_right in pixels of the input images; NaN, infinite or negative values are left in.
        confidence: 0..1, how sure the disparity is; None if the matcher cannot tell.
        visibility: 0..1, near 1 = seen by both cameras; None if the matcher cannot tell.
        rig: the rig that the images belong to.
        max_disparity_px: largest disparity that counts. A larger one is too near: it was searched for only so that it is not
            taken for something far. None if there is no limit but the image.
        disparity_step_px: smallest increment of the disparity.
        unmatched: uint8, what the matcher says of pixels without a sure answer, see `Matches.reason`; None if it says nothing.
        valid_window: (x, y, width, height) of what the left image shows; None is all of it.
        range_follows_size: the matcher's range cannot be chosen but by the size at which it matches.
        sigma_of_confidence: (lowest confidence, standard deviation of the disparity in pixels) in ascending order; empty if
            it is not known.
    """

    disparity_px: torch.Tensor
    confidence: torch.Tensor | None
    visibility: torch.Tensor | None
    rig: StereoRig
    max_disparity_px: float | None
    disparity_step_px: float
    unmatched: torch.Tensor | None = None
    valid_window: tuple[int, int, int, int] | None = None
    range_follows_size: bool = False
    sigma_of_confidence: tuple[tuple[float, float], ...] = ()

    def without_border(self, shown: Shown) -> StereoPrediction:
        """The same without what is matched with nothing: pixels that one of the two raw images does not show are BORDER."""
        device = self.disparity_px.device
        shown_left, shown_right = (torch.from_numpy(mask).to(device) for mask in (shown.left, shown.right))
        width = shown_left.shape[1]
        x_right = torch.arange(width, device=device) - self.disparity_px
        matched = torch.isfinite(x_right)
        columns = torch.where(matched, x_right, 0).round().clamp(0, width - 1).long()
        border = ~shown_left | (matched & ~shown_right.gather(1, columns))
        nothing = torch.zeros_like(border, dtype=torch.uint8)
        unmatched = nothing if self.unmatched is None else self.unmatched
        return dataclasses.replace(
            self,
            disparity_px=self.disparity_px.masked_fill(border, torch.nan),
            confidence=None if self.confidence is None else self.confidence.masked_fill(border, 0),
            visibility=None if self.visibility is None else self.visibility.masked_fill(border, 0),
            unmatched=unmatched.masked_fill(border, int(Reason.BORDER)),
            valid_window=shown.window,
        )

    @cached_property
    def depth_m(self) -> torch.Tensor:
        """Depth along the optical axis in metres, NaN where the disparity gives none."""
        return geometry.depth_from_disparity(self.disparity_px, self.rig)

    def nearest_m(self, limits: ValidityLimits) -> float:
        """Nearest depth that counts; 0 if there is no limit."""
        if self.max_disparity_px is None:
            return limits.z_near
        return max(limits.z_near, self.rig.left.fx * self.rig.baseline_m / (self.max_disparity_px + self.rig.doffs_px))

    def nearest_set_by(self, limits: ValidityLimits) -> str:
        """The option that decides on `nearest_m`."""
        return "scale_factor" if self.range_follows_size and self.nearest_m(limits) > limits.z_near else "z_near"

    def reach_px(self, limits: ValidityLimits) -> float:
        """Largest disparity that counts, infinite if there is no limit; `nearest_m` in pixels."""
        nearest_m = self.nearest_m(limits)
        return self.rig.left.fx * self.rig.baseline_m / nearest_m - self.rig.doffs_px if nearest_m else math.inf

    def color_range_m(self, limits: ValidityLimits) -> tuple[float, float]:
        """Depths between which the pictures of a stream spread their colours, the same for each frame of it.

        From the nearest that counts to z_far. If there is no nearest, it is that of a disparity of a sixth of the width.
        """
        nearest_m = self.nearest_m(limits) or self.rig.left.fx * self.rig.baseline_m * 6 / self.rig.left.width
        return min(nearest_m, limits.z_far / 2), limits.z_far

    def thinned(self, rows: int, columns: int) -> StereoPrediction:
        """Every so many-th row and column, for shares of pixels."""
        return self._with_maps(lambda values: values[::rows, ::columns].contiguous())

    def on_cpu(self) -> StereoPrediction:
        """The same in main memory."""
        return self._with_maps(torch.Tensor.cpu)

    def _with_maps(self, change: Callable[[torch.Tensor], torch.Tensor]) -> StereoPrediction:
        names = ("disparity_px", "confidence", "visibility", "unmatched")
        maps: dict[str, Any] = {name: change(values) for name in names if (values := getattr(self, name)) is not None}
        return dataclasses.replace(self, **maps)

    def valid(self, limits: ValidityLimits) -> torch.Tensor:
        """(H, W) bool: not too near, depth below z_far, confidence and visibility, where there are any, at least at their
        thresholds."""
        return self._valid(limits).clone()

    def _valid(self, limits: ValidityLimits) -> torch.Tensor:
        """`valid`, computed once, since most outputs need it; not to be written to."""
        key = limits.z_near, limits.z_far, limits.conf_threshold, limits.occ_threshold
        if key not in self._valid_by_limits:
            depth_m = comparable(self.depth_m)
            valid = (depth_m < limits.z_far) & (depth_m >= limits.z_near) & self._certain(limits)
            if self.max_disparity_px is not None:
                valid &= comparable(self.disparity_px) <= self.max_disparity_px
            self._valid_by_limits[key] = torch.as_tensor(valid)
        return self._valid_by_limits[key]

    @cached_property
    def _valid_by_limits(self) -> dict[tuple[float, ...], torch.Tensor]:
        return {}

    def sure(self, limits: ValidityLimits) -> torch.Tensor:
        """(H, W) bool: a disparity, with confidence and visibility, where there are any, at least at their thresholds."""
        return torch.as_tensor(self._known & self._certain(limits))

    @property
    def _known(self) -> Any:
        """Where there is a disparity, as `comparable` has it."""
        return abs(comparable(self.disparity_px)) < math.inf

    def _certain(self, limits: ValidityLimits) -> Any:
        """Where confidence and visibility, if there are any, are at least at their thresholds, as `comparable` has it."""
        pairs = (self.confidence, limits.conf_threshold), (self.visibility, limits.occ_threshold)
        masks = [comparable(values) >= threshold for values, threshold in pairs if values is not None]
        return functools.reduce(operator.and_, masks, True)

    def reason(self, limits: ValidityLimits) -> torch.Tensor:
        """(H, W) uint8: why a pixel is not valid, as `Reason` has it.

        HIDDEN and BORDER are the pixels whose visibility is below its threshold. TOO_NEAR and TOO_FAR are sure of it.
        """
        nothing = torch.zeros_like(self.disparity_px, dtype=torch.uint8)
        unmatched = comparable(nothing if self.unmatched is None else self.unmatched)
        seen = comparable(nothing if self.visibility is None else self.visibility)
        disparity_px, depth_m = comparable(self.disparity_px), comparable(self.depth_m)
        border = unmatched == Reason.BORDER
        sure = self._known
        if self.confidence is not None:
            sure &= comparable(self.confidence) >= limits.conf_threshold
        causes = [
            (unmatched == Reason.NO_TEXTURE, Reason.NO_TEXTURE),
            (border & (seen == 0), Reason.BORDER),
            (sure, Reason.TOO_FAR),
            (sure & (depth_m < self.nearest_m(limits)), Reason.TOO_NEAR),
        ]
        if self.visibility is not None:
            columns = comparable(torch.arange(nothing.shape[1], device=nothing.device, dtype=self.disparity_px.dtype))
            not_seen = seen < limits.occ_threshold
            causes += [(not_seen, Reason.HIDDEN), (not_seen & (border | (disparity_px > columns)), Reason.BORDER)]
        causes.append((comparable(self._valid(limits)), Reason.VALID))
        reason = comparable(nothing) + int(Reason.LOW_CONFIDENCE)
        for mask, cause in causes:  # the last one counts
            reason ^= (reason ^ int(cause)) * mask
        return torch.as_tensor(reason)

    def masked_depth(self, limits: ValidityLimits) -> torch.Tensor:
        """`depth_m` with NaN in all pixels that are not valid."""
        return torch.where(self._valid(limits), self.depth_m, torch.nan)

    def beyond(self, limits: ValidityLimits) -> torch.Tensor:
        """(H, W) bool: matched surely, by both cameras seen, and beyond z_far: there is nothing up to there.

        Whoever clears a map by it must not be wrong: a confidence of at least 0.5 is asked for whatever the threshold is, the
        matcher must have no doubts of its own, and one without confidence or visibility sees nothing beyond. A disparity of two
        pixels less than infinity has is no distance but a mismatch, or of another rig than this one.
        """
        if self.confidence is None or self.visibility is None:
            return torch.zeros_like(self.disparity_px, dtype=torch.bool)
        beyond = (self.reason(limits) == int(Reason.TOO_FAR)) & (self.confidence >= max(limits.conf_threshold, _SURE))
        beyond &= self.disparity_px + self.rig.doffs_px > -_BEHIND_INFINITY_PX
        return beyond if self.unmatched is None else beyond & (self.unmatched == 0)

    def sigma_m(self, limits: ValidityLimits) -> torch.Tensor:
        """(H, W) standard deviation of the depth in metres, NaN where it is not valid, or nobody knows.

        ``Z * Z / (f * B) * sigma_d``, with the sigma_d of the pixel's confidence.
        """
        if self.confidence is None or not self.sigma_of_confidence:
            return torch.full_like(self.disparity_px, torch.nan)
        lowest, sigma_px = self.confidence.new_tensor(self.sigma_of_confidence).T.contiguous()
        scale = sigma_px[torch.bucketize(self.confidence.contiguous(), lowest[1:], right=True)] / (
            self.rig.left.fx * self.rig.baseline_m
        )
        return torch.where(self._valid(limits), self.depth_m * self.depth_m * scale, torch.nan)

    def points(self, limits: ValidityLimits, *, edge_filter: bool = False) -> torch.Tensor:
        """The points of the valid pixels.

        Args:
            limits: which pixels are valid.
            edge_filter: leave out pixels that hang between two surfaces. It judges a pixel by the depth of all its
                neighbours, valid or not.

        Returns:
            (H, W, 3) in OpenGL camera space, NaN elsewhere.
        """
        depth_m = remove_flying_pixels(self.depth_m) if edge_filter else self.depth_m
        return geometry.unproject(torch.where(self._valid(limits), depth_m, torch.nan), self.rig.left)

    def point_cloud(self, left: np.ndarray, limits: ValidityLimits, *, edge_filter: bool = False) -> PointCloud:
        """`points` as an organised cloud with a copy of the colours of the left image, (H, W, 3) uint8 RGB."""
        return PointCloud(self.points(limits, edge_filter=edge_filter).contiguous().cpu().numpy(), left.copy())
