# SPDX-License-Identifier: Apache-2.0
"""The pair check is silent about real pairs and names what is wrong with disturbed ones, as doctor and command do."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from pair_faults import FAULTS, PAIRS, load_pair

from vizion3d.calibration_files import load_calibrations
from vizion3d.camera import Calibration, PinholeCamera, StereoRig
from vizion3d.cli import main
from vizion3d.cli.files import write_rgb_png
from vizion3d.options import SgbmOptions, StereoOptions
from vizion3d.stereo import StereoDepth, StereoDepthAdvancedConfig, StereoDepthCommand, StereoDepthEstimator
from vizion3d.stereo.findings import Finding
from vizion3d.stereo.pair_check import MAX_ROWS_PX, PairCheck, check_pair
from vizion3d.stereo.rig_check import check_rig
from vizion3d.synthetic import StereoFrame


def matched_check(left: np.ndarray, right: np.ndarray, rig: StereoRig, options: StereoOptions | None = None) -> PairCheck:
    options = options or StereoOptions()
    prediction = StereoDepthEstimator("sgbm").estimate(left, right, rig, **options.matching())
    return check_pair(left, right, rig, prediction=prediction, limits=options)


def named(check: PairCheck) -> dict[str, str]:
    """The level of each fault."""
    return {fault.what: fault.level for fault in check.faults}


def only(check: PairCheck, what: str) -> Finding:
    (finding,) = [finding for finding in check.findings if finding.what == what]
    return finding


@pytest.mark.parametrize("name", PAIRS)
def test_real_pairs_give_no_alarm_and_each_fault_is_named(name: str, data: Path) -> None:
    left, right, rig = load_pair(name, data)
    check = matched_check(left, right, rig)
    assert check.level == "ok" and not check.faults
    assert check.rows.matches >= 100 and 0.6 < check.valid_share < 0.95
    for fault, (change, what, level) in FAULTS.items():
        check = matched_check(*change(left, right), rig)
        assert named(check).get(what) == level == check.level, f"{name}, {fault}: {check.faults}"
        # A turn or scale about the middle of the image moves the rows where the matches are; nothing else is blamed.
        assert named(check).keys() <= {what, "row offset"}, f"{name}, {fault}: {check.faults}"
        assert all(finding.advice for finding in check.faults)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("gain", [0.5, 0.25])
def test_exposure_costs_no_matches(name: str, gain: float, data: Path) -> None:
    left, right, rig = load_pair(name, data)
    check = check_pair(left, (right * gain).astype(np.uint8), rig)
    assert check.rows.matches >= 100
    assert check.brightness_ratio == pytest.approx(gain, abs=0.03)
    dark = check_pair((left * 0.15).astype(np.uint8), (right * 0.15).astype(np.uint8), rig)
    assert dark.rows.matches >= 100 and not dark.faults


def test_doctor_and_command_name_the_same(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    left, right, rig = load_pair("teddy", data)
    camera, files = rig.left, [str(tmp_path / f"{side}.png") for side in ("left", "right")]
    calib = tmp_path / "calib.txt"
    K = "[{0} 0 {1}; 0 {0} {2}; 0 0 1]"
    cameras = (K.format(camera.fx, cx, camera.cy) for cx in (camera.cx, rig.right.cx))
    lines = [f"cam{i}={text}" for i, text in enumerate(cameras)]
    size = [f"doffs={rig.doffs_px}", f"baseline={1000 * rig.baseline_m}", f"width={camera.width}", f"height={camera.height}"]
    calib.write_text("\n".join(lines + size))

    def spoken(*pair: np.ndarray) -> tuple[str, str]:
        for path, image in zip(files, pair, strict=True):
            write_rgb_png(Path(path), image)
        texts = []
        for command in (["doctor"], ["stereo", "--out", str(tmp_path)]):
            main([*command, *files, "--calib", str(calib)])
            texts.append(capsys.readouterr().out)
        doctor, stereo = texts
        return doctor, "".join(line for line in stereo.splitlines() if re.match("warning: |error: ", line))

    doctor, line = spoken(left, right)
    assert not re.search("^(WARN|ERROR)", doctor, re.M) and not line
    for change, what, level in FAULTS.values():
        doctor, line = spoken(*change(left, right))
        assert re.search(f"^{ {'warning': 'WARN ', 'error': 'ERROR'}[level] } {what}: ", doctor, re.M), doctor
        assert line.startswith(f"{level}: ") and f"{what}: " in line and line.count("->") == 1


def test_results_check_when_they_are_asked(frame: StereoFrame, rig: StereoRig, monkeypatch: pytest.MonkeyPatch) -> None:
    left, right = frame.left.copy(), np.roll(frame.right, 3, axis=0)
    command = StereoDepthCommand(left, right, "sgbm", advanced_config=StereoDepthAdvancedConfig.from_rig(rig))
    result = StereoDepth().run(command)
    assert "check" not in vars(result)
    left[:], right[:] = 0, 0  # the caller's arrays are his own again
    assert named(result.check) == {"row offset": "warning"}
    assert result.check.rows.offset_px == pytest.approx(3, abs=0.1)
    assert result.check.valid_share == pytest.approx(result.valid.mean(), abs=0.02)


def test_the_limit_of_rows_is_the_readmes() -> None:
    assert f"within {MAX_ROWS_PX:g} pixels" in (Path(__file__).parents[2] / "docs/nodes.md").read_text(encoding="utf-8")


# Causes


def raw_pair(data: Path) -> tuple[np.ndarray, np.ndarray]:
    pytest.importorskip("rosbags", reason="rosbags is not installed")
    from rosbags.highlevel import AnyReader

    with AnyReader([data / "bags/euroc_v1_01_raw"]) as reader:
        images = {}
        for connection, _, raw in reader.messages():
            if connection.topic.endswith("image_raw") and connection.topic not in images:
                message = reader.deserialize(raw, connection.msgtype)
                grey = message.data.reshape(message.height, message.width)
                images[connection.topic] = np.repeat(grey[..., None], 3, axis=2)
    return images["/stereo/left/image_raw"], images["/stereo/right/image_raw"]


def test_raw_images_are_called_raw_and_not_badly_calibrated(data: Path) -> None:
    left, right = raw_pair(data)
    left_calibration, right_calibration = load_calibrations(
        [data / "camera_info/euroc_left.yaml", data / "camera_info/euroc_right.yaml"], (752, 480)
    )
    rig = StereoRig.from_calibrations(left_calibration, right_calibration, (752, 480))
    check = check_pair(left, right, rig, calibrations=(left_calibration, right_calibration))
    offset = only(check, "row offset")
    assert offset.level == "error"
    assert "the images look raw: rectify them with this calibration" in offset.advice and "calibrate" not in offset.advice[30:]
    before, after = map(float, re.search(r"from ([\d.]+) to ([\d.]+) px", offset.advice).groups())  # type: ignore[union-attr]
    assert before == pytest.approx(12.7, abs=0.5) and after < 0.3


def test_an_unknown_lens_is_no_obstacle(frame: StereoFrame) -> None:
    K = (525.0, 0, 319.5, 0, 525.0, 239.5, 0, 0, 1)
    P = (525.0, 0, 319.5, 0, 0, 525.0, 239.5, 0, 0, 0, 1.0, 0)
    strange = Calibration(640, 480, K, (0.1, 0.1, 0.1), (), P)
    check = check_pair(frame.left, np.roll(frame.right, 8, axis=0), calibrations=(strange, strange))
    assert only(check, "row offset").advice.startswith("rectify the images if they are raw")


def test_a_moved_camera_is_not_called_raw(data: Path) -> None:
    left, right = raw_pair(data)
    calibrations = load_calibrations([data / "camera_info/euroc_left.yaml", data / "camera_info/euroc_right.yaml"], (752, 480))
    check = check_pair(left, np.roll(right, 8, axis=0), calibrations=calibrations)
    assert "does not help" in only(check, "row offset").advice
    assert "calibrate the pair anew" in only(check, "row offset").advice


def test_two_frames_of_one_camera_are_one_camera(frame: StereoFrame, rig: StereoRig) -> None:
    random = np.random.default_rng(0)
    first, second = (np.clip(frame.left + random.normal(0, 2, frame.left.shape), 0, 255).astype(np.uint8) for _ in range(2))
    assert named(check_pair(first, second, rig)) == {"cameras": "error"}
    assert named(check_pair(first, (second * 0.8).astype(np.uint8), rig))["cameras"] == "warning"  # or a far scene


def test_what_is_nearer_than_the_search_is_told_with_the_range_that_holds_it(frame: StereoFrame, rig: StereoRig) -> None:
    check = matched_check(frame.left, frame.right, rig, StereoOptions(sgbm=SgbmOptions(max_disparity=20)))
    finding = only(check, "search range")
    assert finding.level == "warning" and finding.passing
    assert check.nearer_share > 0.1
    needed = int(re.search(r"set sgbm.max_disparity to (\d+), or z_near to 0\.\d+", finding.advice)[1])  # type: ignore[index]
    enough = matched_check(frame.left, frame.right, rig, StereoOptions(sgbm=SgbmOptions(max_disparity=needed)))
    assert not enough.faults and enough.nearer_share < 0.02


def test_what_z_far_cuts_off_is_told(frame: StereoFrame, rig: StereoRig) -> None:
    check = matched_check(frame.left, frame.right, rig, StereoOptions(z_far=float(np.percentile(frame.depth_m, 30))))
    assert check.too_far_share == pytest.approx(0.7, abs=0.1)
    assert re.search(r"\d+% of what is measured lies beyond z_far = ", only(check, "z_far").value)
    assert named(check) == {"z_far": "warning"}


def test_a_covered_lens_is_named_with_its_side(frame: StereoFrame, rig: StereoRig) -> None:
    covered = np.random.default_rng(0).integers(0, 4, frame.right.shape, dtype=np.uint8)
    check = matched_check(frame.left, covered, rig)
    assert named(check) == {"exposure": "warning", "texture": "warning"}
    assert all(fault.passing for fault in check.faults)
    assert "the right one is black" in only(check, "texture").value and "left one" not in only(check, "texture").value


def test_a_baseline_in_millimetres_is_named(frame: StereoFrame, rig: StereoRig) -> None:
    check = matched_check(frame.left, frame.right, dataclasses.replace(rig, baseline_m=1000 * rig.baseline_m))
    assert {"baseline", "depth", "z_far"} <= named(check).keys()
    assert "not millimetres" in only(check, "baseline").advice
    assert check.level == "warning"


def test_binning_that_was_divided_by_twice_is_named() -> None:
    rig = StereoRig(PinholeCamera(640, 480, 262, 262, 159.6, 119.6), 0.12)
    (finding,) = [finding for finding in check_rig(rig) if finding.is_fault]
    assert finding.what == "principal point" and "divided by the binning twice" in finding.advice
