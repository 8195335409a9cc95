# SPDX-License-Identifier: Apache-2.0
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest

import vizion3d
from vizion3d.camera import PinholeCamera, StereoRig
from vizion3d.cli import main
from vizion3d.cli.files import write_depth_png, write_rgb_png
from vizion3d.errors import InputError
from vizion3d.evaluate import evaluate_depth, evaluate_disparity, read_map
from vizion3d.synthetic import StereoFrame, default_scene, render_stereo

ROOT = Path(__file__).parents[2]
FILES = ("depth.png", "depth_color.png", "disparity.png", "reason.png", "cloud.png", "cloud.ply", "overview.png")
COMMAND = [sys.executable, "-m", "vizion3d"]
RIG = StereoRig(PinholeCamera(160, 120, 131.0, 131.0, 79.5, 59.5), 0.12)
YAML = """\
image_width: 160
image_height: 120
camera_matrix: {{data: [131, 0, 79.5, 0, 131, 59.5, 0, 0, 1]}}
distortion_model: plumb_bob
distortion_coefficients: {{data: [0, 0, 0, 0, 0]}}
rectification_matrix: {{data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}}
projection_matrix: {{data: [131, 0, 79.5, {tx}, 0, 131, 59.5, 0, 0, 0, 1, 0]}}
"""


@pytest.fixture(scope="module")
def small() -> StereoFrame:
    return render_stereo(default_scene(), RIG)


@pytest.fixture
def folder(small, tmp_path) -> Path:
    """left.png, right.png, their YAML files and a Middlebury calibration."""
    PIL.Image.fromarray(small.left).save(tmp_path / "left.png")
    PIL.Image.fromarray(small.right).save(tmp_path / "right.png")
    PIL.Image.fromarray(small.right[:, :-20]).save(tmp_path / "narrow.png")
    (tmp_path / "left.yaml").write_text(YAML.format(tx=0))
    (tmp_path / "right.yaml").write_text(YAML.format(tx=-131 * 0.12))
    (tmp_path / "calib.txt").write_text("cam0=[131 0 79.5; 0 131 59.5; 0 0 1]\nbaseline=120\nwidth=160\nheight=120\n")
    (tmp_path / "notes.txt").write_text("the camera is fine\n")
    return tmp_path


def read(path: Path) -> np.ndarray:
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert pixels is not None, path
    return pixels


def read_depth_m(path: Path) -> np.ndarray:
    """NaN where the file has 0."""
    millimetres = read(path)
    assert millimetres.dtype == np.uint16 and millimetres.ndim == 2
    return np.where(millimetres > 0, millimetres / 1000, np.nan)


def vertex_count(path: Path) -> int:
    header, _, body = path.read_bytes().partition(b"end_header\n")
    (count,) = (int(line.split()[-1]) for line in header.splitlines() if line.startswith(b"element vertex"))
    assert len(body) == 15 * count
    return count


@pytest.mark.parametrize("calibration", [["calib.txt"], ["left.yaml", "right.yaml"]])
def test_a_pair_becomes_depth_disparity_and_cloud(folder, small, capsys, calibration):
    out = folder / "new" / "folder"
    files = [str(folder / name) for name in ("left.png", "right.png")]
    calib = [str(folder / name) for name in calibration]
    assert main(["stereo", *files, "--calib", *calib, "--out", str(out), "--no-cloud-edge-filter"]) == 0

    assert {path.name for path in out.iterdir()} == {f"left_{name}" for name in FILES}
    depth_m = read_depth_m(out / "left_depth.png")
    scores = evaluate_depth(depth_m, small.depth_m, visible=small.visible).non_occluded
    assert scores.density > 0.85
    assert scores.median_rel < 0.03
    for name in ("depth_color", "disparity", "cloud", "overview"):
        height, width, channels = read(out / f"left_{name}.png").shape
        assert height > 120 and 160 < width <= 1600 and channels == 3
    assert vertex_count(out / "left_cloud.ply") == np.isfinite(depth_m).sum()

    told = capsys.readouterr().out
    assert "160x120 pixels, sgbm on cpu" in told
    assert f"depth {np.nanmin(depth_m):.3f} to {np.nanmax(depth_m):.3f} m" in told
    for path in out.iterdir():
        assert str(path) in told


def test_without_calibration_there_is_disparity_and_no_depth(folder, small, capsys):
    out = folder / "out"
    assert main(["stereo", str(folder / "left.png"), str(folder / "right.png"), "--out", str(out)]) == 0
    assert {path.name for path in out.iterdir()} == {
        f"left_{name}" for name in ("disparity.png", "disparity.pfm", "reason.png", "overview.png")
    }
    disparity_px, _ = read_map(out / "left_disparity.pfm")
    scores = evaluate_disparity(disparity_px, small.disparity_px, visible=small.visible).non_occluded
    assert scores.density > 0.8 and scores.bad_2 < 0.05
    assert "depth and a point cloud need a calibration: give --calib" in capsys.readouterr().out


def test_metres_without_a_calibration_are_refused(folder, capsys):
    out = folder / "out"
    assert main(["stereo", str(folder / "left.png"), str(folder / "right.png"), "--z-near", "1", "--out", str(out)]) == 2
    assert "--z-near is 1 m, and there are no metres without a calibration; give --calib" in capsys.readouterr().err
    assert not out.exists()


def test_nearer_is_redder_in_the_disparity_picture(folder, small):
    arguments = [str(folder / "left.png"), str(folder / "right.png"), "--calib", str(folder / "calib.txt")]
    assert main(["stereo", *arguments, "--out", str(folder)]) == 0
    red, _, blue = np.moveaxis(np.asarray(PIL.Image.open(folder / "left_disparity.png")).astype(int), -1, 0)[
        :, 12:492:4, 12:652:4
    ]
    red_minus_blue = red - blue
    near, far = np.quantile(small.depth_m[small.visible], (0.05, 0.95))
    assert red_minus_blue[small.depth_m < near].mean() > 50
    assert red_minus_blue[small.depth_m >= far].mean() < -50


def test_z_far_ends_the_depth(folder):
    arguments = [str(folder / "left.png"), str(folder / "right.png"), "--calib", str(folder / "calib.txt")]
    assert main(["stereo", *arguments, "--out", str(folder), "--z-far", "3.5"]) == 0
    depth_m = read_depth_m(folder / "left_depth.png")
    assert 3.3 < np.nanmax(depth_m) <= 3.5
    assert 0.8 < vertex_count(folder / "left_cloud.ply") / np.isfinite(depth_m).sum() < 1  # without flying pixels


def test_a_pair_without_depth_is_told_so(folder, capsys):
    PIL.Image.fromarray(np.full((120, 160, 3), 80, np.uint8)).save(folder / "flat.png")
    flat = str(folder / "flat.png")
    assert main(["stereo", flat, flat, "--calib", str(folder / "calib.txt"), "--out", str(folder)]) == 0
    assert "below 50.0 m: check the calibration" in capsys.readouterr().out
    assert np.isnan(read_depth_m(folder / "flat_depth.png")).all()


def test_real_pair(data, tmp_path):
    teddy = data / "stereo/teddy"
    done = subprocess.run(
        [*COMMAND, "stereo", teddy / "im2.png", teddy / "im6.png", "--calib", teddy / "calib.txt", "--out", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "nearest depth 0.94 m, set by --z-near\n" in done.stdout
    depth_m = read_depth_m(tmp_path / "im2_depth.png")
    measured = np.isfinite(depth_m)
    assert depth_m.shape == (375, 450)
    assert measured.mean() > 0.7
    assert depth_m[measured].min() > 1.1
    assert (depth_m[measured] < 2.5).mean() > 0.995
    truth_px = read(teddy / "disp2.png") / 4
    scores = evaluate_depth(depth_m, np.where(truth_px > 0, 1500 * 0.08 / (truth_px + 52), np.nan)).all
    assert scores.median_rel < 0.005
    assert scores.off_5_percent < 0.1
    assert 0.95 < vertex_count(tmp_path / "im2_cloud.ply") / measured.sum() <= 1  # without flying pixels
    assert (tmp_path / "im2_disparity.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("left", "right", "options", "message"),
    [
        ("nowhere.png", "right.png", ["--calib", "calib.txt"], "LEFT: there is no file .*nowhere.png"),
        ("left.png", "nowhere.png", ["--calib", "calib.txt"], "RIGHT: there is no file"),
        ("notes.txt", "right.png", ["--calib", "calib.txt"], "LEFT: .*notes.txt cannot be decoded as a picture"),
        ("left.png", "narrow.png", ["--calib", "calib.txt"], "the left image is 160x120 but the right one is 140x120"),
        (
            "narrow.png",
            "narrow.png",
            ["--calib", "calib.txt"],
            "the image is 140x120 but its calibration is for 160x120",
        ),
        ("left.png", "right.png", ["--calib", "nowhere.txt"], "cannot read the calibration file .*nowhere.txt"),
        ("left.png", "right.png", ["--calib", "notes.txt"], "notes.txt is no known calibration"),
        ("left.png", "right.png", ["--calib", "left.yaml"], "left.yaml describes one camera"),
        ("left.png", "right.png", ["--calib", "right.yaml", "left.yaml"], "Left and right are swapped"),
        ("left.png", "right.png", ["--calib", "left.yaml", "left.yaml"], "the baseline is 0"),
        (
            "left.png",
            "right.png",
            ["--calib", "calib.txt", "--model", "magic"],
            "no weights are named 'magic'; there are: sgbm, s2m2-s, (?!.*depth)",
        ),
        (
            "left.png",
            "right.png",
            ["--calib", "calib.txt", "--scale", "-1"],
            "--scale-factor is -1.0; it must be from 0 to 8",
        ),
        ("left.png", "right.png", ["--calib", "calib.txt", "--scale", "0.01"], "too small|smaller than|needs at least"),
        (
            "left.png",
            "right.png",
            ["--calib", "calib.txt", "--z-far", "-1"],
            "--z-far is -1.0; it must be from 0.001 to 100000 metres",
        ),
        ("left.png", "right.png", ["--calib", "calib.txt", "--z-far", "nan"], "--z-far is nan"),
        ("left.png", "right.png", ["--calib", "calib.txt", "--out", "notes.txt"], "notes.txt"),
    ],
)
def test_mistakes_are_told_in_one_line(folder, monkeypatch, capsys, left, right, options, message):
    monkeypatch.chdir(folder)
    assert main(["stereo", left, right, *options]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert re.match(f"vizion3d: error: .*({message})", told.err)


def test_a_mistake_ends_the_process_with_status_2(folder):
    done = subprocess.run(
        [
            *COMMAND,
            "stereo",
            folder / "nowhere.png",
            folder / "right.png",
            "--calib",
            folder / "calib.txt",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"vizion3d: error: LEFT: there is no file {folder / 'nowhere.png'}\n"


@pytest.mark.parametrize("arguments", [[], ["magic"], ["stereo", "left.png"], ["stereo", "l", "r", "--calib"]])
def test_incomplete_commands_show_the_usage(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: vizion3d" in capsys.readouterr().err


def test_help_is_cheap():
    script = (
        "import sys; from vizion3d.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as stopped: assert stopped.code == 0\n"
        "heavy = {'torch', 'cv2', 'numpy', 'open3d'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    for arguments in (["--help"], ["stereo", "--help"], ["--version"]):
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments], cwd=ROOT, check=True, capture_output=True, text=True, timeout=60
        )
        assert ("--calib" in done.stdout) == (arguments == ["stereo", "--help"])
        assert (vizion3d.__version__ in done.stdout) == (arguments == ["--version"])


def test_depth_files_hold_millimetres(tmp_path):
    depth_m = np.array([[np.nan, 0.0, 0.0014, 1.2346], [65.535, 70.0, np.inf, -1.0]])
    write_depth_png(tmp_path / "d.png", depth_m)
    stored = read(tmp_path / "d.png")
    assert stored.dtype == np.uint16
    assert stored.tolist() == [[0, 0, 1, 1235], [65535, 65535, 65535, 0]]


def test_picture_files_hold_rgb(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    write_rgb_png(tmp_path / "p.png", rgb)
    np.testing.assert_array_equal(np.asarray(PIL.Image.open(tmp_path / "p.png")), rgb)


def test_files_that_cannot_be_written_are_reported(tmp_path):
    with pytest.raises(InputError, match=r"cannot write .*nowhere.*p\.png; is the folder writable"):
        write_rgb_png(tmp_path / "nowhere" / "p.png", np.zeros((4, 4, 3), np.uint8))


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes on Linux")
def test_names_that_are_no_utf_8(folder):
    for name in ("left.png", "left.yaml"):
        (folder / name).rename(folder / ("\udce9" + name))
    arguments = ["\udce9left.png", "right.png", "--calib", "\udce9left.yaml", "right.yaml", "--out", "\udce9"]
    done = subprocess.run([*COMMAND, "stereo", *arguments], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (folder / "\udce9").iterdir()} == {f"\udce9left_{name}" for name in FILES}
    arguments = ["calib", "convert", "\udce9left.yaml", "right.yaml", "--out", "l\udce9.yaml", "r\udce9.yaml"]
    done = subprocess.run([*COMMAND, *arguments], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and (folder / "l\udce9.yaml").read_text(encoding="utf-8"), done.stderr
