# SPDX-License-Identifier: Apache-2.0
"""Which weights files Depth Anything V2 loads, and what it says of the others."""

import os

import pytest
import torch

from vizion3d.errors import InputError, WeightsError
from vizion3d.lifting.models.depth_anything import CONFIGS, load_depth_anything

VITS_TOKEN = {"pretrained.cls_token": torch.zeros(1, 1, 384)}


@pytest.fixture
def save(tmp_path):
    def save(content, name="weights.pth"):
        path = tmp_path / name
        torch.save(content, path)
        return path

    return save


def test_size_comes_from_the_tensors(vits_file):
    model = load_depth_anything(vits_file)
    assert model.config == CONFIGS["vits"]
    assert model.max_depth_m is None
    assert model(torch.zeros(1, 3, 28, 28)).shape == (1, 28, 28)


def test_metric_range_comes_from_the_caller(vits_file):
    assert load_depth_anything(str(vits_file), max_depth_m=20).max_depth_m == 20
    with pytest.raises(InputError, match="max_depth_m is 0"):
        load_depth_anything(vits_file, max_depth_m=0)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("depth_anything_v2_metric_hypersim_vits.pth", r"pass max_depth_m=20 \(hypersim\)"),
        ("Depth_Anything_V2_Metric_VKITTI_vitl.pth", r"pass max_depth_m=80 \(vkitti\)"),
        ("my_metric_depth.pth", r"pass max_depth_m=20 \(hypersim\) or max_depth_m=80 \(vkitti\)"),
    ],
)
def test_metric_file_without_range_is_refused(tmp_path, name, advice):
    with pytest.raises(WeightsError, match=advice):
        load_depth_anything(tmp_path / name)


def test_metric_file_with_range_is_loaded(vits_file, tmp_path):
    metric = tmp_path / "depth_anything_v2_metric_vkitti_vits.pth"
    metric.symlink_to(vits_file)
    assert load_depth_anything(metric, max_depth_m=80).max_depth_m == 80


@pytest.mark.parametrize("name", ["depth_anything_vits14.pth", "Depth_Anything_vitl14.pth"])
def test_version_1_file_is_refused_by_name(tmp_path, name):
    with pytest.raises(WeightsError, match=rf"{name} is named like Depth Anything V1.*wrong depth.*v2"):
        load_depth_anything(tmp_path / name)


@pytest.mark.parametrize("kept", [0.1, 0.9, 0.999])
def test_truncated_file_is_told(save, kept):
    path = save(VITS_TOKEN | {"padding": torch.zeros(10000)})
    os.truncate(path, int(kept * path.stat().st_size))
    with pytest.raises(WeightsError, match="is cut short: it ends after .*; give the original file"):
        load_depth_anything(path)


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("backbone.encoder.layer.0.attention.q_proj.weight", r"transformers conversion \('-hf'\)"),
        ("cnn_backbone.conv0.0.weight", "is not Depth Anything V2: it is S2M2, which takes a rectified pair"),
    ],
)
def test_other_network_is_named(save, key, told):
    with pytest.raises(WeightsError, match=told):
        load_depth_anything(save({key: torch.zeros(1)}))


def test_unknown_width_is_refused(save):
    with pytest.raises(WeightsError, match=r"\(1, 1, 400\).*384 \(vits\), 768 \(vitb\), 1024 \(vitl\), 1536 \(vitg\)"):
        load_depth_anything(save({"pretrained.cls_token": torch.zeros(1, 1, 400)}))


def test_misfitting_tensors_are_counted_and_the_first_are_named(save):
    content = VITS_TOKEN | {"pretrained.pos_embed": torch.zeros(1, 10, 384), "pretrained.extra": torch.zeros(1)}
    with pytest.raises(WeightsError) as caught:
        load_depth_anything(save(content))
    text = str(caught.value)
    assert "236 missing: pretrained.patch_embed.proj.weight, " in text
    assert "1 unknown: pretrained.extra;" in text
    assert "1 of wrong shape: pretrained.pos_embed (1, 10, 384) instead of (1, 1370, 384): use" in text
