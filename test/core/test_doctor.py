# SPDX-License-Identifier: Apache-2.0
"""The doctor finds each fault it knows, names it and its cure, and is silent about healthy pairs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from vizion3d.camera import Calibration, PinholeCamera, StereoRig
from vizion3d.cli import main
from vizion3d.cli.files import write_rgb_png
from vizion3d.stereo.findings import Finding
from vizion3d.stereo.pair_check import check_pair
from vizion3d.stereo.rig_check import check_calibrated_size, check_rig
from vizion3d.synthetic import StereoFrame


def only(findings: Sequence[Finding], what: str) -> Finding:
    (finding,) = [finding for finding in findings if finding.what == what]
    return finding


def faults(findings: Sequence[Finding]) -> list[tuple[str, str]]:
    return [(finding.level, finding.what) for finding in findings if finding.level != "ok"]


def test_healthy_pair_and_rig(frame: StereoFrame, rig: StereoRig) -> None:
    findings = check_pair(frame.left, frame.right, rig).findings
    assert faults(findings) == []
    assert [finding.what for finding in findings] == [
        "focal length",
        "principal point",
        "baseline",
        "exposure",
        "texture",
        "cameras",
        "row offset",
        "roll",
        "vertical scale",
        "order",
        "depth",
    ]
    assert only(findings, "baseline").value == "0.12 m"


@pytest.mark.parametrize(
    ("what", "camera", "baseline_m"),
    [
        ("focal length", PinholeCamera(640, 480, 5250, 5250, 320, 240), 0.12),
        ("focal length", PinholeCamera(640, 480, 80, 80, 320, 240), 0.12),
        ("principal point", PinholeCamera(640, 480, 525, 525, 640, 240), 0.12),
        ("principal point", PinholeCamera(640, 480, 525, 525, 320, 480), 0.12),
        ("baseline", PinholeCamera(640, 480, 525, 525, 320, 240), 120.0),
        ("baseline", PinholeCamera(640, 480, 525, 525, 320, 240), 0.005),
    ],
)
def test_each_implausible_number_is_found_alone(what: str, camera: PinholeCamera, baseline_m: float) -> None:
    findings = check_rig(StereoRig(camera, baseline_m))
    assert faults(findings) == [("warning", what)]
    assert only(findings, what).advice


def test_calibration_of_another_size() -> None:
    calibration = Calibration(1280, 960, K=(), D=(), R=(), P=())
    assert check_calibrated_size(calibration, (1280, 960)).level == "ok"
    assert check_calibrated_size(dataclasses.replace(calibration, binning=(2, 2)), (640, 480)).level == "ok"
    assert check_calibrated_size(dataclasses.replace(calibration, width=0, height=0), (640, 480)).level == "ok"
    finding = check_calibrated_size(calibration, (640, 480))
    assert (finding.level, finding.value) == ("warning", "640x480, calibrated at 1280x960")


@pytest.mark.parametrize(("rows", "level"), [(1, "ok"), (2, "warning"), (-2, "warning"), (5, "warning"), (8, "error")])
def test_row_offset(frame: StereoFrame, rows: int, level: str) -> None:
    finding = only(check_pair(frame.left, np.roll(frame.right, rows, axis=0)).findings, "row offset")
    assert finding.level == level
    assert f"{abs(rows)}.0" in finding.value
    assert finding.value.endswith("px lower" if rows > 0 else "px higher")


def test_turned_camera(frame: StereoFrame, rig: StereoRig) -> None:
    turn = cv2.getRotationMatrix2D((rig.left.cx, rig.left.cy), -0.4, 1)
    finding = only(check_pair(frame.left, cv2.warpAffine(frame.right, turn, (640, 480)), rig).findings, "roll")
    assert finding.level == "warning"
    assert "turned by +0.40 deg" in finding.value
    assert "2.2 px at the edge" in finding.value


def test_swapped_images(frame: StereoFrame, rig: StereoRig) -> None:
    findings = check_pair(frame.right, frame.left, rig).findings
    assert faults(findings) == [("error", "order")]
    assert "exchange the two images" in only(findings, "order").advice


def test_doffs_that_put_everything_behind_infinity(frame: StereoFrame, rig: StereoRig) -> None:
    findings = check_pair(frame.left, frame.right, dataclasses.replace(rig, doffs_px=-300)).findings
    assert faults(findings) == [("warning", "principal point"), ("error", "order")]
    assert "doffs = cx_right - cx_left is wrong" in findings[-1].advice


def test_median_depth_that_nobody_has(frame: StereoFrame, rig: StereoRig) -> None:
    findings = check_pair(frame.left, frame.right, dataclasses.replace(rig, baseline_m=120)).findings
    assert faults(findings) == [("warning", "baseline"), ("warning", "depth")]
    assert all("metres" in finding.advice and "millimetres" in finding.advice for finding in findings if finding.is_fault)


def test_pairs_that_are_none(frame: StereoFrame) -> None:
    (sizes,) = check_pair(frame.left, frame.right[:, :600]).findings
    assert (sizes.level, sizes.value) == ("error", "sizes 640x480 and 600x480")
    (same,) = check_pair(frame.left, frame.left).faults
    assert (same.level, same.what) == ("error", "cameras")
    assert same.advice.startswith("both images are the same")
    dark = check_pair(np.zeros_like(frame.left), np.ones_like(frame.right)).faults
    assert [(finding.level, finding.what) for finding in dark] == [("warning", "texture")]
    assert "the left one is black (mean 0 of 255); the right one is black" in dark[0].value


# The command


def write_yaml(path: Path, P: list[float], width: int = 640, height: int = 480) -> str:
    matrices = {
        "camera_matrix": [P[0], 0, P[2], 0, P[5], P[6], 0, 0, 1],
        "distortion_coefficients": [0.0] * 5,
        "rectification_matrix": np.eye(3).ravel().tolist(),
        "projection_matrix": P,
    }
    content = {"image_width": width, "image_height": height, "distortion_model": "plumb_bob"}
    path.write_text(yaml.safe_dump({**content, **{name: {"data": numbers} for name, numbers in matrices.items()}}))
    return str(path)


def projection(tx: float) -> list[float]:
    return [525.0, 0, 319.5, tx, 0, 525.0, 239.5, 0, 0, 0, 1.0, 0]


class Case:
    """Files of a healthy pair, and the doctor's answer about them."""

    def __init__(self, folder: Path, frame: StereoFrame, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self.left, self.right = str(folder / "left.png"), str(folder / "right.png")
        write_rgb_png(folder / "left.png", frame.left)
        write_rgb_png(folder / "right.png", frame.right)
        self.left_yaml = write_yaml(folder / "left.yaml", projection(0))
        self.right_yaml = write_yaml(folder / "right.yaml", projection(-525 * 0.12))

    def doctor(self, left: str, right: str, *calib: str) -> tuple[int, list[str], str]:
        """Exit status, the lines that are not ok, and standard error."""
        status = main(["doctor", left, right, "--calib", *calib])
        captured = self._capsys.readouterr()
        return status, [line for line in captured.out.splitlines() if not line.startswith("ok ")], captured.err


@pytest.fixture
def case(tmp_path: Path, frame: StereoFrame, capsys: pytest.CaptureFixture[str]) -> Case:
    return Case(tmp_path, frame, capsys)


def test_command_is_content_with_a_healthy_pair(case: Case) -> None:
    assert case.doctor(case.left, case.right, case.left_yaml, case.right_yaml) == (0, [], "")


def test_command_tells_swapped_files_from_swapped_images(case: Case) -> None:
    files = "ERROR calibration: the right camera is given first -> exchange the two files of --calib"
    images = "left and right are swapped: exchange the two images"

    status, lines, _ = case.doctor(case.left, case.right, case.right_yaml, case.left_yaml)
    assert (status, lines) == (1, [files])

    status, (line,), _ = case.doctor(case.right, case.left, case.left_yaml, case.right_yaml)
    assert status == 1
    assert line.startswith("ERROR order: ")
    assert line.endswith(images)

    status, lines, _ = case.doctor(case.right, case.left, case.right_yaml, case.left_yaml)
    assert status == 1
    assert lines[0] == files
    assert lines[1].endswith(images)


def test_command_reports_zeros_and_still_looks_at_the_images(case: Case) -> None:
    zeros = write_yaml(case.folder / "zeros.yaml", [0.0] * 12)
    status, (line,), _ = case.doctor(case.left, case.right, case.left_yaml, zeros)
    assert status == 1
    assert line.startswith("ERROR calibration: P of the right camera is all zeros: not calibrated.")


def test_command_reports_a_missing_baseline(case: Case) -> None:
    status, (line,), _ = case.doctor(case.left, case.right, case.left_yaml, case.left_yaml)
    assert status == 1
    assert line.startswith("ERROR calibration: the baseline is 0")


def test_warnings_do_not_fail_the_command(case: Case) -> None:
    doubled = [2 * number for number in projection(0)], [2 * number for number in projection(-525 * 0.12)]
    files = [write_yaml(case.folder / f"{i}.yaml", [*P[:10], 1.0, 0.0], 1280, 960) for i, P in enumerate(doubled)]
    status, (line,), _ = case.doctor(case.left, case.right, *files)
    assert status == 0
    assert line.startswith("WARN  image size: 640x480, calibrated at 1280x960 -> ")


def test_wrong_usage_is_no_finding(case: Case) -> None:
    status, lines, error = case.doctor(case.left, case.right, "absent.txt")
    assert (status, lines) == (2, [])
    assert "there is no file absent.txt" in error
    status, lines, error = case.doctor("absent.png", case.right, case.left_yaml, case.right_yaml)
    assert (status, lines) == (2, [])
    assert "LEFT: there is no file absent.png" in error


@pytest.mark.parametrize(
    ("folder", "left", "right"), [("teddy", "im2.png", "im6.png"), ("kitti_odometry", "left.png", "right.png")]
)
def test_real_pairs_are_healthy_and_swapped_ones_are_not(folder: str, left: str, right: str, data: Path, case: Case) -> None:
    paths = data / "stereo" / folder
    calib = str(paths / "calib.txt")
    assert case.doctor(str(paths / left), str(paths / right), calib) == (0, [], "")
    status, lines, _ = case.doctor(str(paths / right), str(paths / left), calib)
    assert (status, len(lines), lines[0][:13]) == (1, 1, "ERROR order: ")
    assert lines[0].endswith("left and right are swapped: exchange the two images")
