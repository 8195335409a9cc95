# SPDX-License-Identifier: Apache-2.0
"""Rectification of raw pairs, against OpenCV's maps and against pairs that are drawn rectified."""

from __future__ import annotations

import dataclasses
import functools

import cv2
import numpy as np
import pytest
import torch

from vizion3d.camera import Calibration, PinholeCamera, StereoRig
from vizion3d.errors import CalibrationError, InputError
from vizion3d.evaluate import StereoCase
from vizion3d.evaluate.predict import evaluate, predict
from vizion3d.options import ValidityLimits
from vizion3d.rectify import Rectifier, Shown, raw_pixels, rectified_points
from vizion3d.stereo import Reason, StereoDepth, StereoDepthAdvancedConfig, StereoDepthCommand, StereoDepthEstimator
from vizion3d.stereo.prediction import StereoPrediction
from vizion3d.stereo.row_check import measure_rows
from vizion3d.synthetic import benchmark, default_scene, render_stereo

draw = functools.lru_cache(maxsize=None)(benchmark.draw)
LENSES = ("raw-plumb_bob", "raw-rational_polynomial", "raw-equidistant", "raw-thin_prism")
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def calibrations(name: str = "raw-plumb_bob", **changes) -> tuple[Calibration, Calibration]:
    left, right = draw(name).raw
    return dataclasses.replace(left, **changes), dataclasses.replace(right, **changes)


def zoomed_out(calibration: Calibration, factor: float) -> Calibration:
    """The rectified image shows more than the raw one, as with stereoRectify's alpha 1."""
    P = np.array(calibration.P).reshape(3, 4)
    P[0, 0], P[1, 1], P[0, 3] = P[0, 0] * factor, P[1, 1] * factor, P[0, 3] * factor
    return dataclasses.replace(calibration, P=tuple(P.ravel().tolist()))


@pytest.mark.parametrize("name", LENSES)
def test_maps_are_those_of_opencv(name):
    for calibration in calibrations(name):
        K, R, P = (np.reshape(getattr(calibration, letter), (3, -1)) for letter in "KRP")
        D, size = np.array(calibration.D), (calibration.width, calibration.height)
        module = cv2.fisheye if calibration.distortion_model == "equidistant" else cv2
        expected = np.stack(module.initUndistortRectifyMap(K, D, R, P[:, :3], size, cv2.CV_32FC1), axis=-1)
        found = raw_pixels(calibration, PinholeCamera.from_calibration(calibration))
        assert np.abs(found - expected).max() < 1e-3


@pytest.mark.parametrize("name", LENSES)
def test_points_are_rectified_to_the_pixels_that_show_them(name):
    for calibration in calibrations(name):
        raw = raw_pixels(calibration, PinholeCamera.from_calibration(calibration))[::7, ::7]
        v, u = np.indices((calibration.height, calibration.width))[:, ::7, ::7]
        shown = np.isfinite(raw).all(axis=-1)
        assert shown.mean() > 0.5
        found = rectified_points(calibration, raw[shown])
        np.testing.assert_allclose(found, np.stack((u[shown], v[shown]), axis=-1), atol=1e-3)


def test_what_is_beyond_the_fold_is_border_where_opencv_mirrors():
    # r_d = r - 0.2 r³ turns at r = sqrt(1 / 0.6): from there on the formula leads back into the image.
    K, P = (100.0, 0, 120, 0, 100, 90, 0, 0, 1), (50.0, 0, 120, 0, 0, 50, 90, 0, 0, 0, 1, 0)
    calibration = Calibration(240, 180, K, (-0.2, 0, 0, 0), IDENTITY, P)
    camera = PinholeCamera.from_calibration(calibration)
    pixels = raw_pixels(calibration, camera)
    v, u = np.indices((180, 240))
    radius = np.hypot(u - 120, v - 90) / 50
    np.testing.assert_array_equal(np.isnan(pixels[..., 0]), radius >= np.sqrt(1 / 0.6))
    mirrored = cv2.initUndistortRectifyMap(
        np.reshape(K, (3, 3)), np.array(calibration.D), None, np.reshape(P, (3, 4))[:, :3], (240, 180), cv2.CV_32FC1
    )
    folded = (radius > 1.4) & (radius < 2)
    assert np.abs(mirrored[0][folded] - 120).max() < 100  # inside the image


def test_where_the_lens_looks_backwards_is_border():
    turned = cv2.Rodrigues(np.array([0.0, np.radians(80), 0.0]))[0]
    P = (60.0, 0, 120, 0, 0, 60, 90, 0, 0, 0, 1, 0)
    calibration = Calibration(240, 180, (60.0, 0, 120, 0, 60, 90, 0, 0, 1), (), tuple(turned.ravel()), P)
    pixels = raw_pixels(calibration, PinholeCamera.from_calibration(calibration))
    u = np.arange(240)
    backwards = np.degrees(np.arctan((u - 120) / 60)) + (80 if np.isfinite(pixels[90, 0, 0]) else -80)
    np.testing.assert_array_equal(np.isnan(pixels[90, :, 0]), np.abs(backwards) >= 90)


@pytest.mark.parametrize("name", LENSES)
def test_a_pair_through_a_lens_is_as_good_as_one_without(name):
    """Equal rig, equal scene, equal pixels with truth."""
    raw = draw(name)
    shown = Rectifier.from_calibrations(*raw.raw).shown
    frame = render_stereo(default_scene(), raw.rig)
    plain = StereoCase("plain", frame.left, frame.right, raw.truth_px, raw.visible, raw.rig)
    estimator = StereoDepthEstimator("sgbm")
    scores = [evaluate(case, predict(estimator, case)).valid_non_occluded for case in (raw, plain)]
    assert scores[0].density == pytest.approx(scores[1].density, abs=0.005)
    assert scores[0].bad_2 == pytest.approx(scores[1].bad_2, abs=0.005)
    assert scores[1].density > 0.95 and scores[1].bad_2 < 0.01
    rows = measure_rows(*raw.rectified_pair()[:2])
    assert abs(rows.offset_px) < 0.05 and abs(rows.roll_deg) < 0.05
    assert shown.left.mean() > 0.95


def test_a_camera_without_lens_and_turn_is_left_alone():
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, 256, (2, 48, 64, 3), dtype=np.uint8)
    rectifier = Rectifier.from_calibrations(
        *(Calibration.rectified(64, 48, (50.0, 0, 31.5, tx, 0, 50.0, 23.5, 0, 0, 0, 1, 0)) for tx in (0, -5))
    )
    assert rectifier.is_identity and rectifier.shown.everything and rectifier.shown.window == (0, 0, 64, 48)
    pair = rectifier(left, right)
    np.testing.assert_array_equal(pair.left, left)
    np.testing.assert_array_equal(pair.right, right)
    assert pair.shown is None and pair.rig == rectifier.rig
    assert not Rectifier.from_calibrations(*calibrations()).is_identity


def test_maps_are_computed_once_a_calibration():
    assert Rectifier.from_calibrations(*calibrations()) is Rectifier.from_calibrations(*calibrations())
    resized = Rectifier.from_calibrations(*calibrations(), (320, 240))
    assert (resized.rig.left.width, resized.shown.left.shape) == (320, (240, 320))


def test_a_window_and_binning_pick_pixels_of_the_full_image():
    full, _ = calibrations()
    window = dataclasses.replace(full, roi=(40, 20, 480, 400))
    both = dataclasses.replace(window, binning=(2, 2))
    expected = raw_pixels(full, PinholeCamera.from_calibration(full))[20:420, 40:520] - (40, 20)
    found = raw_pixels(window.for_image(), PinholeCamera.from_calibration(window))
    np.testing.assert_allclose(found, expected, atol=1e-9)
    found = raw_pixels(both.for_image(), PinholeCamera.from_calibration(both))
    np.testing.assert_allclose(found, expected[::2, ::2] / 2, atol=1e-9)


# --- border ---


@pytest.fixture(scope="module")
def zoomed() -> tuple[Rectifier, StereoCase]:
    case = draw("raw-plumb_bob")
    return Rectifier.from_calibrations(*(zoomed_out(c, 0.7) for c in case.raw)), case


def test_what_no_raw_pixel_shows_is_border(zoomed):
    rectifier, case = zoomed
    pair = rectifier(case.left, case.right)
    assert 0.5 < pair.shown.left.mean() < 0.9 and not pair.shown.everything
    prediction = StereoDepthEstimator("sgbm").estimate(*pair)
    limits = ValidityLimits(conf_threshold=0, occ_threshold=0)
    valid, reason = prediction.valid(limits).numpy(), prediction.reason(limits).numpy()
    assert not valid[~pair.shown.left].any() and (reason[~pair.shown.left] == Reason.BORDER).all()
    assert prediction.disparity_px.isnan().numpy()[~pair.shown.left].all()
    v, u = np.nonzero(valid)
    in_right = np.rint(u - prediction.disparity_px.numpy()[valid]).astype(int).clip(0)
    assert pair.shown.right[v, in_right].all()

    x, y, width, height = prediction.valid_window
    rows, columns = np.nonzero(pair.shown.left.any(axis=1))[0], np.nonzero(pair.shown.left.any(axis=0))[0]
    assert (x, y, width, height) == (columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1)
    assert width < 640 and height < 480

    frame = render_stereo(default_scene(), pair.rig)
    usual = prediction.valid(ValidityLimits()).numpy()
    assert usual.sum() > 0.93 * (pair.shown.left & frame.visible).sum()
    error_px = np.abs(prediction.disparity_px.numpy() - frame.disparity_px)
    near_border = cv2.dilate((~pair.shown.left).astype(np.uint8), np.ones((41, 41), np.uint8)).astype(bool)
    for part in (usual, usual & near_border):
        assert np.mean(error_px[part] > 2) < 0.01


def test_a_match_in_the_border_of_the_right_image_is_none():
    shown = Shown(np.array([[False, True, True, True]]), np.array([[True, False, True, True]]))
    disparity_px = torch.tensor([[0.0, 0.0, 1.2, torch.nan]])
    rig = StereoRig(PinholeCamera(4, 1, 100.0, 100.0, 1.5, 0.0), 0.1)
    bare = StereoPrediction(disparity_px, None, None, rig, None, 0.1).without_border(shown)
    assert bare.reason(ValidityLimits()).tolist() == [[Reason.BORDER] * 3 + [Reason.LOW_CONFIDENCE]]
    assert bare.disparity_px.isnan().all() and bare.confidence is None and bare.valid_window == (1, 0, 3, 1)
    ones = torch.ones(1, 4)
    sure = StereoPrediction(disparity_px, ones, ones, rig, None, 0.1).without_border(shown)
    assert sure.confidence.tolist() == sure.visibility.tolist() == [[0, 0, 0, 1]]
    assert disparity_px.isfinite().sum() == 3  # the first one keeps its own


def test_the_easy_door_knows_the_border(zoomed):
    rectifier, case = zoomed
    pair = rectifier(case.left, case.right)
    config = StereoDepthAdvancedConfig.from_rig(pair.rig)
    result = StereoDepth().run(StereoDepthCommand(pair.left, pair.right, "sgbm", advanced_config=config, shown=pair.shown))
    assert (result.reason[~pair.shown.left] == Reason.BORDER).all() and not result.depth[~pair.shown.left].any()
    np.testing.assert_array_equal(result.valid, StereoDepthEstimator("sgbm").estimate(*pair).valid(config).numpy())


# --- mistakes ---


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"K": (0.0,) * 9}, "left camera: K is all zeros: the camera is not calibrated"),
        ({"R": (0.0,) * 9}, r"left camera: R is \[0.0, .*\]; it must be 9 numbers of a rotation. Calibrate the pair"),
        ({"R": ()}, r"left camera: R is \[\]; it must be 9"),
        ({"distortion_model": "omni"}, "left camera: the distortion model is 'omni'"),
        ({"P": (0.0,) * 12}, "P of the left camera is all zeros: not calibrated"),
    ],
)
def test_calibrations_that_rectify_nothing_are_refused(changes, message):
    with pytest.raises(CalibrationError, match=message):
        Rectifier.from_calibrations(*calibrations(**changes))


def test_images_of_another_size_are_refused():
    rectifier = Rectifier.from_calibrations(*calibrations())
    left, right = np.zeros((480, 640, 3), np.uint8), np.zeros((400, 640, 3), np.uint8)
    with pytest.raises(InputError, match="the right image is 640x400 but is to be rectified at 640x480; both images must have"):
        rectifier(left, right)
