# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vizion3d.camera import Calibration, PinholeCamera, StereoRig
from vizion3d.geometry import (
    depth_from_disparity,
    disparity_from_depth,
    flip_optical_opengl,
    points_along,
    project,
    unproject,
)
from vizion3d.synthetic import default_scene, render_stereo

CAMERA = PinholeCamera(7, 5, fx=10.0, fy=12.0, cx=2.5, cy=1.5)


@st.composite
def cameras(draw):
    width, height = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    fx, fy = draw(st.floats(5, 2000)), draw(st.floats(5, 2000))
    return PinholeCamera(width, height, fx, fy, draw(st.floats(-width, 2 * width)), draw(st.floats(-height, 2 * height)))


@st.composite
def rigs(draw):
    return StereoRig(draw(cameras()), draw(st.floats(0.01, 2)), draw(st.floats(-50, 50)))


def pixel_grid(camera: PinholeCamera, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    """u and v of each pixel, (H, W)."""
    v, u = torch.meshgrid(torch.arange(camera.height, dtype=dtype), torch.arange(camera.width, dtype=dtype), indexing="ij")
    return u, v


@settings(max_examples=60, deadline=None)
@given(cameras(), st.integers(0, 2**32 - 1), st.sampled_from([torch.float32, torch.float64]))
def test_project_undoes_unproject(camera, seed, dtype):
    depth_m = torch.empty(camera.height, camera.width, dtype=dtype)
    depth_m.uniform_(0.1, 60, generator=torch.Generator().manual_seed(seed))
    points = unproject(depth_m, camera)
    assert points.dtype == dtype
    pixels = project(points, camera)
    torch.testing.assert_close(
        pixels, torch.stack(pixel_grid(camera, dtype), dim=-1), rtol=0, atol=1e-3 if dtype == torch.float32 else 1e-10
    )
    torch.testing.assert_close(-points[..., 2], depth_m, rtol=0, atol=0)


@settings(max_examples=60, deadline=None)
@given(rigs(), st.floats(-1, 1), st.floats(-1, 1), st.floats(1, 200))
def test_a_linear_disparity_is_a_plane(rig, slope_u, slope_v, smallest_px):
    camera = rig.left
    u, v = pixel_grid(camera)
    slope_px = slope_u * u + slope_v * v
    disparity_px = slope_px - slope_px.min() + smallest_px + max(0, -rig.doffs_px)
    points = flip_optical_opengl(unproject(depth_from_disparity(disparity_px, rig), camera)).reshape(-1, 3)
    # Z * (d + doffs) = f * B, where Z * u = fx * X + cx * Z and Z * v = fy * Y + cy * Z.
    at_origin_px = float(disparity_px[0, 0]) + rig.doffs_px
    normal = torch.tensor(
        [slope_u * camera.fx, slope_v * camera.fy, at_origin_px + slope_u * camera.cx + slope_v * camera.cy],
        dtype=torch.float64,
    )
    along_normal = points @ normal
    rounding = 1e-12 * float((points.abs() @ normal.abs()).max())
    torch.testing.assert_close(
        along_normal, torch.full_like(along_normal, camera.fx * rig.baseline_m), rtol=1e-9, atol=rounding
    )


@settings(max_examples=60, deadline=None)
@given(rigs(), st.floats(-0.4, 0.4), st.floats(-0.4, 0.4), st.floats(0.5, 20))
def test_a_plane_has_a_linear_disparity(rig, tilt_x, tilt_y, distance_m):
    # tilt_x * X + tilt_y * Y + Z = distance in the optical frame.
    camera = rig.left
    u, v = pixel_grid(camera)
    inverse_depth = (tilt_x * (u - camera.cx) / camera.fx + tilt_y * (v - camera.cy) / camera.fy + 1) / distance_m
    depth_m = torch.where(inverse_depth > 1e-3, 1 / inverse_depth, torch.nan)
    disparity_px = disparity_from_depth(depth_m, rig)
    scale = rig.left.fx * rig.baseline_m + abs(rig.doffs_px)
    for axis in (0, 1):
        bend = torch.diff(disparity_px, n=2, dim=axis)
        assert not (bend.abs() > 1e-9 * scale).any()


@settings(max_examples=60, deadline=None)
@given(rigs(), st.floats(0.2, 60))
def test_depth_and_disparity_undo_each_other(rig, depth_m):
    disparity_px = disparity_from_depth(torch.tensor([depth_m], dtype=torch.float64), rig)
    back = depth_from_disparity(disparity_px, rig)
    assert back.item() == pytest.approx(depth_m)


@pytest.mark.parametrize("binning", [(0, 0), (2, 2), (2, 1)])
@pytest.mark.parametrize("roi", [(0, 0, 0, 0), (40, 24, 200, 160)])
@pytest.mark.parametrize("doffs_px", [0.0, 12.5, -9.0])
@pytest.mark.parametrize("resize", [1, 0.5, 1.5])
def test_exact_disparity_gives_exact_depth(binning, roi, doffs_px, resize):
    full = StereoRig(PinholeCamera(320, 240, 260.0, 255.0, 150.0, 130.0), 0.12, doffs_px)
    P_left = (260.0, 0, 150.0, 0, 0, 255.0, 130.0, 0, 0, 0, 1, 0)
    P_right = (260.0, 0, 150.0 + doffs_px, -260.0 * 0.12, 0, 255.0, 130.0, 0, 0, 0, 1, 0)
    left, right = (Calibration(320, 240, (), (), (), P, binning=binning, roi=roi) for P in (P_left, P_right))
    size = round(left.image_size[0] * resize), round(left.image_size[1] * resize)
    rig = StereoRig.from_calibrations(left, right, size)

    # A slanted wall, seen at the places of the full image that the pixels of the image at hand stand for.
    (x, y, width, _), (bin_x, bin_y) = roi if any(roi) else (0, 0, 320, 240), left.effective_binning
    sx, sy = left.image_scale(size)
    u = x + bin_x * ((torch.arange(size[0], dtype=torch.float64) + 0.5) / sx - 0.5)
    v = y + bin_y * ((torch.arange(size[1], dtype=torch.float64)[:, None] + 0.5) / sy - 0.5)
    ray_x, ray_y = (u - full.left.cx) / full.left.fx, (v - full.left.cy) / full.left.fy
    depth_m = 2.0 / (1 + 0.3 * ray_x - 0.2 * ray_y)
    full_disparity_px = full.left.fx * full.baseline_m / depth_m - doffs_px
    disparity_px = (full_disparity_px * size[0] / width).float()
    seen = full_disparity_px > 1e-3
    assert seen.float().mean() > 0.5

    measured_m = depth_from_disparity(disparity_px, rig)
    torch.testing.assert_close(measured_m[seen].double(), depth_m[seen], rtol=1e-4, atol=0)
    points = flip_optical_opengl(unproject(measured_m, rig.left)).double()
    exact = torch.stack((ray_x * depth_m, ray_y * depth_m, depth_m), dim=-1)
    torch.testing.assert_close(points[seen], exact[seen], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("doffs_px", [0.0, 4.0, -3.0])
def test_rendered_disparity_gives_rendered_depth(doffs_px):
    rig = StereoRig(PinholeCamera(160, 120, 130.0, 130.0, 81.0, 57.0), 0.2, doffs_px)
    frame = render_stereo(default_scene(), rig)
    depth_m = depth_from_disparity(torch.from_numpy(frame.disparity_px).float(), rig).numpy()
    seen = frame.disparity_px > 0.01
    assert seen.mean() > 0.5
    np.testing.assert_allclose(depth_m[seen], frame.depth_m[seen], rtol=1e-4)
    assert np.isfinite(depth_m).all()


@pytest.mark.parametrize(
    ("disparity_px", "doffs_px", "depth_m"),
    [
        (50.0, 0.0, 2.0),
        (50.0, 50.0, 1.0),
        (50.0, -25.0, 4.0),
        (0.0, 0.0, None),
        (0.0, 10.0, 10.0),
        (-5.0, 10.0, 20.0),
        (-10.0, 10.0, None),
        (math.nan, 0.0, None),
        (math.inf, 0.0, None),
        (-math.inf, 0.0, None),
        (10.0, -10.0, None),
        (10.0, -20.0, None),
    ],
)
def test_which_disparities_have_a_depth(disparity_px, doffs_px, depth_m):
    rig = StereoRig(PinholeCamera(64, 48, 1000, 1000, 32, 24), 0.1, doffs_px)
    (measured,) = depth_from_disparity(torch.tensor([disparity_px]), rig).tolist()
    assert math.isnan(measured) if depth_m is None else measured == pytest.approx(depth_m)


@pytest.mark.parametrize("disparity_px", [1e-37, 1e-40, 1e-45])
def test_depth_is_finite_or_nan(disparity_px):
    rig = StereoRig(PinholeCamera(64, 48, 1000, 1000, 32, 24), 0.1)
    assert not torch.isinf(depth_from_disparity(torch.tensor([disparity_px]), rig)).any()


@pytest.mark.parametrize("depth_m", [0.0, -1.0, math.nan, math.inf, -math.inf])
def test_which_depths_have_no_disparity(depth_m):
    rig = StereoRig(CAMERA, 0.1, doffs_px=5)
    assert torch.isnan(disparity_from_depth(torch.tensor([depth_m]), rig)).all()


def test_the_cloud_is_organised_like_the_image():
    for v, u in ((0, 0), (0, 6), (4, 0), (3, 5)):
        depth_m = torch.full((5, 7), torch.nan)
        depth_m[v, u] = 2.0
        points = unproject(depth_m, CAMERA)
        assert points.shape == (5, 7, 3)
        assert torch.isfinite(points).all(dim=-1).nonzero().tolist() == [[v, u]]
        assert torch.isnan(points).all(dim=-1).sum() == 34
        assert points[v, u].tolist() == pytest.approx([(u - 2.5) / 10 * 2, -(v - 1.5) / 12 * 2, -2])


def test_opengl_is_right_up_backward_and_optical_is_right_down_forward():
    # The last pixel is to the right of the principal point, below it, and in front of the camera.
    x, y, z = unproject(torch.ones(5, 7), CAMERA)[-1, -1].tolist()
    assert x > 0 > y and z < 0
    x, y, z = flip_optical_opengl(torch.tensor([x, y, z])).tolist()
    assert x > 0 and y > 0 and z > 0


def test_flipping_twice_changes_nothing():
    points = torch.randn(4, 6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    once = flip_optical_opengl(points)
    assert torch.equal(flip_optical_opengl(once), points)
    assert torch.equal(once[..., 0], points[..., 0])
    assert torch.equal(once[..., 1:], -points[..., 1:])
    assert once.dtype == points.dtype


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
def test_the_arithmetic_stays_on_the_gpu():
    rig = StereoRig(CAMERA, 0.1)
    disparity_px = torch.rand(5, 7) + 1
    points = unproject(depth_from_disparity(disparity_px.cuda(), rig), CAMERA)
    assert points.is_cuda
    torch.testing.assert_close(points.cpu(), unproject(depth_from_disparity(disparity_px, rig), CAMERA))


def test_points_along_pinhole_rays_are_the_unprojected_ones_and_pixels_without_a_ray_have_none():
    camera = PinholeCamera(7, 5, 10.0, 11.0, 3.2, 1.7)
    depth_m = torch.rand(5, 7) + 1
    depth_m[0, 0] = torch.nan
    v, u = torch.meshgrid(torch.arange(5.0), torch.arange(7.0), indexing="ij")
    rays = torch.stack(((u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy), dim=-1)
    points = points_along(rays, depth_m)
    torch.testing.assert_close(points, unproject(depth_m, camera), equal_nan=True)
    rays[2, 3] = torch.nan
    points = points_along(rays, depth_m)
    assert points[2, 3].isnan().all() and points[0, 0].isnan().all()
    assert points.isfinite().all(dim=-1).sum() == 33
