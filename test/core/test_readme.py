# SPDX-License-Identifier: Apache-2.0
"""The samples in README.md, Python and commands, run word for word on what `vizion3d sample` draws."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from vizion3d import weights
from vizion3d.cli import main
from vizion3d.errors import DependencyError
from vizion3d.evaluate.maps import read_map
from vizion3d.options import MONO_MODEL, PAGE_STEREO_MODEL

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
METRIC_MODEL = "depth-anything-3-metric-large"
SAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = re.search(r"## On the command line\n\n```sh\n(.*?)```", README, re.DOTALL)[1].splitlines()


@pytest.fixture(scope="module")
def drawn(tmp_path_factory, vits_file, s2m2_file, da3_metric_file) -> Path:
    """The sample, and generated weights under the names of those that README uses."""
    folder = tmp_path_factory.mktemp("sample")
    assert main(["sample", str(folder)]) == 0
    with pytest.MonkeyPatch.context() as patch:
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


def test_there_are_three_samples():
    assert [re.search(r"from vizion3d\.(\w+)", sample)[1] for sample in SAMPLES] == ["stereo", "lifting", "calibration_files"]


def test_the_stereo_sample(folder):
    names: dict = {}
    try:
        exec(SAMPLES[0], names)
    except DependencyError as error:  # of its last line
        assert "Open3D is needed for a point cloud object" in str(error)
        assert not importlib.util.find_spec("open3d")
    true_m = pixels(folder / "depth.png") / 1000
    valid = np.isfinite(names["depth_m"]) & (true_m > 0)
    assert valid.mean() > 0.5 and np.median(np.abs(names["depth_m"][valid] / true_m[valid] - 1)) < 0.01
    assert (folder / "cloud.ply").stat().st_size > 15 * 100_000


def test_the_mono_sample(folder):
    names: dict = {}
    exec(SAMPLES[1], names)
    assert names["result"].depth.shape == (480, 640) and not names["result"].is_metric
    assert np.ptp(names["result"].depth) > 0 and len(names["result"].cloud.points) > 1000


def test_the_sample_of_raw_images(folder):
    names: dict = {side: pixels(folder / f"{side}_raw.png") for side in ("left", "right")}
    exec(SAMPLES[2], names)
    true_m = pixels(folder / "depth.png") / 1000
    known = true_m > 0
    assert np.nanmedian(np.abs(names["prediction"].depth_m.numpy()[known] / true_m[known] - 1)) < 0.02


def test_the_truth_of_the_sample_fits_its_calibration(folder):
    disparity_px, _ = read_map(folder / "disp.pfm")
    depth_m = pixels(folder / "depth.png") / 1000
    known = np.isfinite(disparity_px) & (depth_m > 0)
    assert known.mean() > 0.9
    np.testing.assert_allclose(depth_m[known], 430 * 0.12 / disparity_px[known], atol=0.001)


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands(folder, line, capsys):
    name, *words = shlex.split(line, comments=True)
    assert name == "vizion3d"
    if {"--bag", "bag"} & {*words}:
        pytest.importorskip("rosbags", reason="rosbags is not installed")
    code = main(words)
    out, err = capsys.readouterr()
    # The rig of the sample was not knocked: there is nothing to mend, which that command's status says.
    assert code == (words[0] == "recalibrate"), err
    assert out


def test_the_bag_of_the_sample_holds_pairs_and_their_calibration(tmp_path, capsys, monkeypatch):
    pytest.importorskip("rosbags", reason="rosbags is not installed")
    from vizion3d_ros.bag.reader import BagReader

    monkeypatch.setattr("vizion3d_ros.commands.sample._FRAMES", 2)
    assert main(["sample", str(tmp_path)]) == 0
    assert "a recording of 2 pairs" in capsys.readouterr().out
    bag = BagReader(tmp_path / "bag")
    topics = {f"/stereo/{side}/{kind}" for side in ("left", "right") for kind in ("image_rect", "camera_info")}
    assert {*bag.topics} == topics and len([*bag.messages(topics)]) == 8
    bag.close()


def test_without_rosbags_the_bag_is_left_out_and_that_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "rosbags.rosbag2", None)
    assert main(["sample", str(tmp_path)]) == 0
    assert "left out: writing it needs pip install rosbags" in capsys.readouterr().out
    assert not (tmp_path / "bag").exists()
