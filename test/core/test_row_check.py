# SPDX-License-Identifier: Apache-2.0
"""Rows that do not line up and exchanged images are measured; what cannot be measured is said to be so."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from pair_faults import PAIRS, warped

from vizion3d.camera import StereoRig
from vizion3d.errors import InputError
from vizion3d.images import load_rgb
from vizion3d.stereo import StereoDepthEstimator
from vizion3d.stereo.order import OrderReport
from vizion3d.stereo.row_check import (
    RowReport,
    match_features,
    measure_rows,
    tell_calibrated_rows,
)
from vizion3d.synthetic import StereoFrame


def lowered(image: np.ndarray, rows: float) -> np.ndarray:
    """The image with its content moved down by a number of rows."""
    return warped(image, np.array([[1, 0, 0], [0, 1, rows]], dtype=np.float64))


@pytest.fixture(params=PAIRS)
def pair(request: pytest.FixtureRequest, data: Path) -> tuple[np.ndarray, np.ndarray]:
    left, right = (load_rgb(data / "stereo" / request.param / name) for name in PAIRS[request.param])
    return left, right


def test_shifts_of_real_pairs_are_measured(pair: tuple[np.ndarray, np.ndarray]) -> None:
    left, right = pair
    for rows in (-2, 0, 0.5, 1, 2, 4, 8):
        report = measure_rows(left, lowered(right, rows))
        assert report.enough
        assert report.offset_px == pytest.approx(rows, abs=0.3), f"shifted by {rows}"
        assert report.spread_px < 0.5


def test_exchange_of_real_pairs_is_recognised(pair: tuple[np.ndarray, np.ndarray]) -> None:
    left, right = pair
    proper, exchanged = order(left, right), order(right, left)
    assert proper.proper_is_possible and not proper.exchanged_is_possible
    assert exchanged.exchanged_is_possible and not exchanged.proper_is_possible
    assert proper.in_front_share == pytest.approx(exchanged.exchanged_share, abs=0.03) and proper.in_front_share > 0.95


def test_matches_follow_the_true_disparity(frame: StereoFrame) -> None:
    matches = match_features(frame.left, frame.right)
    x, y = matches[:, :2].round().astype(int).T
    visible = frame.visible[y, x]
    error = np.abs(matches[:, 0] - matches[:, 2] - frame.disparity_px[y, x])[visible]
    assert np.median(error) < 0.1
    assert np.mean(error < 1) > 0.9


@pytest.mark.parametrize("degrees", [0.3, -1.0])
def test_roll_is_positive_clockwise(frame: StereoFrame, degrees: float) -> None:
    # OpenCV turns counter-clockwise.
    turn = cv2.getRotationMatrix2D((320, 240), -degrees, 1)
    report = measure_rows(frame.left, warped(frame.right, turn))
    assert report.roll_deg == pytest.approx(degrees, abs=0.05)
    assert report.vertical_scale == pytest.approx(1, abs=0.001)


def test_vertical_scale(frame: StereoFrame) -> None:
    taller = np.array([[1, 0, 0], [0, 1.01, -2.4]])
    report = measure_rows(frame.left, warped(frame.right, taller))
    assert report.vertical_scale == pytest.approx(1.01, abs=0.001)
    assert report.roll_deg == pytest.approx(0, abs=0.05)


def order(left: np.ndarray, right: np.ndarray) -> OrderReport:
    return OrderReport.from_matches(match_features(left, right))


def textureless(kind: str) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:480, :640]
    random = np.random.default_rng(0)
    grey = {
        "flat": np.full((480, 640), 120),
        "noise": np.full((480, 640), 120),
        "stripes": y // 8 % 2 * 200,
        "chessboard": (x // 20 + y // 20) % 2 * 200,
    }[kind]
    left, right = (np.repeat(image.astype(np.uint8)[..., None], 3, axis=2) for image in (grey, np.roll(grey, -13, 1)))
    if kind == "noise":
        left, right = (np.clip(i + random.normal(0, 3, i.shape), 0, 255).astype(np.uint8) for i in (left, right))
    return left, right


@pytest.mark.parametrize("kind", ["flat", "noise", "stripes", "chessboard"])
def test_nothing_is_guessed_without_distinct_texture(kind: str) -> None:
    left, right = textureless(kind)
    report = measure_rows(left, lowered(right, 3))
    assert not report.enough
    assert math.isnan(report.offset_px)
    assert order(left, right).finding(0.0).level == "unknown"


def test_unrelated_pictures_do_not_match(data: Path) -> None:
    left = load_rgb(data / "stereo/wood2/view1.png")
    right = cv2.resize(load_rgb(data / "stereo/sceneflow_0/left.png"), (left.shape[1], left.shape[0]))
    assert not measure_rows(left, right).enough


def test_order_of_a_far_scene_is_left_open(frame: StereoFrame) -> None:
    assert order(frame.left, frame.left).finding(0.0).level == "unknown"


def test_order_is_left_open_when_disparities_contradict_each_other() -> None:
    matches = np.zeros((100, 4), dtype=np.float32)
    matches[:60, 0], matches[60:, 0] = 10, -10
    report = OrderReport.from_matches(matches)
    assert (report.decided, report.finding(0.0).level) == (100, "warning")
    assert report.in_front_share == pytest.approx(0.6)


def test_offset_withstands_wrong_matches() -> None:
    random = np.random.default_rng(0)
    matches = random.uniform(0, 480, (200, 4))
    matches[:, 3] = matches[:, 1] + 2 + random.normal(0, 0.1, 200)
    matches[::4, 3] += random.uniform(-20, 20, 50)
    report = RowReport.from_matches(matches)
    assert report.offset_px == pytest.approx(2, abs=0.1)
    assert report.roll_deg == pytest.approx(0, abs=0.02)


def test_sizes_must_be_equal() -> None:
    with pytest.raises(InputError, match=r"\(4, 5, 3\) and \(4, 6, 3\)"):
        match_features(np.zeros((4, 5, 3), np.uint8), np.zeros((4, 6, 3), np.uint8))


def test_tiny_images_have_no_matches() -> None:
    assert match_features(np.zeros((4, 5, 3), np.uint8), np.zeros((4, 5, 3), np.uint8)).shape == (0, 4)


def test_rows_that_the_calibration_leaves_are_told_once(caplog, frame: StereoFrame, rig: StereoRig):
    tell_calibrated_rows.cache_clear()
    estimator = StereoDepthEstimator("sgbm")  # searches a sixth of the width
    for slope, told in ((0.0, 0), (0.001, 0), (0.00517, 1), (-0.004, 1)):
        caplog.clear()
        for _ in range(2):
            estimator.estimate(frame.left, frame.right, dataclasses.replace(rig, row_slope=slope))
        assert len(caplog.records) == told
        if told:
            assert f"up to {rig.left.width / 6 * slope:+.2f} rows lower" in caplog.text
