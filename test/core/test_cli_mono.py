# SPDX-License-Identifier: Apache-2.0
"""`vizion3d mono` with a real network of generated weights."""

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest

from vizion3d.camera import PinholeCamera
from vizion3d.cli import main
from vizion3d.lifting import MonoDepthEstimator

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "vizion3d", "mono"]
SIZE = ("--input-size", "42", "--device", "cpu")
FILES = ("depth.png", "depth_color.png", "cloud.png", "cloud.ply", "overview.png")
YAML = """\
image_width: 62
image_height: 48
camera_matrix: {data: [50, 0, 29, 0, 51, 22, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {data: [-0.2, 0.05, 0, 0, 0]}
rectification_matrix: {data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}
projection_matrix: {data: [48, 0, 30, 0, 0, 48, 23, 0, 0, 0, 1, 0]}
"""


@pytest.fixture
def folder(vits_file, tmp_path, monkeypatch) -> Path:
    """The working directory: a.png, b.png, more/a.png, a strip, a text, a calibration and weights."""
    os.link(vits_file, tmp_path / "vits.pth")
    os.link(vits_file, tmp_path / "depth_anything_v2_metric_hypersim_vits.pth")
    (tmp_path / "more").mkdir()
    for seed, name in enumerate(("a.png", "b.png", "more/a.png")):
        PIL.Image.fromarray(noise(seed, (48, 62))).save(tmp_path / name)
    PIL.Image.fromarray(noise(9, (2, 20000))).save(tmp_path / "strip.png")
    PIL.Image.fromarray(noise(9, (62, 48))).save(tmp_path / "upright.png")
    (tmp_path / "notes.txt").write_text("the camera is fine\n")
    (tmp_path / "camera.yaml").write_text(YAML)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIZION3D_MODEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VIZION3D_OFFLINE", "1")
    return tmp_path


def noise(seed: int, shape: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


def mono(*arguments: str, model: str = "vits.pth") -> int:
    return main(["mono", *arguments, "--model", model, "--out", "out", *SIZE])


def subprocess_mono(*arguments: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([*COMMAND, *arguments], env=environment, capture_output=True, text=True, timeout=120)


def written() -> set[str]:
    return {path.name for path in Path("out").iterdir()}


def files_of(*stems: str) -> set[str]:
    return {f"{stem}_{name}" for stem in stems for name in FILES}


def expected_depth_m(picture: np.ndarray, **options) -> np.ndarray:
    estimator = MonoDepthEstimator("vits.pth", "cpu", input_size=42, **options)
    return estimator.estimate(picture).depth_m.numpy()


def read_depth_m(name: str) -> np.ndarray:
    millimetres = np.asarray(cv2.imread(f"out/{name}", cv2.IMREAD_UNCHANGED))
    assert (millimetres.dtype, millimetres.ndim) == (np.uint16, 2)
    return millimetres / 1000


def read_points(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Points and colours of a PLY file."""
    header, _, body = Path("out", name).read_bytes().partition(b"end_header\n")
    vertices = np.frombuffer(body, [("xyz", "<f4", 3), ("rgb", "u1", 3)])
    assert f"element vertex {len(vertices)}\n".encode() in header
    return vertices["xyz"].astype(np.float64), vertices["rgb"]


# --- what is written and said ---


def test_pictures_become_depth_colours_and_clouds(folder):
    done = subprocess_mono("a.png", "b.png", "--model", "vits.pth", "--out", "new/folder", "--input-size", "98")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in Path("new/folder").iterdir()} == files_of("a", "b")
    assert all(path.stat().st_size > 100 for path in Path("new/folder").iterdir())
    first, *lines = done.stdout.splitlines()
    assert re.fullmatch(r"vits\.pth on .*, float\d+, relative inverse depth, NOT metres", first)
    for name, line in zip(("a", "b"), lines, strict=True):
        pattern = rf"{name}\.png: 62x48, 0\.50 to 10\.00 pseudo-metres, \d+ ms -> new/folder/{name}_\*"
        assert re.fullmatch(pattern, line), line
    assert "Traceback" not in done.stderr
    assert "[" not in done.stderr  # no progress bar outside a terminal


def test_files_hold_the_depth_of_the_estimator(folder):
    assert mono("a.png") == 0
    picture = noise(0, (48, 62))
    depth_m = expected_depth_m(picture)
    np.testing.assert_allclose(read_depth_m("a_depth.png"), depth_m, atol=0.001)

    points, colors = read_points("a_cloud.ply")
    v, u = np.indices(depth_m.shape)
    f = 0.85 * 62
    expected = np.stack([(u - 31) * depth_m / f, -(v - 24) * depth_m / f, -depth_m], axis=-1).reshape(-1, 3)
    np.testing.assert_allclose(points, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(colors, picture.reshape(-1, 3))

    colored = np.asarray(PIL.Image.open("out/a_depth_color.png")).astype(int)
    down, across = (12 + ((np.arange(n) + 0.5) * 640 / 62).astype(int) for n in (48, 62))  # enlarged, beside its scale
    colored = colored[np.ix_(down, across)]
    red_minus_blue = colored[..., 0] - colored[..., 2]
    near, far = np.quantile(depth_m, (0.05, 0.95))
    assert red_minus_blue[depth_m < near].mean() > 50
    assert red_minus_blue[depth_m > far].mean() < -50


@pytest.mark.parametrize(
    ("model", "options", "max_depth_m"),
    [("depth_anything_v2_metric_hypersim_vits.pth", [], 20), ("vits.pth", ["--max-depth", "12.5"], 12.5)],
)
def test_metric_depth_is_said_to_be_in_metres(folder, capsys, model, options, max_depth_m):
    assert mono("a.png", *options, model=model) == 0
    told = capsys.readouterr().out
    depth_m = expected_depth_m(noise(0, (48, 62)), max_depth_m=max_depth_m)
    assert f"metric up to {max_depth_m:g} m\n" in told
    assert f"{depth_m.min():.2f} to {depth_m.max():.2f} m, " in told
    assert "pseudo" not in told and "NOT metres" not in told
    np.testing.assert_allclose(read_depth_m("a_depth.png"), depth_m, atol=0.001)


def test_a_calibration_is_the_camera_of_the_cloud(folder):
    assert mono("a.png", "--calib", "camera.yaml") == 0
    points, _ = read_points("a_cloud.ply")
    K = np.array([[50.0, 0, 29], [0, 51, 22], [0, 0, 1]])
    D = np.array([-0.2, 0.05, 0, 0, 0])
    zero = np.zeros(3)
    pixels = cv2.projectPoints((points * (1, -1, -1))[:, None], zero, zero, K, D)[0][:, 0]
    v, u = np.indices((48, 62))
    assert np.abs(pixels - np.stack([u.ravel(), v.ravel()], axis=-1)).max() < 0.05


def test_a_rectified_picture_has_the_projection_of_its_calibration(folder):
    assert mono("a.png", "--calib", "camera.yaml", "--rectified") == 0
    points, _ = read_points("a_cloud.ply")
    x, y, z = (points * (1, -1, -1)).T
    v, u = np.indices((48, 62))
    np.testing.assert_allclose((48 * x / z + 30, 48 * y / z + 23), (u.ravel(), v.ravel()), atol=1e-3)


def test_pictures_of_one_name_do_not_overwrite_each_other(folder, capsys):
    os.link("b.png", "a_2.png")
    assert mono("a.png", "more/a.png", "a_2.png", "a.png") == 0
    assert written() == files_of("a", "a_2", "a_2_2", "a_3")
    first, second, third, again = (Path(f"out/{stem}_depth.png").read_bytes() for stem in ("a", "a_2", "a_2_2", "a_3"))
    assert first == again
    assert len({first, second, third}) == 3
    assert re.search(r"more/a\.png: .* -> out/a_2_\*", capsys.readouterr().out)


def test_a_picture_without_contrast_is_told_so(folder, capsys):
    PIL.Image.fromarray(np.full((1, 1, 3), 90, np.uint8)).save("dot.png")
    assert mono("dot.png") == 0
    assert "dot.png: 1x1, the same depth everywhere" in capsys.readouterr().out
    assert read_depth_m("dot_depth.png").tolist() == [[0]]
    assert len(read_points("dot_cloud.ply")[0]) == 0


# --- metres by the focal length ---


@pytest.mark.parametrize(
    ("flags", "focal_px", "told"),
    [
        (("--fov", "60"), 53.694, ", focal length 53.7 px by 60 degrees"),
        (("--focal", "exif"), 28 * math.hypot(48, 62) / math.hypot(36, 24), ", focal length 50.7 px by EXIF"),
    ],
)
def test_a_focal_length_makes_metres(folder, da3_metric_file, capsys, flags, focal_px, told):
    exif = PIL.Image.Exif()
    exif[0x8769] = {0xA405: 28}  # FocalLengthIn35mmFilm
    PIL.Image.fromarray(noise(0, (48, 62))).save("shot.png", exif=exif)
    assert mono("shot.png", *flags, model=str(da3_metric_file)) == 0
    assert f"shot.png: 62x48{told}, " in capsys.readouterr().out
    camera = PinholeCamera(62, 48, focal_px, focal_px, 31, 24)
    depth_m = MonoDepthEstimator(da3_metric_file, "cpu").estimate(noise(0, (48, 62)), camera).depth_m.numpy()
    np.testing.assert_allclose(read_depth_m("shot_depth.png"), np.nan_to_num(depth_m), atol=0.001)
    points, _ = read_points("shot_cloud.ply")
    assert len(points) == np.isfinite(depth_m).sum() < depth_m.size  # no sky
    x, y, z = (points * (1, -1, -1)).T
    u, v = focal_px * x / z + 31, focal_px * y / z + 24
    np.testing.assert_allclose(np.stack((u, v)), np.stack((u, v)).round(), atol=1e-3)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "gives metres only with the focal length of the camera; give --calib FILE, --fov DEGREES or --focal exif"),
        (("--focal", "exif"), r"a\.png has no focal length \(FocalLengthIn35mmFilm\) in its EXIF data; give --calib or --fov"),
        (("--fov", "180"), "--fov is 180; it must be between 0 and 180 degrees"),
    ],
)
def test_without_a_focal_length_there_are_no_metres(folder, da3_metric_file, capsys, flags, message):
    assert mono("a.png", *flags, model=str(da3_metric_file)) == 2
    assert re.match(f"vizion3d: error: .*{message}", capsys.readouterr().err.splitlines()[-1])


def test_a_raw_wide_lens_is_told(folder, da3_metric_file, caplog):
    assert mono("a.png", "--calib", "camera.yaml", model=str(da3_metric_file)) == 0
    assert "a.png: the lens has no one focal length: in " in caplog.text
    caplog.clear()
    assert mono("a.png", "--calib", "camera.yaml", "--rectified", model=str(da3_metric_file)) == 0
    assert "focal length" not in caplog.text


# --- mistakes ---


def test_bad_pictures_are_skipped_and_the_others_are_done(folder, capsys):
    reasons = {
        "nowhere.png": "there is no file",
        "notes.txt": "cannot be decoded as a picture",
        "more": "cannot be decoded as a picture",
        "strip.png": "crop the picture",
    }
    assert mono("a.png", *reasons, "b.png") == 1
    assert written() == files_of("a", "b")
    told = capsys.readouterr()
    skipped = [line for line in (told.out + told.err).splitlines() if "skipped" in line]
    for (name, reason), line in zip(reasons.items(), skipped, strict=True):
        assert line.startswith(f"{name}: skipped: ")
        assert reason in line


def test_a_picture_of_another_camera_is_skipped_and_the_others_are_done(folder, capsys):
    assert mono("upright.png", "a.png", "--calib", "camera.yaml") == 1
    assert written() == files_of("a")
    assert re.search(r"upright\.png: skipped: .*its calibration is for 62x48", capsys.readouterr().out)


def test_missing_weights_without_network_tell_how_to_get_them(folder):
    done = subprocess_mono("a.png", "--out", "out")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("vizion3d: error: the weights depth-anything-v2-small cannot be had: ")
    assert re.search(r" vizion3d weights get depth-anything-v2-small$", done.stderr, re.MULTILINE)
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.png"], "nowhere.png: there is no file"),
        (["notes.txt"], "notes.txt cannot be decoded as a picture"),
        (["strip.png"], "a picture of 2 x 20000 px"),
        (["upright.png", "--calib", "camera.yaml"], "the image is 48x62 but its calibration is for 62x48"),
    ],
)
def test_a_single_bad_picture_is_an_error(folder, capsys, arguments, message):
    assert mono(*arguments) == 2
    assert not list(Path("out").iterdir())
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert re.match(f"vizion3d: error: .*{message}", told)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--calib", "nowhere.yaml"], "nowhere.yaml"),
        (["--calib", "notes.txt"], "notes.txt"),
        (["--device", "gpu"], 'device is "gpu"; it must be auto, cpu'),
        (["--model", "nowhere.pth"], "the weights file 'nowhere.pth' does not exist"),
        (["--model", "notes.txt"], "notes.txt is text, not weights"),
        (
            ["--model", "dav2"],
            "no weights are named 'dav2'.*here are: depth-anything-v2-small, (?!.*s2m2-s)",
        ),
        (["--model", "my_metric.pth"], "my_metric.pth is named like a metric network, .*: pass --max-depth 20 "),
        (["--max-depth", "-1"], r"--max-depth is -1\.0; it must be from 0 to 1000 metres"),
        (["--max-depth", "nan"], "--max-depth is nan"),
        (["--input-size", "0"], "--input-size is 0; it must be from 14 to 4096 pixels"),
        (["--out", "notes.txt"], "notes.txt"),
    ],
)
def test_mistakes_in_the_options_are_told_in_one_line_before_any_picture_is_done(folder, capsys, options, message):
    os.link("vits.pth", "my_metric.pth")
    arguments = ["mono", "a.png", "b.png", "--model", "vits.pth", "--out", "out", *SIZE, *options]
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert re.match(f"vizion3d: error: .*{message}", told)
    assert not Path("out").exists() or not written()


@pytest.mark.parametrize("arguments", [["mono"], ["mono", "a.png", "--input-size", "big"], ["mono", "a.png", "--max-depth"]])
def test_incomplete_commands_show_the_usage(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: vizion3d mono" in capsys.readouterr().err


def test_help_is_cheap():
    script = (
        "import sys; from vizion3d.cli import main\n"
        "try: main(['mono', '--help'])\n"
        "except SystemExit as stopped: assert stopped.code == 0\n"
        "heavy = {'torch', 'cv2', 'numpy', 'open3d'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True, timeout=60)
    assert "--max-depth" in done.stdout
    assert "depth-anything-v2-small" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes on Linux")
def test_names_that_are_no_utf_8_cost_nothing(folder):
    """OpenCV's imwrite died of them, and the rest of the batch with it."""
    os.link("a.png", b"caf\xe9.png")
    command = [*COMMAND, b"caf\xe9.png", "b.png", "--model", "vits.pth", "--out", b"out\xe9", *SIZE]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3
    assert {*os.listdir(b"out\xe9")} == {stem + b"_" + name.encode() for stem in (b"caf\xe9", b"b") for name in FILES}
