# SPDX-License-Identifier: Apache-2.0
"""Rigs whose principal points differ, by any amount and either way: depth is as good as with equal ones."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_matcher import PlainMatcher

from vizion3d.camera import StereoRig
from vizion3d.options import ValidityLimits
from vizion3d.stereo import StereoDepthEstimator
from vizion3d.stereo.matchers import Matches
from vizion3d.stereo.pair_check import check_pair
from vizion3d.stereo.widening import Widening
from vizion3d.synthetic import StereoFrame, default_scene, render_stereo

DOFFS_PX = (-60, -20, 10, 20, 60)


class Oracle(PlainMatcher):
    """Knows the truth of the left image, and tells it as a matcher does that looks for disparities >= 0 only."""

    name = architecture = "oracle"
    image_dtype = torch.uint8
    searched_part_of_width = None

    def __init__(self, disparity_px: np.ndarray, rig: StereoRig) -> None:
        self._disparity_px = torch.from_numpy(disparity_px)[None, None].float()
        self._widening = Widening.for_doffs(rig.doffs_px, rig.left.width)

    def match(self, left: torch.Tensor, right: torch.Tensor, max_disparity: float | None = None) -> Matches:
        truth, _ = self._widening.apply(self._disparity_px, self._disparity_px)
        assert left.shape[-2:] == right.shape[-2:] == truth.shape[-2:]
        disparity = truth + self._widening.shift_px
        return Matches(torch.where(disparity >= 0, disparity, torch.nan), None, None, max_disparity=None, step=0.1)


@pytest.fixture(scope="module", params=[0, *DOFFS_PX])
def verged(request, rig) -> tuple[StereoRig, StereoFrame]:
    verged = dataclasses.replace(rig, doffs_px=request.param)
    return verged, render_stereo(default_scene(), verged)


def test_a_perfect_matcher_keeps_all(verged):
    rig, frame = verged
    prediction = StereoDepthEstimator(Oracle(frame.disparity_px, rig)).estimate(frame.left, frame.right, rig)
    assert prediction.valid(ValidityLimits()).all()
    np.testing.assert_allclose(prediction.depth_m.numpy(), frame.depth_m, rtol=1e-4)


@settings(max_examples=60, deadline=None)
@given(st.floats(-200, 200), st.integers(1, 40))
def test_the_widened_pair_has_no_negative_disparity_and_is_undone_exactly(doffs_px, width):
    widening = Widening.for_doffs(doffs_px, width)
    left, right = torch.rand(2, 1, 3, 2, width)
    wide_left, wide_right = widening.apply(left, right)
    assert wide_left.shape == wide_right.shape == (1, 3, 2, width + abs(widening.shift_px))
    assert torch.equal(widening.undo(wide_left), left)
    # Column x of the right image is found where a column of the left one with disparity d >= -doffs looks for it.
    for x_left in range(width):
        for x_right in range(width):
            disparity = x_left - x_right
            if disparity + doffs_px >= 0:
                wide_x = x_left + max(0, widening.shift_px)
                assert torch.equal(wide_left[..., wide_x], left[..., x_left])
                shifted = disparity + widening.shift_px
                assert shifted >= 0
                assert torch.equal(wide_right[..., wide_x - shifted], right[..., x_right])
    restored = widening.undo_disparity(torch.full_like(wide_left[:, :1], 7.0))
    assert torch.equal(restored, torch.full((1, 1, 2, width), 7.0 - widening.shift_px))


@pytest.mark.parametrize(
    ("doffs_px", "shift_px"), [(0, 0), (1e-13, 0), (-1e-13, 0), (0.4, 1), (-0.4, 0), (-20, -20), (1e9, 640)]
)
def test_shifts_are_as_small_as_can_be(doffs_px, shift_px):
    assert Widening.for_doffs(doffs_px, 640).shift_px == shift_px


def measured(rig: StereoRig, frame: StereoFrame, seen: np.ndarray) -> tuple[float, float, float]:
    """Of the pixels that both cameras see, in percent: valid ones, valid ones beyond 3 m, valid ones that are 5 % wrong."""
    prediction = StereoDepthEstimator("sgbm").estimate(frame.left, frame.right, rig)
    depth_m = prediction.masked_depth(ValidityLimits()).numpy()
    valid, far = np.isfinite(depth_m), frame.depth_m > 3
    wrong = valid & (np.abs(depth_m / frame.depth_m - 1) > 0.05)
    return 100 * valid[seen].mean(), 100 * valid[seen & far].mean(), 100 * wrong[seen].mean()


def test_block_matching_does_as_well_as_with_equal_principal_points(verged, rig, frame):
    verged_rig, verged_frame = verged
    seen = frame.visible & verged_frame.visible
    assert seen.mean() > 0.7
    for value, expected in zip(measured(verged_rig, verged_frame, seen), measured(rig, frame, seen), strict=True):
        assert value == pytest.approx(expected, abs=1)


def test_the_doctor_knows_the_order_of_a_verged_pair(verged):
    rig, frame = verged
    estimator = StereoDepthEstimator("sgbm")
    proper, swapped = (
        {finding.what: finding for finding in check_pair(*pair, rig, prediction=estimator.estimate(*pair, rig)).findings}[
            "order"
        ]
        for pair in ((frame.left, frame.right), (frame.right, frame.left))
    )
    assert (proper.level, swapped.level) == ("ok", "error")
    assert swapped.advice == "left and right are swapped: exchange the two images"
