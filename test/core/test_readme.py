# SPDX-License-Identifier: Apache-2.0
"""The samples in README.md and docs/, Python and commands, run word for word on what `vizion3d sample` draws."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from vizion3d import weights
from vizion3d.calibration_files import load_stereo_rig
from vizion3d.cli import main, make_parser
from vizion3d.errors import DependencyError
from vizion3d.evaluate.maps import read_map
from vizion3d.option_records import walk
from vizion3d.options import MONO_MODEL, PAGE_STEREO_MODEL
from vizion3d_ros.settings import MonoSettings, StereoSettings

ROOT = Path(__file__).parents[2]
PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
FRAMES = 4
METRIC_MODEL = "depth-anything-3-metric-large"
SAMPLES = {
    f"{name} {number}": sample
    for name, page in PAGES.items()
    for number, sample in enumerate(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
}
SHELL_LINES = [
    line.strip()
    for page in PAGES.values()
    for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    for line in block.splitlines()
]
COMMANDS = [*dict.fromkeys(tuple(shlex.split(line, comments=True)) for line in SHELL_LINES if line.startswith("vizion3d "))]
NOT_RUN = {
    "vizion3d sample": "has drawn the sample",
    "vizion3d doctor --live": "looks at a robot",
    "vizion3d bench": "takes minutes",
    "vizion3d view": "goes on until Ctrl-C: test_view.py",
    "vizion3d eval bag --truth": "the drawn bag has no truth: test_recordings.py",
    "vizion3d engine build": "takes minutes",
    "--engine openvino": "takes what that builds",
    "vizion3d bag pictures": "no such pictures",
    "vizion3d bag room": "no such pictures",
    "vizion3d bag film.mp4": "no such film",
}
RUN = [words for words in COMMANDS if not any(part in " ".join(words) for part in NOT_RUN)]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory, vits_file, s2m2_file, da3_metric_file) -> Path:
    """The sample, and generated weights under the names of those that README uses."""
    folder = tmp_path_factory.mktemp("sample")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vizion3d_ros.commands.sample._FRAMES", FRAMES)
        with open(folder / "said", "w") as said, contextlib.redirect_stdout(said):
            assert main(["sample", str(folder)]) == 0
        patch.setenv("VIZION3D_MODEL_CACHE", str(folder / "cache"))
        for name, file in ((MONO_MODEL, vits_file), (PAGE_STEREO_MODEL, s2m2_file), (METRIC_MODEL, da3_metric_file)):
            place = weights.cache_path(name)
            place.parent.mkdir(parents=True)
            os.link(file, place)
    return folder


@pytest.fixture
def folder(drawn, monkeypatch) -> Path:
    monkeypatch.chdir(drawn)
    monkeypatch.setenv("VIZION3D_MODEL_CACHE", str(drawn / "cache"))
    monkeypatch.setenv("VIZION3D_OFFLINE", "1")
    return drawn


def pixels(path: Path) -> np.ndarray:
    return np.asarray(PIL.Image.open(path))


def test_every_sample_and_command_is_found():
    assert [*SAMPLES] == ["README.md 0", "python.md 0", "python.md 1", "python.md 2", "quick_start.md 0", "walk_throughs.md 0"]
    assert all(any(part in " ".join(words) for words in COMMANDS) for part in NOT_RUN)
    assert len(RUN) > 15


@pytest.mark.parametrize("name", [name for name in SAMPLES if not name.startswith(("python.md", "walk_throughs.md"))])
def test_a_short_sample(folder, name):
    names: dict = {}
    exec(SAMPLES[name], names)
    result = names["result"]
    true_m = pixels(folder / "depth.png") / 1000
    known = result.valid & (true_m > 0)
    assert known.mean() > 0.5 and np.median(np.abs(result.depth[known] / true_m[known] - 1)) < 0.01


def test_the_stereo_sample(folder):
    names: dict = {}
    try:
        exec(SAMPLES["python.md 0"], names)
    except DependencyError as error:  # of its last line
        assert "Open3D is needed for a point cloud object" in str(error)
        assert not importlib.util.find_spec("open3d")
    true_m = pixels(folder / "depth.png") / 1000
    valid = np.isfinite(names["depth_m"]) & (true_m > 0)
    assert valid.mean() > 0.5 and np.median(np.abs(names["depth_m"][valid] / true_m[valid] - 1)) < 0.01
    assert (folder / "cloud.ply").stat().st_size > 15 * 100_000


def test_the_mono_sample(folder):
    names: dict = {}
    exec(SAMPLES["python.md 1"], names)
    assert names["result"].depth.shape == (480, 640) and not names["result"].is_metric
    assert np.ptp(names["result"].depth) > 0 and len(names["result"].cloud.points) > 1000


def test_the_sample_of_raw_images(folder):
    names: dict = {side: pixels(folder / f"{side}_raw.png") for side in ("left", "right")}
    exec(SAMPLES["python.md 2"], names)
    true_m = pixels(folder / "depth.png") / 1000
    known = true_m > 0
    assert np.nanmedian(np.abs(names["prediction"].depth_m.numpy()[known] / true_m[known] - 1)) < 0.02


def test_the_sample_of_a_folder_of_pairs(folder, tmp_path, monkeypatch, capsys):
    for side in ("left", "right"):
        (tmp_path / side).mkdir()
        for name in ("000.png", "001.png"):
            os.link(folder / f"{side}.png", tmp_path / side / name)
    os.link(folder / "calib.txt", tmp_path / "calib.txt")
    monkeypatch.chdir(tmp_path)
    exec(SAMPLES["walk_throughs.md 0"], {})
    assert len(capsys.readouterr().out.splitlines()) == 2  # no faults
    true_m = pixels(folder / "depth.png") / 1000
    depth_m = np.load("001.npy")
    known = np.isfinite(depth_m) & (true_m > 0)
    assert known.mean() > 0.5 and np.median(np.abs(depth_m[known] / true_m[known] - 1)) < 0.01


def test_the_truth_of_the_sample_fits_its_calibration(folder):
    disparity_px, _ = read_map(folder / "disp.pfm")
    depth_m = pixels(folder / "depth.png") / 1000
    known = np.isfinite(disparity_px) & (depth_m > 0)
    assert known.mean() > 0.9
    np.testing.assert_allclose(depth_m[known], 430 * 0.12 / disparity_px[known], atol=0.001)


@pytest.mark.parametrize("words", RUN, ids=" ".join)
def test_the_commands(folder, words, capsys):
    if {"--bag", "bag"} & {*words}:
        pytest.importorskip("rosbags", reason="rosbags is not installed")
    code = main([*words[1:]])
    out, err = capsys.readouterr()
    # The rig of the sample was not knocked: there is nothing to mend, which that command's status says.
    assert code == (words[1] == "recalibrate"), err
    assert out


def test_commands_that_are_not_run_are_legal():
    for words in {*COMMANDS} - {*RUN}:
        make_parser().parse_args(itertools.takewhile(lambda word: word != "&&", words[1:]))


def test_parameters_and_targets_of_other_commands_are_known():
    legal = dict(walk(StereoSettings)) | dict(walk(MonoSettings))
    own = [line for line in SHELL_LINES if "vizion3d" in line or "_depth_node " in line]  # not of drivers and consumers
    for name in (name for line in own for name in re.findall(r"-p ([\w.]+):=", line)):
        assert name in legal or name == "use_sim_time", name
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = {target for page in PAGES.values() for target in re.findall(r"(?:`|^|&& )make ([a-z][\w-]*)", page, re.MULTILINE)}
    assert targets and all(f"\n{target}:" in makefile for target in targets), targets


def test_the_bag_of_the_sample_holds_pairs_and_their_calibration(drawn):
    pytest.importorskip("rosbags", reason="rosbags is not installed")
    from vizion3d_ros.bag.reader import BagReader

    assert f"a recording of {FRAMES} pairs" in (drawn / "said").read_text()
    bag = BagReader(drawn / "bag")
    topics = {f"/stereo/{side}/{kind}" for side in ("left", "right") for kind in ("image_rect", "camera_info")}
    assert {*bag.topics} == topics and len([*bag.messages(topics)]) == 4 * FRAMES
    bag.close()


def test_without_rosbags_the_bag_is_left_out_and_that_is_said(drawn, tmp_path, capsys, monkeypatch):
    rig = load_stereo_rig([drawn / "calib.txt"], (640, 480))
    monkeypatch.setattr("vizion3d_ros.commands.sample.write_sample", lambda folder: (rig, {}))  # the pictures are as above
    monkeypatch.setitem(sys.modules, "rosbags.rosbag2", None)
    assert main(["sample", str(tmp_path)]) == 0
    assert "left out: writing it needs pip install rosbags" in capsys.readouterr().out
    assert not (tmp_path / "bag").exists()
