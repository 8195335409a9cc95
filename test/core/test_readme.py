# SPDX-License-Identifier: Apache-2.0
"""The samples of Python in README.md, run word for word."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from vizion3d import weights
from vizion3d.calibration_files import camera_yaml
from vizion3d.errors import DependencyError
from vizion3d.options import MONO_MODEL
from vizion3d.synthetic.benchmark import draw

SAMPLES = re.findall(r"```python\n(.*?)```", (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch, vits_file, frame) -> Path:
    """The pictures that the samples name, and weights under the name of the default ones."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIZION3D_MODEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VIZION3D_OFFLINE", "1")
    place = weights.cache_path(MONO_MODEL)
    place.parent.mkdir(parents=True)
    os.link(vits_file, place)
    for name, pixels in (("left.png", frame.left), ("right.png", frame.right), ("room.jpg", frame.left[::8, ::8])):
        PIL.Image.fromarray(pixels).save(tmp_path / name)
    return tmp_path


def test_there_are_three_samples():
    assert [re.search(r"from vizion3d\.(\w+)", sample)[1] for sample in SAMPLES] == ["stereo", "lifting", "calibration_files"]


def test_the_stereo_sample(folder):
    names: dict = {}
    try:
        exec(SAMPLES[0], names)
    except DependencyError as error:  # of its last line
        assert "Open3D is needed for a point cloud object" in str(error)
        assert not importlib.util.find_spec("open3d")
    assert names["result"].depth.shape == (480, 640) and names["result"].valid.mean() > 0.5
    assert (folder / "cloud.ply").stat().st_size > 15 * 100_000


def test_the_mono_sample(folder):
    names: dict = {}
    exec(SAMPLES[1], names)
    assert names["result"].depth.shape == (60, 80) and not names["result"].is_metric
    assert np.ptp(names["result"].depth) > 0 and len(names["result"].cloud.points) > 1000


def test_the_sample_of_raw_images(folder):
    case = draw("raw-plumb_bob")
    for name, calibration in zip(("left", "right"), case.raw, strict=True):
        (folder / f"{name}.yaml").write_text(camera_yaml(calibration, name))
    names: dict = {"left": case.left, "right": case.right}
    exec(SAMPLES[2], names)
    depth_m = names["prediction"].depth_m.numpy()[case.visible]
    assert np.nanmedian(np.abs(depth_m / case.depth_m[case.visible] - 1)) < 0.02
