# SPDX-License-Identifier: Apache-2.0
"""Which weights files Depth Anything 3 loads, how METRIC is told from MONO, and what is said of other files."""

import json
import os

import pytest
import torch

from vizion3d.errors import InputError, WeightsError
from vizion3d.lifting import DepthKind, MonoDepthEstimator
from vizion3d.lifting.models.depth_anything_3 import CONFIGS, load_depth_anything_3
from vizion3d.weights import cache_path, read_state_dict


@pytest.fixture
def save(tmp_path):
    def save(content, name="depth-anything-3-metric.pth"):
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return save


def test_every_weight_of_the_published_form_arrives(da3_metric_file):
    network = load_depth_anything_3(da3_metric_file)
    assert network.config == CONFIGS["tiny"] and not network.training
    expected = read_state_dict(da3_metric_file)
    assert network.state_dict().keys() == expected.keys() and len(expected) == 126
    assert all(torch.equal(tensor, expected[key]) for key, tensor in network.state_dict().items())


def test_what_tools_leave_in_a_file_does_no_harm_and_anything_else_is_told(da3_metric_file, save):
    tensors = read_state_dict(da3_metric_file)
    left = ("backbone.pretrained.mask_token", "head.scratch.refinenet4.resConfUnit1.conv1.weight")
    load_depth_anything_3(save(tensors | dict.fromkeys(left, torch.zeros(1))))
    del tensors["head.projects.0.bias"]
    with pytest.raises(WeightsError, match=r"1 missing: head\.projects\.0\.bias; 1 unknown: head\.scratch\.extra"):
        load_depth_anything_3(save(tensors | {"head.scratch.extra": torch.zeros(1)}))


@pytest.mark.parametrize(
    ("path", "model_name", "kind"),
    [
        ("depth-anything-3-metric-large.safetensors", None, DepthKind.METRES),
        ("depth_anything_3_mono_large.safetensors", None, DepthKind.RELATIVE),
        ("DA3MONO-LARGE/model.safetensors", None, DepthKind.RELATIVE),
        ("models--depth-anything--DA3METRIC-LARGE/snapshots/0a/model.safetensors", None, DepthKind.METRES),
        ("any/model.safetensors", "da3mono-large", DepthKind.RELATIVE),
        ("any/model.safetensors", "da3metric-large", DepthKind.METRES),
        ("any/model.safetensors", None, None),
        ("any/model.safetensors", 3, None),
    ],
)
def test_metric_and_mono_are_told_by_their_surroundings_or_not_at_all(da3_metric_file, tmp_path, path, model_name, kind):
    file = tmp_path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    os.link(da3_metric_file, file)
    if model_name:
        (file.parent / "config.json").write_text(json.dumps({"model_name": model_name}))
    if kind is None:
        with pytest.raises(
            WeightsError, match=r"may be DA3METRIC-LARGE or DA3MONO-LARGE.*config\.json.*name it depth-anything-3-m"
        ):
            MonoDepthEstimator(file, "cpu")
    else:
        assert MonoDepthEstimator(file, "cpu").model.kind is kind


@pytest.mark.parametrize(("variant", "is_metric"), [("metric", True), ("mono", False)])
def test_registry_names_tell_the_variant(da3_metric_file, tmp_path, monkeypatch, caplog, variant, is_metric):
    monkeypatch.setenv("VIZION3D_MODEL_CACHE", str(tmp_path))
    name = f"depth-anything-3-{variant}-large"
    cache_path(name).parent.mkdir()
    os.link(da3_metric_file, cache_path(name))
    with caplog.at_level("INFO", "vizion3d"):
        assert MonoDepthEstimator(name, "cpu").is_metric == is_metric
    assert f"loading {name}: these weights are licensed Apache-2.0" in caplog.text


def test_options_of_version_2_are_refused_or_passed_over_with_a_word(da3_metric_file, caplog):
    with pytest.raises(InputError, match="max_depth_m=20 is for metric weights of Depth Anything V2"):
        MonoDepthEstimator(da3_metric_file, "cpu", max_depth_m=20)
    MonoDepthEstimator(da3_metric_file, "cpu", input_size=126)
    assert "the longer side of the image in Depth Anything 3 is 504 px" in caplog.text


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("pretrained.cls_token", "is not Depth Anything 3: it is Depth Anything V2, which takes one picture"),
        ("model.backbone.pretrained.camera_token", r"an any-view network of Depth Anything 3 \(DA3-SMALL to -GIANT\)"),
        ("model.head.scratch.output_conv2_additional.sky_mask.0.bias", "a training checkpoint of Depth Anything 3"),
        ("fnet.backbone.patch_embed.weight", "it is LAS2, which takes a rectified pair; give weights such as depth-anything-3"),
    ],
)
def test_other_network_is_named(save, key, told):
    with pytest.raises(WeightsError, match=told):
        load_depth_anything_3(save({key: torch.zeros(1)}))


def test_its_file_is_no_version_2(da3_metric_file):
    from vizion3d.lifting.models.depth_anything import load_depth_anything

    with pytest.raises(WeightsError, match="is not Depth Anything V2: it is Depth Anything 3, which takes one picture"):
        load_depth_anything(da3_metric_file, max_depth_m=1)
