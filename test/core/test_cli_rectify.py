# SPDX-License-Identifier: Apache-2.0
"""`vizion3d stereo` on raw pairs: rectified when told, or when measured beyond doubt, and never by a guess."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest

from vizion3d.calibration_files import camera_yaml
from vizion3d.camera import Calibration
from vizion3d.cli import main
from vizion3d.rectify import Rectifier
from vizion3d.stereo.raw_or_rectified import BothWays
from vizion3d.stereo.row_check import RowReport
from vizion3d.synthetic import default_scene, render, render_raw, render_stereo
from vizion3d.synthetic.benchmark import draw

CASE = draw("raw-plumb_bob")
FRAME = render_stereo(default_scene(), CASE.rig)
STOPPED = "Say --rectify yes if they are raw, --rectify no if they are rectified"


@pytest.fixture
def stereo(tmp_path, monkeypatch, capsys):
    """Run the command on two images and the calibration of the raw case; what it says and its depth, None if it stopped."""
    monkeypatch.chdir(tmp_path)
    write_calibrations(CASE.raw)

    def run(left: np.ndarray, right: np.ndarray, *flags: str) -> tuple[str, np.ndarray | None]:
        for name, image in (("left", left), ("right", right)):
            PIL.Image.fromarray(image).save(f"{name}.png")
        Path("out/left_depth.png").unlink(missing_ok=True)
        status = main(["stereo", "left.png", "right.png", "--calib", "left.yaml", "right.yaml", "--out", "out", *flags])
        told = capsys.readouterr()
        if status:
            assert status == 2 and told.err.count("\n") == 1 and not Path("out/left_depth.png").exists()
            return told.err, None
        return told.out, np.asarray(cv2.imread("out/left_depth.png", cv2.IMREAD_UNCHANGED)) / 1000

    return run


def write_calibrations(pair: tuple[Calibration, Calibration]) -> None:
    for name, calibration in zip(("left", "right"), pair, strict=True):
        Path(f"{name}.yaml").write_text(camera_yaml(calibration, name))


def off_by_5_percent(depth_m: np.ndarray) -> float:
    valid = (depth_m > 0) & FRAME.visible
    assert valid.mean() > 0.5
    return float(np.mean(np.abs(depth_m[valid] / FRAME.depth_m[valid] - 1) > 0.05))


def test_a_raw_pair_is_rectified_when_told_and_when_measured(stereo):
    told, depth_m = stereo(CASE.left, CASE.right, "--rectify", "yes")
    assert "are raw" not in told and off_by_5_percent(depth_m) < 0.03
    measured, same = stereo(CASE.left, CASE.right)
    assert "the images are raw by how their rows line up, and are rectified (--rectify yes)" in measured
    np.testing.assert_array_equal(same, depth_m)
    told, spoilt = stereo(CASE.left, CASE.right, "--rectify", "no")
    assert "the images look raw: give --rectify yes, which brings a usual point from" in told
    assert (spoilt > 0).mean() < 0.8 * (depth_m > 0).mean()


def test_a_rectified_pair_with_the_calibration_of_its_lenses_is_left_alone(stereo):
    told, depth_m = stereo(FRAME.left, FRAME.right)
    assert "raw" not in told and off_by_5_percent(depth_m) < 0.03
    _, same = stereo(FRAME.left, FRAME.right, "--rectify", "no")
    np.testing.assert_array_equal(same, depth_m)


def test_a_knocked_rectified_pair_is_never_warped(stereo):
    camera = dataclasses.replace(CASE.rig.right, cy=CASE.rig.right.cy + 3)
    knocked = render(default_scene(), camera, CASE.rig.baseline_m).image
    told, _ = stereo(FRAME.left, knocked)
    assert "it cannot be told whether the images are raw: as they are, they are 3.0" in told and STOPPED in told


def test_an_aligned_raw_pair_is_not_guessed_at(stereo):
    """Two lenses nearly alike, mounted nearly straight: its rows are hardly off as they are."""
    straight = tuple(np.eye(3).ravel())
    left = dataclasses.replace(CASE.raw[0], R=straight)
    right = dataclasses.replace(CASE.raw[1], R=straight, K=(*left.K[:5], left.K[5] + 0.6, *left.K[6:]))
    write_calibrations((left, right))
    views = (render_raw(default_scene(), c, x_m).image for c, x_m in ((left, 0.0), (right, CASE.rig.baseline_m)))
    told, _ = stereo(*views)
    assert "as they are, they are 0." in told and STOPPED in told


def test_a_black_first_frame_is_not_guessed_at(stereo):
    black = np.zeros_like(CASE.left)
    for left, right in ((black, black), (CASE.left, black)):
        told, _ = stereo(left, right)
        assert "they are nan rows off (0 matches)" in told and STOPPED in told


def test_exchanged_images_are_never_warped(stereo):
    told, _ = stereo(CASE.right, CASE.left)
    assert STOPPED in told
    told, _ = stereo(FRAME.right, FRAME.left)
    assert "and are rectified" not in told


def test_without_a_calibration_nothing_can_be_rectified(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["stereo", "left.png", "right.png", "--rectify", "yes"]) == 2
    assert "--rectify yes needs the calibration of the raw images: give --calib" in capsys.readouterr().err


def test_a_calibration_that_can_rectify_nothing_is_of_rectified_images(stereo):
    write_calibrations(tuple(dataclasses.replace(c, K=(0.0,) * 9) for c in CASE.raw))
    told, depth_m = stereo(FRAME.left, FRAME.right)
    assert "raw" not in told and off_by_5_percent(depth_m) < 0.03
    told, _ = stereo(FRAME.left, FRAME.right, "--rectify", "yes")
    assert "left camera: K is all zeros" in told


@pytest.mark.parametrize(
    ("as_it_is", "rectified", "expected"),
    [
        ((200, 12.2), (200, 0.06), True),
        ((200, 0.06), (200, 12.2), False),
        ((200, 1.4), (200, 0.5), None),
        ((200, 1.5), (200, 0.5), True),
        ((200, 0.9), (200, 0.1), None),
        ((200, 3.0), (200, 0.6), None),
        ((49, 12.2), (200, 0.06), None),
        ((0, float("nan")), (200, 0.06), None),
        ((200, 0.06), (0, float("nan")), None),
    ],
)
def test_the_measure(as_it_is, rectified, expected):
    ways = (RowReport(matches, typical_px=rows) for matches, rows in (as_it_is, rectified))
    assert BothWays(*ways).is_raw is expected


def test_the_measure_of_a_raw_pair():
    both = BothWays.measure(CASE.left, CASE.right, Rectifier.from_calibrations(*CASE.raw))
    assert both.as_it_is.typical_px > 1 and both.rectified.typical_px < 0.2
