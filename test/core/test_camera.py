# SPDX-License-Identifier: Apache-2.0
import dataclasses
import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vizion3d.camera import Calibration, PinholeCamera, StereoRig, _tell_once
from vizion3d.errors import CalibrationError, Vizion3dError

LEFT = Calibration(640, 480, K=(), D=(), R=(), P=(500, 0, 320, 0, 0, 510, 240, 0, 0, 0, 1, 0))
RIGHT = dataclasses.replace(LEFT, P=(500, 0, 320, -60, 0, 510, 240, 0, 0, 0, 1, 0))


def with_P(calibration: Calibration, **numbers: float) -> Calibration:
    """The calibration with some of P replaced: `with_P(LEFT, _3=-60)` sets P[3]."""
    P = list(calibration.P)
    for name, value in numbers.items():
        P[int(name[1:])] = value
    return dataclasses.replace(calibration, P=tuple(P))


@st.composite
def published_pairs(draw):
    """A left and a right calibration with binning and ROI, and the size of an image resized from what they announce."""
    f, aspect = draw(st.floats(100, 3000)), draw(st.floats(0.9, 1.1))
    cx, cy = draw(st.floats(100, 1900)), draw(st.floats(100, 1500))
    baseline_m, doffs_px = draw(st.floats(0.01, 2)), draw(st.floats(-80, 80))
    tx_left_m = draw(st.floats(-1, 1))  # the left camera need not be the origin of the rectified frame
    ty_left_m, slope, rows = draw(st.floats(-1, 1)), draw(st.floats(-0.049, 0.049)), draw(st.floats(-0.3, 0.3))
    binning = draw(st.tuples(st.integers(0, 4), st.integers(0, 4)))
    bx, by = (max(1, b) for b in binning)
    size = bx * draw(st.integers(40, 300)), by * draw(st.integers(40, 300))
    left_x, right_x, y = (draw(st.integers(0, 200)) for _ in range(3))
    enlarged = draw(st.integers(1, 3))

    def calibration(center_x: float, center_y: float, tx_m: float, ty_m: float, roi_x: int) -> Calibration:
        P = (f, 0, center_x, f * tx_m, 0, f * aspect, center_y, f * aspect * ty_m, 0, 0, 1, 0)
        return Calibration(2000, 1600, (), (), (), P, binning=binning, roi=(roi_x, y, *size))

    left = calibration(cx, cy, tx_left_m, ty_left_m, left_x)
    right = calibration(cx + doffs_px, cy + rows, tx_left_m - baseline_m, ty_left_m + slope * baseline_m, right_x)
    return left, right, (enlarged * size[0] // bx, enlarged * size[1] // by)


def pixel_at(calibration: Calibration, point_m: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """Where a point of the rectified frame falls in the image at hand, by the definition of CameraInfo."""
    u, v, w = np.reshape(calibration.P, (3, 4)) @ [*point_m, 1]
    return in_image(calibration, np.array([u / w, v / w]), image_size)


def in_image(calibration: Calibration, pixel: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """A pixel of the whole sensor in the image at hand: ROI, binning, then a resize with half-pixel centres."""
    binned = (pixel - calibration.roi[:2]) / calibration.effective_binning
    return (binned + 0.5) * image_size / np.array(calibration.image_size) - 0.5


@settings(max_examples=100, deadline=None)
@given(published_pairs(), st.floats(-2, 2), st.floats(-2, 2), st.floats(0.5, 20))
def test_a_rig_measures_what_both_projections_say(pair, x, y, z):
    left, right, size = pair
    rig = StereoRig.from_calibrations(left, right, size)
    point_m = np.array([x, y, z])
    (u_left, v_left), (u_right, v_right) = (pixel_at(c, point_m, size) for c in (left, right))
    assert v_right - v_left == pytest.approx(rig.rows_off(u_left - u_right), abs=1e-6)
    assert rig.left.fx * rig.baseline_m / (u_left - u_right + rig.doffs_px) == pytest.approx(z, rel=1e-6)
    # Coordinates relative to the left optical centre.
    x_left, y_left = x + left.P[3] / left.P[0], y + left.P[7] / left.P[5]
    assert rig.left.fx * x_left / z + rig.left.cx == pytest.approx(u_left, rel=1e-9, abs=1e-6)
    assert rig.left.fy * y_left / z + rig.left.cy == pytest.approx(v_left, rel=1e-9, abs=1e-6)
    assert rig.right.fx * (x_left - rig.baseline_m) / z + rig.right.cx == pytest.approx(u_right, rel=1e-9, abs=1e-6)
    assert (rig.left.width, rig.left.height) == (rig.right.width, rig.right.height) == size


def test_rig_from_plain_calibrations():
    rig = StereoRig.from_calibrations(LEFT, with_P(RIGHT, _2=327))
    assert rig == StereoRig(PinholeCamera(640, 480, 500, 510, 320, 240), baseline_m=0.12, doffs_px=7)
    np.testing.assert_array_equal(rig.left.K, [[500, 0, 320], [0, 510, 240], [0, 0, 1]])


def test_left_camera_off_the_origin():
    rig = StereoRig.from_calibrations(with_P(LEFT, _3=25), with_P(RIGHT, _3=-35))
    assert rig.baseline_m == pytest.approx(0.12)


KITTI_COLOUR = [
    Calibration(1242, 375, (), (), (), P)
    for P in (
        (721.5377, 0, 609.5593, 44.85728, 0, 721.5377, 172.854, 0.2163791, 0, 0, 1, 0.002745884),
        (721.5377, 0, 609.5593, -339.5242, 0, 721.5377, 172.854, 2.199936, 0, 0, 1, 0.002729905),
    )
]


def test_the_colour_cameras_of_kitti():
    rig = StereoRig.from_calibrations(*KITTI_COLOUR)
    assert rig.baseline_m == pytest.approx(0.5327, abs=1e-4)
    assert rig.doffs_px == rig.row_offset_px == 0
    assert rig.rows_off(33) == pytest.approx(0.17, abs=0.005)


@pytest.mark.parametrize("rest", [4.7e-5, -1e-13])
def test_small_rests_of_a_rectification_change_nothing(rest):
    rig = StereoRig.from_calibrations(LEFT, with_P(RIGHT, _7=rest))
    assert (rig.left, rig.baseline_m) == (StereoRig.from_calibrations(LEFT, RIGHT).left, 0.12)
    assert abs(rig.rows_off(300)) < 1e-3


def test_rows_are_refused_where_one_camera_is_above_the_other():
    assert StereoRig.from_calibrations(LEFT, with_P(RIGHT, _7=0.049 * 61.2)).row_slope == pytest.approx(0.049 * 61.2 / 60)
    for rows in (0.051 * 61.2, -0.051 * 61.2):
        with pytest.raises(CalibrationError, match="the rows are not aligned"):
            StereoRig.from_calibrations(LEFT, with_P(RIGHT, _7=rows))
    with pytest.raises(CalibrationError, match="the rows are not aligned"):
        StereoRig.from_calibrations(LEFT, with_P(RIGHT, _3=0, _7=-60))


def test_rounding_errors_are_no_baseline():
    with pytest.raises(CalibrationError, match="the baseline is 0"):
        StereoRig.from_calibrations(LEFT, with_P(RIGHT, _3=-1e-13, _7=1e-13))


def test_binning_0_is_binning_1():
    zero, one = (
        StereoRig.from_calibrations(*(dataclasses.replace(c, binning=binning) for c in (LEFT, RIGHT)))
        for binning in ((0, 0), (1, 1))
    )
    assert zero == one
    assert dataclasses.replace(LEFT, binning=(0, 2)).effective_binning == (1, 2)


def test_an_empty_roi_is_the_whole_image():
    whole = dataclasses.replace(LEFT, roi=(0, 0, 640, 480))
    assert PinholeCamera.from_calibration(LEFT) == PinholeCamera.from_calibration(whole)


def test_binning_and_roi_together():
    camera = PinholeCamera.from_calibration(dataclasses.replace(LEFT, binning=(2, 4), roi=(100, 40, 320, 240)))
    assert camera == PinholeCamera(160, 60, fx=250, fy=127.5, cx=110, cy=50)


@settings(max_examples=40, deadline=None)
@given(published_pairs())
def test_a_calibration_for_its_image_has_nothing_left_to_work_in(pair):
    left, _, size = pair
    left = dataclasses.replace(left, K=(400, 0, 300, 0, 410, 200, 0, 0, 1), D=(0.1, 0.2), R=(1, 0, 0, 0, 1, 0, 0, 0, 1))
    own = left.for_image(size)
    assert own.image_size == (own.width, own.height) == size
    assert (own.D, own.R, own.distortion_model) == (left.D, left.R, left.distortion_model)
    assert own.for_image(size) == own.for_image() == own
    point_m = np.array([0.4, -0.3, 2])
    np.testing.assert_allclose(
        pixel_at(dataclasses.replace(own, roi=(0, 0, *size)), point_m, size), pixel_at(left, point_m, size)
    )
    raw = np.reshape(left.K, (3, 3)) @ point_m / 2
    np.testing.assert_allclose((np.reshape(own.K, (3, 3)) @ point_m / 2)[:2], in_image(left, raw[:2], size), atol=1e-9)


@pytest.mark.parametrize("size", [(320, 240), (1280, 960), (641, 480)])
def test_depth_does_not_change_with_the_size_of_the_image(size):
    full, resized = (StereoRig.from_calibrations(LEFT, with_P(RIGHT, _2=327), s) for s in (None, size))
    sx = size[0] / 640
    assert resized.baseline_m == full.baseline_m
    for disparity_px in (1.0, 40.0):
        assert resized.left.fx / (disparity_px * sx + resized.doffs_px) == pytest.approx(
            full.left.fx / (disparity_px + full.doffs_px)
        )
    assert (resized.left.width, resized.left.height) == size


def test_calibrations_of_unknown_size_take_that_of_the_image():
    left, right = (dataclasses.replace(c, width=0, height=0) for c in (LEFT, RIGHT))
    assert StereoRig.from_calibrations(left, right, (320, 240)).left == PinholeCamera(320, 240, 500, 510, 320, 240)
    with pytest.raises(CalibrationError, match="left camera: the image size is 0x0; both must be positive"):
        StereoRig.from_calibrations(left, right)


@settings(max_examples=50, deadline=None)
@given(st.floats(0.2, 3), st.integers(-100, 300), st.integers(-100, 300))
def test_scaling_and_cropping_move_pixels_not_points(s, x, y):
    rig = StereoRig(PinholeCamera(640, 480, 500, 510, 320, 240), 0.12, doffs_px=7)
    point_m = np.array([0.3, -0.2, 2.5])

    def see(camera: PinholeCamera) -> np.ndarray:
        u, v, w = camera.K @ point_m
        return np.array([u / w, v / w])

    for side in ("left", "right"):
        seen = see(getattr(rig, side))
        scaled = getattr(rig.scaled(s, 2 * s), side)
        true = np.array([scaled.width / 640, scaled.height / 480])
        np.testing.assert_allclose(see(scaled), (seen + 0.5) * true - 0.5)
        np.testing.assert_allclose(see(getattr(rig.cropped(x, y, 100, 50), side)), seen - (x, y))
    assert (rig.scaled(s, 1).left.width, rig.cropped(x, y, 100, 50).left.height) == (round(640 * s), 50)
    assert rig.scaled(s, s).baseline_m == rig.cropped(x, y, 100, 50).baseline_m == 0.12


def test_a_resized_picture_shows_things_where_its_camera_says():
    dot = np.zeros((48, 192), np.float32)
    dot[21:24, 90:93] = 1  # around (91, 22)
    seen = np.array([91, 22])
    camera = PinholeCamera.from_calibration(
        Calibration(192, 48, (), (), (), (90, 0, 91, 0, 0, 90, 22, 0, 0, 0, 1, 0)), (64, 16)
    )
    small = cv2.resize(dot, (64, 16), interpolation=cv2.INTER_AREA)
    v, u = np.indices(small.shape)
    np.testing.assert_allclose((camera.cx, camera.cy), [(u * small).sum() / small.sum(), (v * small).sum() / small.sum()])
    np.testing.assert_allclose((camera.cx, camera.cy), (seen + 0.5) / 3 - 0.5)


def test_scaling_uses_what_whole_pixels_make_of_the_factor():
    camera = PinholeCamera(641, 481, 500, 500, 320, 240).scaled(0.5, 0.5)
    assert (camera.width, camera.height) == (320, 240)
    assert camera.fx == 500 * 320 / 641 and camera.fy == 500 * 240 / 481
    assert (camera.cx, camera.cy) == pytest.approx((159.5, 119.5))  # the middle stays the middle


@pytest.mark.parametrize("roi", [(4294967295, 0, 320, 240), (4294967295, 0, 0, 0), (400, 0, 320, 240), (0, 241, 640, 240)])
def test_a_roi_outside_of_the_image_is_refused(roi):
    with pytest.raises(
        CalibrationError, match=rf"the roi is {roi[2]}x{roi[3]} at \({roi[0]}, {roi[1]}\), outside of the 640x480"
    ):
        StereoRig.from_calibrations(*(dataclasses.replace(c, roi=roi) for c in (LEFT, RIGHT)))


@pytest.mark.parametrize(("numbers"), [{"_2": -1}, {"_2": 700}, {"_6": -240}, {"_6": 500}, {"_2": -4e9}])
def test_a_principal_point_outside_of_the_image_is_refused(numbers):
    with pytest.raises(CalibrationError, match=r"left camera: the principal point \(.*\) is outside of the 640x480 image"):
        StereoRig.from_calibrations(with_P(LEFT, **numbers), with_P(RIGHT, **numbers))
    unknown = [dataclasses.replace(with_P(c, **numbers), width=0, height=0) for c in (LEFT, RIGHT)]
    with pytest.raises(CalibrationError, match="outside of the 640x480 image"):
        StereoRig.from_calibrations(*unknown, (640, 480))


def test_a_window_need_not_hold_the_principal_point():
    rig = StereoRig.from_calibrations(*(dataclasses.replace(c, roi=(400, 0, 240, 480)) for c in (LEFT, RIGHT)))
    assert rig.left == PinholeCamera(240, 480, 500, 510, -80, 240)


ZEROED = dataclasses.replace(LEFT, P=(0.0,) * 12)


@pytest.mark.parametrize(
    ("left", "right", "message"),
    [
        (ZEROED, ZEROED, "P of the left camera is all zeros: not calibrated. Calibrate the pair"),
        (LEFT, ZEROED, "P of the right camera is all zeros: not calibrated"),
        (dataclasses.replace(LEFT, P=()), RIGHT, "P of the left camera .* not calibrated"),
        (RIGHT, LEFT, r"the baseline is -0\.12 m; it must be positive. Left and right are swapped"),
        (LEFT, LEFT, r"the baseline is 0: P\[3\] of the right camera must be -fx \* baseline"),
        (LEFT, with_P(RIGHT, _0=510), "fx differs: left 500, right 510. A rectified pair has one focal length"),
        (LEFT, with_P(RIGHT, _5=500), "fy differs: left 510, right 500"),
        (LEFT, with_P(RIGHT, _6=243), "the rows are not aligned: cy left 240, right 243"),
        (LEFT, with_P(RIGHT, _7=-60), r"the rows are not aligned.*P\[7\] left 0, right -60"),
        (with_P(LEFT, _2=math.nan), RIGHT, "left camera: P is .*nan.*; all numbers must be finite"),
        (LEFT, with_P(RIGHT, _3=-math.inf), "right camera: P is .*-inf.*; all numbers must be finite"),
        (LEFT, with_P(RIGHT, _3=math.nan), "right camera: P is .*nan.*; all numbers must be finite"),
        (
            LEFT,
            dataclasses.replace(RIGHT, width=320, height=240),
            "left calibration is for 640x480 and the right one for 320x240",
        ),
        (with_P(LEFT, _0=-500), RIGHT, r"left camera: fx is -500(\.0)?; a focal length must be positive"),
        (with_P(LEFT, _0=0, _5=0), RIGHT, "left camera: fx and fy are 0: the camera is not calibrated"),
        (dataclasses.replace(LEFT, P=LEFT.P[:9]), RIGHT, "left camera: P has 9 numbers; 12 are needed"),
    ],
)
def test_impossible_pairs_are_refused(left, right, message):
    with pytest.raises(CalibrationError, match=message):
        StereoRig.from_calibrations(left, right)


@pytest.mark.parametrize("size", [(640, 360), (640, 640), (320, 480)])
def test_an_image_of_another_shape_is_refused(size):
    with pytest.raises(
        CalibrationError, match=f"the image is {size[0]}x{size[1]} but its calibration is for 640x480: different"
    ):
        StereoRig.from_calibrations(LEFT, RIGHT, size)


@pytest.mark.parametrize("size", [(0, 0), (640, 0), (0, 480)])
def test_an_image_without_pixels_is_refused(size):
    with pytest.raises(CalibrationError, match=f"{size[0]}x{size[1]}"):
        StereoRig.from_calibrations(LEFT, RIGHT, size)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"width": 0}, "the image size is 0x480; both must be positive"),
        ({"height": -1}, "the image size is 640x-1"),
        ({"fx": 0.0}, r"fx is 0\.0; a focal length must be positive"),
        ({"fy": -1.0}, r"fy is -1\.0; a focal length must be positive"),
        ({"fx": 0.0, "fy": 0.0}, "not calibrated"),
        ({"fx": math.inf}, "fx is inf; it must be a finite number"),
        ({"fx": 1e-300}, "fx is 1e-300; a focal length is a number of pixels, such as "),
        ({"fy": 1e300}, r"fy is 1e\+300; a focal length is a number of pixels, such as "),
        ({"cx": math.nan}, "cx is nan; it must be a finite number"),
        ({"cy": -math.inf}, "cy is -inf; it must be a finite number"),
    ],
)
def test_impossible_cameras_are_refused(numbers, message):
    with pytest.raises(CalibrationError, match=message):
        PinholeCamera(**{"width": 640, "height": 480, "fx": 500.0, "fy": 500.0, "cx": 320.0, "cy": 240.0} | numbers)


@pytest.mark.parametrize(
    ("baseline_m", "doffs_px", "message"),
    [
        (math.nan, 0, "baseline_m is nan; it must be finite"),
        (0.1, math.inf, "doffs_px is inf; it must be finite"),
        (0, 0, "the baseline is 0"),
        (-0.1, 0, "Left and right are swapped"),
    ],
)
def test_impossible_rigs_are_refused(baseline_m, doffs_px, message):
    with pytest.raises(CalibrationError, match=message):
        StereoRig(PinholeCamera(640, 480, 500, 500, 320, 240), baseline_m, doffs_px)


def test_records_are_frozen_values():
    rig = StereoRig.from_calibrations(LEFT, RIGHT)
    for record, name in ((LEFT, "width"), (rig.left, "fx"), (rig, "baseline_m")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(record, name, 1)
    assert len({rig, StereoRig.from_calibrations(LEFT, RIGHT)}) == 1


def test_every_refusal_can_be_caught_as_one():
    with pytest.raises(Vizion3dError):
        StereoRig.from_calibrations(LEFT, LEFT)
    with pytest.raises(ValueError):
        StereoRig.from_calibrations(LEFT, LEFT)


@pytest.fixture(autouse=True)
def tell_again():
    """What is told once a process is told once a test."""
    _tell_once.cache_clear()


def told(caplog) -> str:
    """The warnings so far."""
    return "\n".join(record.getMessage() for record in caplog.records)


def test_a_roi_of_valid_pixels_does_not_scale_the_whole_image(caplog):
    valid_part = dataclasses.replace(LEFT, roi=(32, 24, 576, 432))
    assert PinholeCamera.from_calibration(valid_part, (640, 480)) == PinholeCamera.from_calibration(LEFT)
    assert "a roi of 576x432 at (32, 24): this is taken as the part with valid pixels, not as a crop" in told(caplog)
    crop = PinholeCamera.from_calibration(valid_part, (576, 432))
    assert (crop.fx, crop.cx) == (LEFT.P[0], LEFT.P[2] - 32)
    binned = dataclasses.replace(valid_part, binning=(2, 2))
    assert PinholeCamera.from_calibration(binned, (320, 240)).fx == LEFT.P[0] / 2


def test_binning_of_an_image_that_is_not_binned_is_passed_over(caplog):
    binned = dataclasses.replace(LEFT, binning=(2, 2))
    assert PinholeCamera.from_calibration(binned, (640, 480)) == PinholeCamera.from_calibration(LEFT)
    assert "the image is 640x480 and so is its CameraInfo without binning: binning 2x2 and roi are passed over" in told(caplog)


def test_K_and_P_that_are_binned_already_are_told_once(caplog):
    P = (250.0, 0, 160.0, 0, 0, 250.0, 120.0, 0, 0, 0, 1, 0)
    twice = dataclasses.replace(LEFT, K=(), P=P, binning=(2, 2))
    for _ in range(3):
        assert PinholeCamera.from_calibration(twice, (320, 240)).fx == 125
    assert told(caplog).count("K and P with binning 2x2 look like those of the binned image") == 1
    PinholeCamera.from_calibration(dataclasses.replace(LEFT, binning=(4, 1)), (160, 480))
    assert "4x1" not in told(caplog)
