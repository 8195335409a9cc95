# SPDX-License-Identifier: Apache-2.0
"""A third network is one folder and one row, and a file of another network is told from it by one table."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from vizion3d import runtime, weights
from vizion3d.camera import PinholeCamera, StereoRig
from vizion3d.errors import InputError, WeightsError
from vizion3d.lifting import DepthKind, MonoDepthEstimator, MonoPrediction, models
from vizion3d.options import ValidityLimits
from vizion3d.stereo import StereoDepthEstimator, matchers

TOYS = str(Path(__file__).parents[1] / "toys")
CAMERA = PinholeCamera(6, 4, 10.0, 10.0, 3.0, 2.0)


@pytest.fixture
def toys(monkeypatch, tmp_path):
    """The folders of the toys beside the other networks, their rows in the table, and their weights."""
    for package in (models, matchers):
        monkeypatch.setattr(package, "__path__", [*package.__path__, TOYS])
    for task in ("mono", "stereo"):
        row = weights.Architecture(task, f"toy_{task}", f"Toy ({task})", f"toy_{task}.", f"toy_{task}.pth", "nobody")
        monkeypatch.setitem(weights.ARCHITECTURES, f"toy_{task}", row)
    torch.save({"toy_mono.scale": torch.tensor([[0.5]])}, tmp_path / "toy_mono.pth")
    torch.save({"toy_stereo.disparity": torch.tensor(4.0)}, tmp_path / "toy_stereo.pth")
    return tmp_path


def test_a_third_mono_network_brings_kind_mask_and_its_need_of_a_camera(toys):
    estimator = MonoDepthEstimator(toys / "toy_mono.pth", "cpu")
    assert estimator.is_metric and estimator.describe() == "toy on cpu, float32"
    rgb = np.full((4, 6, 3), 8, np.uint8)
    rgb[0] = 0
    prediction = estimator.estimate(rgb, CAMERA)
    assert prediction.depth_m[0].isnan().all() and prediction.inverse_depth[0].isnan().all()
    assert (prediction.depth_m[1:] == 40.0).all()
    rays = np.zeros((4, 6, 2))
    assert len(prediction.point_cloud(rgb, rays).dense().points) == 18
    with pytest.raises(
        InputError, match=r"toy_mono\.pth gives metres only with the focal length of the camera; pass the camera"
    ):
        estimator.estimate(rgb)


def test_a_third_stereo_matcher_may_have_no_certainty(toys):
    estimator = StereoDepthEstimator(toys / "toy_stereo.pth")
    image = np.zeros((4, 6, 3), np.uint8)
    prediction = estimator.estimate(image, image, StereoRig(CAMERA, 0.4))
    assert prediction.confidence is None and prediction.visibility is None
    assert (prediction.masked_depth(ValidityLimits()) == 1.0).all()


def test_files_are_told_by_their_tensors_whatever_they_are_called(toys, vits_file, s2m2_file, tmp_path, caplog):
    misnamed = tmp_path / "CH128NTR1.pth"
    os.link(toys / "toy_stereo.pth", misnamed)
    assert StereoDepthEstimator(misnamed).matcher.architecture == "toy_stereo"
    assert "licensed" not in caplog.text
    with pytest.raises(WeightsError, match=r"it is Depth Anything V2, which takes one picture; give .*LAS2_S\.pth or toy"):
        StereoDepthEstimator(vits_file)
    with pytest.raises(WeightsError, match="it is S2M2, which takes a rectified pair; give weights such as depth_anything_v2"):
        MonoDepthEstimator(s2m2_file)


def test_published_weights_of_the_other_task_are_refused_before_they_are_fetched(monkeypatch, tmp_path):
    monkeypatch.setenv("VIZION3D_MODEL_CACHE", str(tmp_path))
    monkeypatch.setenv("VIZION3D_OFFLINE", "1")
    with pytest.raises(WeightsError, match="depth-anything-v2-small is not S2M2 or LAS2: it is Depth Anything V2"):
        StereoDepthEstimator("depth-anything-v2-small")
    with pytest.raises(WeightsError, match="s2m2-s is not Depth Anything V2 or Depth Anything 3: it is S2M2"):
        MonoDepthEstimator("s2m2-s")


def test_model_and_licence_are_told_when_published_weights_are_loaded(monkeypatch, tmp_path, s2m2_file, caplog):
    monkeypatch.setenv("VIZION3D_MODEL_CACHE", str(tmp_path))
    place = weights.cache_path("s2m2-s")
    place.parent.mkdir()
    os.link(s2m2_file, place)
    with caplog.at_level(logging.INFO, "vizion3d"):
        StereoDepthEstimator("s2m2-s", "cpu")
    told = [(r.levelno, r.getMessage()) for r in caplog.records if "licensed" in r.getMessage()]
    text = "loading s2m2-s: these weights are licensed CC-BY-NC-4.0, for NON-COMMERCIAL use only"
    assert told == [(logging.WARNING, text)]


def test_every_row_of_the_table_has_its_folder_and_every_record_its_row():
    for name, row in weights.ARCHITECTURES.items():
        package = {"mono": models, "stereo": matchers}[row.task]
        assert (Path(package.__path__[0]) / row.folder / "__init__.py").is_file(), name
    assert {record.architecture for record in weights.RECORDS} <= weights.ARCHITECTURES.keys()


def test_relative_depth_and_inverse_depth_run_opposite_ways():
    values = torch.tensor([[1.0, 2.0, 3.0]])
    inverse, relative = (MonoPrediction(values, kind) for kind in (DepthKind.INVERSE, DepthKind.RELATIVE))
    assert inverse.depth_m.tolist() == [[10.0, 5.25, 0.5]]
    assert relative.depth_m.tolist() == [[0.5, 5.25, 10.0]]
    assert (relative.inverse_depth.diff() < 0).all() and not relative.is_metric
    masked = MonoPrediction(values, DepthKind.RELATIVE, torch.tensor([[False, True, True]]))
    assert masked.depth_m[0, 1:].tolist() == [0.5, 10.0] and masked.depth_m[0, 0].isnan()


def test_engines_and_devices_are_refused_by_name():
    with pytest.raises(InputError, match='engine is "magic"; it must be one of: eager'):
        runtime.load(torch.nn.Identity(), "cpu", engine="magic")
    with pytest.raises(InputError, match='device is "gpu"'):
        runtime.load(torch.nn.Identity(), "gpu")
    half = runtime.load(torch.nn.Linear(2, 2), "cpu", "float16")
    assert half(torch.ones(1, 2, dtype=torch.float16)).dtype == torch.float16
    assert half.describe() == "cpu, float16"
