# SPDX-License-Identifier: Apache-2.0
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vizion3d.errors import InputError
from vizion3d.stereo.resize import ResizePlan

SIDES = st.integers(1, 3000)


def ramp(height: int, width: int, *, slope_u: float = 1.0, slope_v: float = 0.0, start: float = 0.0) -> torch.Tensor:
    """(1, 1, height, width) float64, linear in u and v."""
    u, v = torch.arange(width, dtype=torch.float64), torch.arange(height, dtype=torch.float64)[:, None]
    return (start + slope_u * u + slope_v * v)[None, None]


def fit(*size: int, **wanted: float) -> ResizePlan | None:
    """The plan, or None if nothing would be left of the image."""
    try:
        return ResizePlan.fit(*size, **wanted)
    except InputError:
        return None


@settings(max_examples=200, deadline=None)
@given(SIDES, SIDES, st.integers(1, 3000), st.integers(1, 3000))
def test_a_fitted_image_fills_its_limits_and_is_never_enlarged(height, width, max_width, max_height):
    plan = fit(height, width, max_width=max_width, max_height=max_height)
    if plan is None:
        assert min(height, width) * min(max_width / width, max_height / height) <= 0.5
        return
    assert plan.work_width <= min(width, max_width) and plan.work_height <= min(height, max_height)
    assert plan.is_identity or plan.work_width == max_width or plan.work_height == max_height


@settings(max_examples=100, deadline=None)
@given(SIDES, SIDES, st.floats(0.05, 4))
def test_a_wanted_scale_is_met_to_half_a_pixel(height, width, scale_factor):
    plan = fit(height, width, scale_factor=scale_factor)
    if plan is None:
        return
    for side, work_side in ((height, plan.work_height), (width, plan.work_width)):
        assert abs(work_side - side * scale_factor) <= 0.5
    assert plan.sx == plan.work_width / width


@pytest.mark.parametrize("size", [(961, 540), (1024, 768), (1242, 375), (1280, 720), (1920, 1080), (1280, 1024), (2048, 2048)])
def test_usual_sizes_keep_their_shape(size):
    width, height = size
    plan = ResizePlan.fit(height, width, max_width=960, max_height=540)
    assert plan.sx / (plan.work_height / plan.height) == pytest.approx(1, abs=0.002)


def test_one_column_too_many_costs_one_column():
    assert ResizePlan.fit(540, 961, max_width=960, max_height=540) == ResizePlan(540, 961, 539, 960)


@pytest.mark.parametrize("wanted", [{}, {"scale_factor": 1}, {"max_width": 751, "max_height": 481}, {"max_height": 9000}])
def test_sizes_that_need_no_scaling_are_kept(wanted):
    plan = ResizePlan.fit(481, 751, **wanted)
    assert plan == ResizePlan(481, 751, 481, 751)
    assert plan.is_identity
    assert plan.sx == 1
    image = ramp(481, 751)
    assert torch.equal(plan.apply(image), image)
    assert torch.equal(plan.undo_disparity(image), image)


def test_the_smaller_limit_rules():
    assert ResizePlan.fit(1080, 1920, max_width=960, max_height=1080) == ResizePlan(1080, 1920, 540, 960)
    assert ResizePlan.fit(1080, 1920, max_width=1920, max_height=270) == ResizePlan(1080, 1920, 270, 480)
    assert not ResizePlan.fit(1080, 1920, max_width=960).is_identity


@pytest.mark.parametrize(
    ("width", "height"), [(1280, 960), (1440, 1080), (1600, 1200), (2048, 1536), (2964, 1988), (1920, 1080)]
)
def test_disparities_are_divided_by_the_true_factor(width, height):
    plan = ResizePlan.fit(height, width, max_width=960, max_height=540)
    disparity_px = ramp(height, width, slope_u=0.03, slope_v=0.01, start=5)
    # What an exact matcher finds in the resized pair, whose pixel centres are at (u + 0.5) * sx - 0.5.
    u = (torch.arange(plan.work_width, dtype=torch.float64) + 0.5) / plan.sx - 0.5
    v = (torch.arange(plan.work_height, dtype=torch.float64)[:, None] + 0.5) * plan.height / plan.work_height - 0.5
    in_work_pixels = ((5 + 0.03 * u + 0.01 * v) * plan.sx)[None, None]

    found = plan.undo_disparity(in_work_pixels)
    assert found.shape == disparity_px.shape
    inner = (..., slice(4, -4), slice(4, -4))  # the outermost pixels cannot be interpolated
    torch.testing.assert_close(found[inner], disparity_px[inner], rtol=1e-5, atol=0)


def test_the_wanted_factor_would_be_off_by_the_rounding():
    plan = ResizePlan.fit(21, 33, scale_factor=0.32)
    constant = torch.full((1, 1, plan.work_height, plan.work_width), 40 * plan.sx)
    assert plan.undo_disparity(constant).mean().item() == pytest.approx(40, rel=1e-5)
    assert abs(40 * plan.sx / 0.32 - 40) / 40 > 0.04


@settings(max_examples=20, deadline=None)
@given(st.integers(20, 200), st.integers(20, 200), st.floats(0.2, 3), st.floats(-2, 2), st.floats(-2, 2))
def test_constants_and_ramps_survive_the_way_there_and_back(height, width, scale_factor, slope_u, slope_v):
    plan = ResizePlan.fit(height, width, scale_factor=scale_factor)
    constant = torch.full((1, 2, height, width), 7.0)
    torch.testing.assert_close(plan.undo(plan.apply(constant)), constant)
    image = ramp(height, width, slope_u=slope_u, slope_v=slope_v)
    there = plan.apply(image)
    assert there.shape == (1, 1, plan.work_height, plan.work_width)
    back = plan.undo(there)
    margin = math.ceil(1 / min(plan.sx, plan.work_height / plan.height)) + 1
    inner = (..., slice(margin, -margin), slice(margin, -margin))
    torch.testing.assert_close(back[inner], image[inner], rtol=0, atol=1e-9)


def test_matching_points_stay_matching_points():
    # Every row of the right image is the left one moved by 12 px; after the resize it is moved by 12 * sx.
    plan = ResizePlan(40, 120, 32, 80)
    left, right = plan.apply(ramp(40, 120)), plan.apply(ramp(40, 120, start=12))
    moved = 8
    assert moved == 12 * plan.sx
    torch.testing.assert_close(right[..., 1 : -moved - 1], left[..., 1 + moved : -1])


def test_holes_do_not_become_numbers():
    plan = ResizePlan(40, 60, 20, 30)
    maps = torch.ones(1, 1, 20, 30)
    maps[..., 10, 15] = torch.nan
    back = plan.undo_disparity(maps)
    assert torch.isnan(back[..., 20:22, 30:32]).all()
    assert torch.isfinite(back[..., :18, :]).all()


@pytest.mark.parametrize("scale_factor", [0, -0.5, math.nan, math.inf])
def test_impossible_scales_are_refused(scale_factor):
    with pytest.raises(InputError, match=f"scale_factor is {scale_factor}; it must be a positive number"):
        ResizePlan.fit(480, 640, scale_factor=scale_factor)


def test_an_image_that_would_vanish_is_refused():
    with pytest.raises(InputError, match=r"a 4000x2 image scaled by 0.24 is smaller than 1 pixel; use a larger image"):
        ResizePlan.fit(2, 4000, max_width=960, max_height=540)
    with pytest.raises(InputError, match=r"a 30x40 image scaled by 0.01 is smaller than 1 pixel"):
        ResizePlan.fit(40, 30, scale_factor=0.01)
