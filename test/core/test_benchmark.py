# SPDX-License-Identifier: Apache-2.0
import dataclasses
import functools

import cv2
import numpy as np
import pytest

from vizion3d.camera import StereoRig
from vizion3d.errors import InputError
from vizion3d.evaluate import StereoCase
from vizion3d.stereo.row_check import measure_rows
from vizion3d.synthetic import benchmark
from vizion3d.synthetic.benchmark import CASE_NAMES

draw = functools.lru_cache(maxsize=None)(benchmark.draw)


def found_in_right(case: StereoCase) -> np.ndarray:
    """(H, W, 3) float32: the right image at the place where the truth says that each left pixel is."""
    u, v = np.meshgrid(np.arange(640, dtype=np.float32), np.arange(480, dtype=np.float32))
    right = case.rectified_pair().right.astype(np.float32)
    return cv2.remap(right, (u - np.nan_to_num(case.truth_px)).astype(np.float32), v, cv2.INTER_LINEAR)


def difference(case: StereoCase) -> float:
    """Median grey levels between the two images of a point."""
    return float(np.median(np.abs(found_in_right(case) - case.rectified_pair().left)[case.visible]))


@pytest.mark.parametrize("name", ["room", "verged-60", "verged+60", "near-0.4", "raw-equidistant"])
def test_truth_leads_to_the_same_point_in_the_right_image(name):
    case = draw(name)
    assert case.name == name and case.left.dtype == np.uint8 and case.left.shape == case.right.shape == (480, 640, 3)
    assert np.mean(np.isfinite(case.truth_px)) > 0.95
    assert 0.6 < case.visible.mean() < 0.99
    assert not case.visible[np.isnan(case.truth_px)].any()
    assert difference(case) < 1.5
    assert difference(dataclasses.replace(case, truth_px=case.truth_px + 1)) > 1.5 * difference(case) + 1


def test_every_case_has_a_rig_and_its_depth():
    for name in ("verged-60", "near-0.3", "wall-0.3", "slab", "12-bit", "roll-1.0"):
        case = draw(name)
        assert isinstance(case.rig, StereoRig) and case.rig.left.width == 640
        assert case.rig.doffs_px == (-60 if name == "verged-60" else 0)
        assert np.isfinite(case.depth_m).all()
    assert np.ptp(draw("wall-0.3").depth_m) == 0 and draw("wall-0.3").depth_m[0, 0] == 2
    near = draw("near-0.3").depth_m < 0.31
    assert 0.1 < near.mean() < 0.2


def test_the_same_pixels_for_everyone():
    for name in ("wall-1", "gain-0.5"):
        first, second = benchmark.draw(name), benchmark.draw(name)
        np.testing.assert_array_equal(first.left, second.left)
        np.testing.assert_array_equal(first.right, second.right)
        np.testing.assert_array_equal(first.truth_px, second.truth_px)


@pytest.mark.parametrize("levels", [0.3, 1.0, 3.0])
def test_walls_differ_from_camera_to_camera_by_noise_alone(levels):
    case = draw(f"wall-{levels:g}")
    left, right = case.left.astype(float), case.right.astype(float)
    assert 0.9 * levels < left.std() < 1.1 * levels + 0.3
    assert abs(left.mean() - right.mean()) < 0.05
    assert abs(np.corrcoef(left.ravel(), right.ravel())[0, 1]) < 0.01
    columns = left.mean(axis=(0, 2))
    assert np.ptp(columns) < 0.1 + levels  # evenly lit


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_deep_images_use_their_bits_and_show_the_room(bits):
    case, room = draw(f"{bits}-bit"), draw("room")
    assert case.bits == bits and case.left.dtype == np.uint16
    assert 2 ** (bits - 1) < case.left.max() < 2**bits
    assert len(np.unique(case.left)) > 3 * 256
    white = 2**bits - 1
    np.testing.assert_allclose(case.left / white, room.left / 255, atol=0.51 / 255 + 0.51 / white)
    np.testing.assert_array_equal(case.truth_px, room.truth_px)


def test_gain_darkens_the_right_image_alone():
    case, room = draw("gain-0.5"), draw("room")
    np.testing.assert_array_equal(case.left, room.left)
    np.testing.assert_allclose(case.right, room.right / 2, atol=0.76)


@pytest.mark.parametrize(("name", "roll_deg", "rows"), [("room", 0, 0), ("roll-1.0", 1, 0), ("rows-3.0", 0, 3)])
def test_a_knocked_camera_is_measured_as_it_was_knocked(name, roll_deg, rows):
    case = draw(name)
    report = measure_rows(case.left, case.right)
    assert report.roll_deg == pytest.approx(roll_deg, abs=0.1)
    assert report.offset_px == pytest.approx(rows, abs=0.2 if name != "roll-1.0" else 2)
    np.testing.assert_array_equal(case.truth_px, draw("room").truth_px)


def test_raw_images_are_bent_and_rectification_lines_them_up():
    case = draw("raw-equidistant")
    raw, rectified = measure_rows(case.left, case.right), measure_rows(*case.rectified_pair()[:2])
    assert abs(raw.offset_px) > 1 > 20 * abs(rectified.offset_px)
    assert abs(rectified.roll_deg) < 0.1
    with pytest.raises(InputError, match="the images rectified"):
        case.window(2)


def test_repeated_texture_repeats():
    """A period off, the right image looks almost the same on the chessboard wall."""
    case = draw("repeated")
    upper = np.s_[40:200, 200:500]
    period_px = 2 * 0.06 * 525 / 3
    shifted = (dataclasses.replace(case, truth_px=case.truth_px + shift) for shift in (0, period_px, period_px / 2))
    same, period, half = (np.abs(found_in_right(other) - case.left)[upper].mean() for other in shifted)
    assert same < period < half / 4


def test_names():
    for start in (
        "room",
        "verged",
        "near",
        "wall",
        "slab",
        "thin",
        "repeated",
        "10-bit",
        "12-bit",
        "14-bit",
        "gain",
        "roll",
        "rows",
        "raw",
    ):
        assert any(name.startswith(start) for name in CASE_NAMES)
    with pytest.raises(InputError, match="there is no drawn case 'moon'; there are room, "):
        benchmark.draw("moon")
