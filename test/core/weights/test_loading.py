# SPDX-License-Identifier: Apache-2.0
"""What holds of every network: its checkpoint arrives whole in each form, and is told from those of the others."""

import pytest
import torch

from vizion3d.errors import WeightsError
from vizion3d.lifting.models.depth_anything import load_depth_anything
from vizion3d.lifting.models.depth_anything_3 import load_depth_anything_3
from vizion3d.stereo.matchers.las2 import load_las2
from vizion3d.stereo.matchers.s2m2 import load_s2m2
from vizion3d.weights import read_state_dict

LOADERS = {
    "vits_file": (load_depth_anything, "depth_anything_v2_vits.pth"),
    "da3_metric_file": (load_depth_anything_3, "depth-anything-3-"),
    "s2m2_file": (load_s2m2, "CH128NTR1.pth"),
    "las2_file": (load_las2, "LAS2_S.pth"),
}


@pytest.fixture(params=LOADERS)
def published(request):
    """How a network is loaded, and its tensors."""
    return LOADERS[request.param][0], read_state_dict(request.getfixturevalue(request.param))


def save(content, folder):
    path = folder / "depth-anything-3-mono.pth"  # which tells that variant, and says nothing to the other networks
    torch.save(content, path)
    return path


def test_every_weight_arrives_bare_and_is_ready_for_inference(published, tmp_path):
    load, tensors = published
    network = load(save(tensors, tmp_path))
    assert not network.training and not any(parameter.requires_grad for parameter in network.parameters())
    loaded = network.state_dict()
    assert loaded.keys() == tensors.keys() and all(torch.equal(loaded[key], tensor) for key, tensor in tensors.items())


def test_half_precision_from_several_gpus_arrives_as_float32(published, tmp_path):
    load, tensors = published
    half = {f"module.{key}": tensor.half() if tensor.is_floating_point() else tensor for key, tensor in tensors.items()}
    loaded = load(save({"state_dict": half, "epoch": 3}, tmp_path)).state_dict()
    assert loaded.keys() == tensors.keys()
    for key, tensor in tensors.items():
        assert loaded[key].dtype == tensor.dtype
        assert torch.equal(loaded[key], half[f"module.{key}"].to(tensor.dtype))


def test_a_missing_and_an_unknown_tensor_are_named(published, tmp_path):
    load, tensors = published
    missing = sorted(tensors)[-1]
    changed = {key: tensor for key, tensor in tensors.items() if key != missing} | {"teacher.weight": torch.zeros(1)}
    with pytest.raises(WeightsError) as caught:
        load(save(changed, tmp_path))
    assert f"1 missing: {missing}" in str(caught.value) and "1 unknown: teacher.weight" in str(caught.value)


@pytest.mark.parametrize(("load", "example"), LOADERS.values())
def test_a_foreign_file_is_told_by_its_tensors(load, example, tmp_path):
    with pytest.raises(WeightsError, match=rf"it is a file with tensors named layer1\.weight; give weights such as {example}"):
        load(save({"layer1.weight": torch.zeros(1)}, tmp_path))
