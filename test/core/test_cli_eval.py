# SPDX-License-Identifier: Apache-2.0
import json
import re
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest

from vizion3d.camera import PinholeCamera, StereoRig
from vizion3d.cli import main
from vizion3d.cli.files import write_depth_png, write_pfm, write_rgb_png
from vizion3d.synthetic import StereoFrame, default_scene, render_stereo

RIG = StereoRig(PinholeCamera(160, 120, 131.0, 131.0, 79.5, 59.5), 0.12)


@pytest.fixture(scope="module")
def small() -> StereoFrame:
    return render_stereo(default_scene(), RIG)


@pytest.fixture
def folder(small, tmp_path, monkeypatch) -> Path:
    """A pair in pairs/one, its truth in several forms, and predictions."""
    pair = tmp_path / "pairs/one"
    pair.mkdir(parents=True)
    write_rgb_png(pair / "left.png", small.left)
    write_rgb_png(pair / "right.png", small.right)
    write_pfm(pair / "disp_left.pfm", small.disparity_px)
    (tmp_path / "calib.txt").write_text("cam0=[131 0 79.5; 0 131 59.5; 0 0 1]\nbaseline=120\nwidth=160\nheight=120\n")
    write_depth_png(tmp_path / "depth_mm.png", small.depth_m)
    write_depth_png(tmp_path / "depth_off.png", small.depth_m * 1.1)
    np.save(tmp_path / "unknown.npy", np.full_like(small.depth_m, np.nan))
    cv2.imwrite(str(tmp_path / "kitti.png"), (small.disparity_px * 256).round().astype(np.uint16))
    write_rgb_png(tmp_path / "narrow.png", small.right[:, :-20])
    write_pfm(tmp_path / "narrow.pfm", small.disparity_px[:, :-20])
    (tmp_path / "answers").mkdir()
    write_pfm(tmp_path / "answers/one.pfm", small.disparity_px + 1.5)
    monkeypatch.chdir(tmp_path)
    return tmp_path


PAIR = ["pairs/one/left.png", "pairs/one/right.png"]
TRUTH = ["--truth", "pairs/one/disp_left.pfm"]


def run(capsys, *arguments: str) -> tuple[list[list[str]], str]:
    """Cells of the first table, and all that was printed."""
    assert main(["eval", *arguments]) == 0
    text = capsys.readouterr().out
    lines = [line for line in text.split("\n\n")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines], text


def test_a_pair_gets_a_table_a_json_and_a_picture(folder, capsys):
    rows, text = run(capsys, *PAIR, *TRUTH, "--calib", "calib.txt", "--out", "results")
    assert rows[0][:5] == ["pair", "model", "pixels", "density %", "bad-1 %"]
    assert [row[:3] for row in rows[2:]] == [["left", "sgbm", "all"], ["left", "sgbm", "valid"]]
    assert float(rows[3][3]) > 80
    assert "0.95 to 1" in text and "Without a calibration" not in text
    (result,) = json.loads((folder / "results/eval.json").read_text())["results"]
    assert f"{100 * result['valid']['bad_2']:.2f}" == rows[3][5]
    assert result["calibrated"] is True and result["seconds"] > 0
    picture = np.asarray(PIL.Image.open(folder / "results/left_sgbm_error.png"))
    assert picture.shape[1:] == (320, 3) and picture.shape[0] > 240


def test_the_encodings_of_one_truth_agree(folder, capsys):
    tables = [
        run(capsys, *PAIR, "--calib", "calib.txt", "--truth", truth, *encoding)[0]
        for truth, *encoding in (
            ("pairs/one/disp_left.pfm",),
            ("kitti.png", "--encoding", "kitti"),
            ("depth_mm.png", "--encoding", "millimetres"),
        )
    ]
    numbers = np.array([[[float(cell) for cell in row[3:]] for row in rows[2:]] for rows in tables])
    np.testing.assert_allclose(numbers[1:], numbers[:1].repeat(2, axis=0), atol=1.0)


def test_folders_lists_models_and_files(folder, capsys):
    (folder / "list.yaml").write_text(
        "- {name: two, left: pairs/one/left.png, right: pairs/one/right.png,\n   truth: kitti.png, encoding: kitti}\n"
    )
    rows, text = run(capsys, "pairs", "list.yaml", "--model", "sgbm", "opencv-sgbm")
    assert [row[:3] for row in rows[2:8]] == [
        ["one", "sgbm", "all"], ["one", "sgbm", "valid"], ["one", "opencv-sgbm", "all"],
        ["two", "sgbm", "all"], ["two", "sgbm", "valid"], ["two", "opencv-sgbm", "all"],
    ]  # fmt: skip
    assert [row[0] for row in rows[8:]] == ["mean"] * 3
    assert "Without a calibration" in text
    rows, _ = run(capsys, "pairs", "--prediction", "answers")
    assert rows[2][:7] == ["one", "answers", "all", "100.00", "100.00", "0.00", "0.00"]


def test_a_window_of_a_pair(folder, capsys):
    rows, _ = run(capsys, "pairs", "--window", "2")
    assert [row[0] for row in rows[2:]] == ["one/2"] * 4  # with what is seen, which a window always knows


def test_drawn_pairs_by_name(folder, capsys):
    rows, _ = run(capsys, "--drawn", "wall-1")
    assert {row[0] for row in rows[2:]} == {"wall-1"} and len(rows) == 6


def test_two_maps_of_either_kind(folder, capsys):
    rows, _ = run(
        capsys, "--truth", "depth_mm.png", "--encoding", "nyu", "--prediction", "depth_off.png", "--prediction-encoding", "nyu"
    )
    assert rows[0] == ["pair", "model", "pixels", "density %", "abs rel %", "too far %", "too near %"]
    assert rows[2][:3] == ["depth_mm", "depth_off.png", "all"] and float(rows[2][4]) == pytest.approx(10, abs=0.05)
    mixed = ["--truth", "kitti.png", "--encoding", "kitti", "--prediction", "depth_mm.png", "--prediction-encoding", "nyu"]
    rows, _ = run(capsys, *mixed, "--calib", "calib.txt")
    assert rows[0][4] == "bad-1 %" and float(rows[2][4]) == 0


def test_one_picture_and_a_mono_model(folder, vits_file, capsys):
    arguments = ["--truth", "depth_mm.png", "--encoding", "nyu", "--model", str(vits_file), "--device", "cpu"]
    rows, text = run(capsys, PAIR[0], *arguments)
    assert "the model gives relative inverse depth: it is scaled and shifted" in text
    assert rows[0][3] == "density %" and rows[2][2] == "all"


def test_a_mono_model_with_metres_by_the_focal_length_takes_the_calibration(folder, da3_metric_file, capsys):
    arguments = ["--truth", "depth_mm.png", "--encoding", "nyu", "--model", str(da3_metric_file), "--device", "cpu"]
    rows, text = run(capsys, PAIR[0], *arguments, "--calib", "calib.txt")
    assert "scaled and shifted" not in text and 0 < float(rows[2][3]) < 100
    assert main(["eval", PAIR[0], *arguments]) == 2
    assert "metres only with the focal length of the camera; give --calib FILE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to compare; give LEFT RIGHT --truth, a folder"),
        (PAIR, "there is no truth to compare with; give --truth FILE"),
        ([*PAIR, "--truth", "nowhere.pfm"], "there is no file nowhere.pfm"),
        ([*PAIR, "--truth", "unknown.npy"], "no pixel has a known truth"),
        ([PAIR[0], "narrow.png", *TRUTH], "narrow.png is 140x120 but pairs/one/left.png is 160x120; they must be equal"),
        ([*PAIR, "--truth", "narrow.pfm"], "narrow.pfm is 140x120 but pairs/one/left.png is 160x120"),
        ([*PAIR, *TRUTH, "--prediction", "narrow.pfm"], "the disparity map is 140x120 but the truth 160x120"),
        ([*TRUTH, "--prediction", "narrow.pfm"], "narrow.pfm .* is 140x120 but pairs/one/disp_left.pfm is 160x120"),
        ([*PAIR, "--truth", "kitti.png"], "kitti.png holds 16-bit numbers, whose unit is not in the file; give its encoding"),
        ([*PAIR, "--truth", "kitti.png", "--encoding", "feet"], "the encoding is 'feet'; known are disparity and depth"),
        ([*PAIR, "--truth", "depth_mm.png", "--encoding", "nyu"], "depth_mm.png is read as depth; .* give --calib"),
        (["--truth", "depth_mm.png", "--encoding", "nyu", "--prediction", "kitti.png", "--prediction-encoding", "nyu"],
         r"kitti.png \(read as depth/1000\) falls where the truth depth_mm.png \(.*\) rises: one of them is a disparity"),
        ([*TRUTH, "--prediction", "depth_mm.png", "--prediction-encoding", "kitti"], "falls where the truth .* rises"),
        ([*PAIR, *TRUTH, "--calib", "calib.txt", "--prediction", "kitti.png", "--prediction-encoding", "nyu"],
         "the disparity of kitti.png falls where the truth pairs/one/disp_left.pfm rises"),
        ([*PAIR, "--truth", "kitti.png", "--encoding", "nyu", "--calib", "calib.txt"],
         "the disparity of sgbm falls where the truth kitti.png rises: one of them is a disparity and the other a depth"),
        (["pairs", *TRUTH], "--truth is for one pair; folders, lists and --drawn bring theirs"),
        (["answers"], "answers holds no pair with truth"),
        (["pairs", "--prediction", "pairs"], "there is no prediction for the pair one; looked for pairs/one.png"),
        (["pairs", "--prediction", "answers", "--model", "sgbm"], "--model and --prediction are both given"),
        (["pairs", "--prediction", "answers", "--window", "2"], "--window is for models"),
        (["--drawn", "moon"], "there is no drawn case 'moon'"),
        ([PAIR[0], "--truth", "depth_mm.png", "--encoding", "nyu"], "one picture needs one mono model; give --model"),
        ([PAIR[0], *TRUTH, "--model", "x"], "is disparity; a mono model gives depth, give both images"),
        ([*PAIR, PAIR[0], *TRUTH], "3 images are given; two make a pair"),
        (["pairs", "--model", "magic"], "no weights are named 'magic'"),
        (["pairs", "--z-far", "-1", "--drawn", "wall-1"], "--z-far is -1.0; it must be from 0.001 to 100000 metres"),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_one_line(folder, capsys, arguments, message):
    assert main(["eval", *arguments]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert re.match(f"vizion3d: error: .*{message}", told.err), told.err
