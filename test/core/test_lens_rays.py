# SPDX-License-Identifier: Apache-2.0
"""The rays of raw pixels, against OpenCV's projection as the independent judge."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from vizion3d.calibration_files import load_calibration
from vizion3d.camera import Calibration, PinholeCamera
from vizion3d.errors import CalibrationError
from vizion3d.lens_rays import kept_rays, metric_stretch, pixel_rays, project_to_pixels, wide_lens_trouble

MIN_VALID_SHARE = {
    "equidistant_1280x800.json": 0.76,  # the corners lie beyond the fold at 80 degrees
    "euroc_left.yaml": 1.0,
    "euroc_right.yaml": 1.0,
    "hawk_rational_left.json": 1.0,
    "hawk_rational_right.json": 1.0,
    "oak_left.yaml": 0.966,  # folds in two corners
    "oak_rgb.yaml": 1.0,
    "oak_right.yaml": 1.0,
}
FOLDING = {
    "barrel": ("plumb_bob", (-0.2, 0.0, 0.002, 0.001)),
    "barrel, strong tangential part": ("plumb_bob", (-0.2, 0.0, 0.02, 0.01, 0.0)),
    "tangential part alone": ("plumb_bob", (0.0, 0.0, 0.05, 0.03)),
    "second branch, rational": ("rational_polynomial", (-0.3, 0.02, 0.005, 0.001, 0.0, 0.1, 0.05, 0.01)),
    "pole": ("rational_polynomial", (-0.6, 0.1, 0.001, 0.001, 0.0, -0.5, 0.0, 0.0)),
    "thin prism": ("rational_polynomial", (-0.2, 0, 0.002, 0.001, 0, 0, 0, 0, 0.02, -0.01, -0.03, 0.01)),
    "equidistant": ("equidistant", (0.04, -0.175, 0.159, -0.048)),
    "equidistant beyond 90 degrees": ("equidistant", (0.05, -0.02, 0.003, -0.001)),
}


def make(D: tuple[float, ...], model: str = "plumb_bob", focal_length: float = 100.0) -> Calibration:
    """A camera with 480x360 images, with nothing symmetric about it."""
    K = (focal_length, 0, 231.3, 0, 1.02 * focal_length, 184.6, 0, 0, 1)
    return Calibration(480, 360, K, D, R=(1, 0, 0, 0, 1, 0, 0, 0, 1), P=(), distortion_model=model)


def load(path: Path) -> Calibration:
    if path.suffix == ".yaml":
        return load_calibration(path)
    message = json.loads(path.read_text())
    arrays = {name: tuple(message[name]) for name in "KDRP"}
    return Calibration(message["width"], message["height"], distortion_model=message["distortion_model"], **arrays)


def project_with_opencv(calibration: Calibration, rays: np.ndarray) -> np.ndarray:
    """(..., 2) X/Z, Y/Z -> (..., 2) pixels of the full image."""
    points = np.concatenate((rays, np.ones_like(rays[..., :1])), axis=-1).reshape(-1, 1, 3)
    K, D = np.array(calibration.K, dtype=float).reshape(3, 3), np.array(calibration.D, dtype=float)
    if calibration.distortion_model in ("equidistant", "fisheye"):
        pixels = cv2.fisheye.projectPoints(points, np.zeros(3), np.zeros(3), K, D[:4])[0]
    else:
        pixels = cv2.projectPoints(points, np.zeros(3), np.zeros(3), K, D if D.size else None)[0]
    return pixels.reshape(rays.shape)


def pixel_grid(height: int, width: int) -> np.ndarray:
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1)


def is_valid(rays: np.ndarray) -> np.ndarray:
    finite = np.isfinite(rays)
    assert np.array_equal(finite[..., 0], finite[..., 1])
    return finite[..., 0]


def reachable_pixels(calibration: Calibration) -> np.ndarray:
    """Mask of the pixels that the first branch maps to, by mapping it densely outwards until cells turn over."""
    angle = np.linspace(0, math.pi / 2, 3000, endpoint=False)[:, None]
    direction = np.linspace(0, 2 * math.pi, 721)
    polar = np.stack((np.cos(direction), np.sin(direction)), axis=-1)
    pixels = project_with_opencv(calibration, np.tan(angle)[..., None] * polar)
    outwards = pixels[1:, :-1] - pixels[:-1, :-1]
    around = pixels[:-1, 1:] - pixels[:-1, :-1]
    turned = outwards[..., 0] * around[..., 1] - outwards[..., 1] * around[..., 0] < 0
    last = np.where(turned.any(axis=0), np.argmax(turned, axis=0), len(angle) - 1)
    outline = np.clip(pixels[last, np.arange(len(last))], -1e5, 1e5)
    mask = np.zeros((calibration.height, calibration.width), np.uint8)
    cv2.fillPoly(mask, [np.rint(outline * 256).astype(np.int32)], 1, shift=8)
    return mask


@pytest.mark.parametrize("name", MIN_VALID_SHARE)
def test_rays_of_a_real_camera_project_back_to_their_pixels(data: Path, name: str) -> None:
    calibration = load(data / "camera_info" / name)
    rays = pixel_rays(calibration)
    valid = is_valid(rays)
    pixels = pixel_grid(calibration.height, calibration.width)[valid]
    error_px = np.linalg.norm(project_with_opencv(calibration, rays[valid]) - pixels, axis=-1)
    assert error_px.max() < 1e-4
    assert valid.mean() >= MIN_VALID_SHARE[name]
    # Along a row and along a column the rays go to the right and down without a jump.
    with np.errstate(invalid="ignore"):
        assert not (np.diff(rays[..., 0], axis=1) <= 0).any()
        assert not (np.diff(rays[..., 1], axis=0) <= 0).any()


def test_all_real_cameras_are_tested(data: Path) -> None:
    assert {path.name for path in (data / "camera_info").iterdir()} == set(MIN_VALID_SHARE)


@pytest.mark.parametrize(
    ("model", "D"),
    [
        ("plumb_bob", (-0.28, 0.07, 0.002, 0.001)),
        ("plumb_bob", (0.1, -0.28, -0.006, -0.002, 0.03)),
        ("rational_polynomial", (24.2, 17.5, -1e-3, 2e-3, 1.1, 24.5, 26.4, 5.2)),
        ("rational_polynomial", (0.6, -0.1, 1e-4, -2e-4, 0.003, 0.95, 0.02, 0.01, 0.004, -0.001, -0.003, 0.002)),
        ("equidistant", (0.04, -0.17, 0.16, -0.05)),
        ("fisheye", (0.04, -0.17, 0.16, -0.05, 0.0)),
        ("plumb_bob", ()),
    ],
)
def test_projection_agrees_with_opencv(model: str, D: tuple[float, ...]) -> None:
    rays = np.random.default_rng(1).uniform(-2, 2, (20, 30, 2))
    rays[0, 0] = 0
    calibration = make(D, model)
    np.testing.assert_allclose(
        project_to_pixels(calibration, rays), project_with_opencv(calibration, rays), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("name", FOLDING)
def test_pixels_beyond_the_fold_are_invalid_and_all_others_valid(name: str) -> None:
    model, D = FOLDING[name]
    calibration = make(D, model)
    rays = pixel_rays(calibration)
    valid = is_valid(rays)
    reachable = reachable_pixels(calibration)
    assert reachable.mean() > 0.01
    two_pixels = np.ones((5, 5), np.uint8)
    assert not (valid & (cv2.dilate(reachable, two_pixels) == 0)).any()
    assert not (~valid & (cv2.erode(reachable, two_pixels, borderValue=0) == 1)).any()
    pixels = pixel_grid(360, 480)[valid]
    np.testing.assert_allclose(project_with_opencv(calibration, rays[valid]), pixels, atol=1e-5)


def test_a_branch_behind_a_one_sided_fold_is_invalid() -> None:
    # The radial profile nearly folds at mid radius, then goes on to a pole; the tangential part folds one side.
    D = (-1.628, 1.092, -0.021, -0.051, 0.455, 1.542, -2.563, -0.142)
    calibration = make(D, "rational_polynomial")
    valid = is_valid(pixel_rays(calibration))
    reachable = reachable_pixels(calibration)
    assert not (valid & (cv2.dilate(reachable, np.ones((5, 5), np.uint8)) == 0)).any()
    assert reachable.mean() - valid.mean() < 0.01


def test_rays_of_a_fold_are_those_of_the_first_branch() -> None:
    # r_d = r - 0.2 r³ turns at r = sqrt(1 / 0.6), where r_d is two thirds of it.
    calibration = make((-0.2, 0, 0, 0))
    rays = pixel_rays(calibration)
    x, y = np.moveaxis(pixel_grid(360, 480) - (231.3, 184.6), -1, 0) / np.array((100, 102))[:, None, None]
    r_d, turning_point = np.hypot(x, y), math.sqrt(1 / 0.6)
    valid = is_valid(rays)
    assert np.array_equal(valid, r_d < turning_point * 2 / 3)
    assert np.linalg.norm(rays[valid], axis=-1).max() < turning_point


def test_equidistant_rays_end_at_90_degrees() -> None:
    calibration = make((1e-12, 0, 0, 0), "equidistant")
    rays = pixel_rays(calibration)
    x, y = np.moveaxis(pixel_grid(360, 480) - (231.3, 184.6), -1, 0) / np.array((100, 102))[:, None, None]
    angle = np.hypot(x, y)
    assert np.array_equal(is_valid(rays), angle < math.pi / 2)
    inside = angle < 1.5
    np.testing.assert_allclose(rays[inside], (np.tan(angle) / angle * (x, y)).transpose(1, 2, 0)[inside], rtol=1e-5)


@pytest.mark.parametrize(
    ("D", "model"), [((), "plumb_bob"), ((0.0,) * 5, "plumb_bob"), ((), ""), ((0.0,) * 4, "equidistant"), ((), "other")]
)
def test_no_distortion_is_a_pinhole(D: tuple[float, ...], model: str) -> None:
    expected = (pixel_grid(360, 480) - (231.3, 184.6)) / (100, 102)
    rays = pixel_rays(make(D, model))
    assert rays.shape == (360, 480, 2)
    assert rays.dtype == np.float64
    np.testing.assert_allclose(rays, expected, rtol=1e-12, atol=1e-12)


def test_rectified_rays_come_from_P() -> None:
    P = (90, 0, 100.5, -9, 0, 90, 80.5, 0, 0, 0, 1, 0)
    calibration = dataclasses.replace(make((-0.3, 0.1, 0.01, 0)), P=P, binning=(2, 2), roi=(40, 20, 400, 300))
    camera = PinholeCamera.from_calibration(calibration)
    rays = pixel_rays(calibration, rectified=True)
    np.testing.assert_allclose(rays, (pixel_grid(150, 200) - (camera.cx, camera.cy)) / (camera.fx, camera.fy), atol=1e-12)


@pytest.mark.parametrize("model", ["plumb_bob", "equidistant"])
def test_binning_roi_and_resizing_pick_rays_of_the_full_image(model: str) -> None:
    full = make((-0.05, 0.01, 0.002, 0.001), model, focal_length=300)
    rays = pixel_rays(full)
    binned = dataclasses.replace(full, binning=(2, 2))
    np.testing.assert_allclose(pixel_rays(binned), rays[::2, ::2], atol=1e-7)
    window = dataclasses.replace(full, roi=(40, 20, 400, 300))
    np.testing.assert_allclose(pixel_rays(window), rays[20:320, 40:440], atol=1e-7)
    both = dataclasses.replace(window, binning=(4, 2))
    np.testing.assert_allclose(pixel_rays(both), rays[20:320:2, 40:440:4], atol=1e-7)
    # A pixel of a resized image has its centre between those that it was made of; binning keeps the first one's.
    halves = project_to_pixels(full, pixel_rays(full, (240, 180)))
    np.testing.assert_allclose(halves, 2 * pixel_grid(180, 240) + 0.5, atol=1e-5)
    halves = project_to_pixels(full, pixel_rays(both, (50, 75)))
    np.testing.assert_allclose(halves, (2 * pixel_grid(75, 50) + 0.5) * (4, 2) + (40, 20), atol=1e-5)
    pixels = project_to_pixels(both, pixel_rays(both, (50, 75)), (50, 75))
    np.testing.assert_allclose(pixels, pixel_grid(75, 50), atol=1e-5)


def test_rays_without_distortion_are_the_plain_formula() -> None:
    for camera in (make(()), make((0.0,) * 5), make((0.0,) * 4, "equidistant"), make((0.3, 0.1), "")):
        rays = pixel_rays(camera)
        v, u = np.mgrid[:360, :480]
        np.testing.assert_array_equal(rays[..., 0], (u - 231.3) / 100)
        np.testing.assert_array_equal(rays[..., 1], (v - 184.6) / 102)


def test_kept_rays_are_computed_once() -> None:
    camera = make((-0.05, 0.01, 0.002, 0.001))
    rays = kept_rays(camera, (480, 360))
    assert kept_rays(make((-0.05, 0.01, 0.002, 0.001)), (480, 360)) is rays
    np.testing.assert_array_equal(rays, pixel_rays(camera).astype(np.float32))
    assert not rays.flags.writeable
    assert kept_rays(camera, (240, 180)).shape == (180, 240, 2)


def test_further_coefficients_may_be_zero() -> None:
    for model, D in (
        ("equidistant", (0.04, -0.17, 0.16, -0.05)),
        ("rational_polynomial", (0.1,) * 8),
        ("rational_polynomial", (0.1,) * 8 + (0.01,) * 4),
    ):
        np.testing.assert_array_equal(pixel_rays(make((*D, 0.0, 0.0), model)), pixel_rays(make(D, model)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"K": (0.0,) * 9}, "K is all zeros: the camera is not calibrated. Calibrate it"),
        ({"K": ()}, "K is all zeros"),
        ({"K": (1.0, 2.0)}, r"K is \[1.0, 2.0\]; it must be 9 finite numbers"),
        ({"K": (math.nan, 0, 1, 0, 1, 1, 0, 0, 1)}, r"K is \[nan, .*9 finite numbers. Calibrate"),
        ({"K": (-5, 0, 1, 0, 1, 1, 0, 0, 1)}, "fx is -5.*must be positive"),
        ({"width": 0}, "image size is 0x360"),
        ({"D": (0.1, -1e300, 0, 0)}, r"D is \[0.1, -1e\+300, 0, 0\]; no lens has numbers above 1e\+06"),
        ({"D": (0.1, math.inf, 0, 0)}, r"D is \[0.1, inf, 0, 0\]; all numbers must be finite"),
        ({"D": (0.1, 0.1, 0.1)}, "D has 3 numbers; plumb_bob takes 4 or 5 or 8.*rectify"),
        ({"D": (0.1,) * 9}, "D has 9 numbers; plumb_bob takes 4 or 5 or 8 or 12, all further ones 0.*without tilt"),
        ({"D": (0.1,) * 14, "distortion_model": "rational_polynomial"}, "D has 14 numbers; rational_polynomial"),
        ({"D": (0.1,) * 5, "distortion_model": "equidistant"}, "D has 5 numbers; equidistant takes 4, all further"),
        (
            {"distortion_model": "omni"},
            "model is 'omni'; known are plumb_bob, rational_polynomial, equidistant, fisheye.*rectify",
        ),
    ],
)
def test_numbers_that_are_no_camera_are_refused(changes: dict, message: str) -> None:
    calibration = dataclasses.replace(make((-0.1, 0.01, 0.0, 0.0)), **changes)
    with pytest.raises(CalibrationError, match=message):
        pixel_rays(calibration)
    with pytest.raises(CalibrationError, match=message):
        project_to_pixels(calibration, np.zeros(2))


def test_a_rectified_camera_without_P_is_refused() -> None:
    calibration = dataclasses.replace(make(()), P=(0.0,) * 12)
    with pytest.raises(CalibrationError, match="P is all zeros: the camera is not calibrated"):
        pixel_rays(calibration, rectified=True)


def test_an_image_of_another_shape_is_refused() -> None:
    with pytest.raises(CalibrationError, match="different shapes"):
        pixel_rays(make(()), (480, 480))


def test_a_pinhole_has_one_focal_length() -> None:
    camera = make((0, 0, 0, 0))
    np.testing.assert_allclose(metric_stretch(camera), 1, rtol=1e-9)
    assert wide_lens_trouble(camera, (480, 360)) == ""


def test_the_metric_error_of_a_raw_wide_lens_is_bounded_over_its_field(data: Path) -> None:
    """What looks smaller than in a pinhole camera is taken for farther: judged by the apparent size of small things."""
    camera = load(data / "camera_info/equidistant_1280x800.json")
    stretch = metric_stretch(camera)
    v, u = (np.linspace(0, side - 1, 65).round().astype(int) for side in (800, 1280))
    rays = pixel_rays(camera)[v][:, u]
    angle_deg = np.degrees(np.arctan(np.hypot(*np.moveaxis(rays, -1, 0))))
    field = angle_deg <= 60
    turn = np.linspace(0, np.pi, 36, endpoint=False)
    step = 1e-3 * np.stack((np.cos(turn), np.sin(turn)), axis=-1)
    ends = [project_with_opencv(camera, rays[field][:, None] + sign * step) for sign in (1, -1)]
    size = np.linalg.norm((ends[0] - ends[1]) / (camera.K[0], camera.K[4]), axis=-1) / 2e-3  # in a pinhole camera it is 1
    np.testing.assert_allclose(stretch[field], 1 / size.min(axis=1), rtol=0.05)

    bounds = {10: 1.04, 15: 1.08, 20: 1.15, 30: 1.4, 45: 2.2, 60: 4.5}
    for degrees, bound in bounds.items():
        assert stretch[angle_deg <= degrees].min() > 0.99 and stretch[angle_deg <= degrees].max() < bound
    assert stretch[(angle_deg > 44) & (angle_deg < 46)].min() > 1.9, "so it must be told"
    told = wide_lens_trouble(camera, (1280, 800))
    assert re.search(
        r"in 9\d % of the raw image metres may be more than a tenth too long, up to \d+\.\d times at its edge", told
    )
