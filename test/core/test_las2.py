# SPDX-License-Identifier: Apache-2.0
"""The network LAS2 against golden vectors, and what must hold for any weights.

`pytest -s` shows how far each golden file is met.
"""

from __future__ import annotations

import functools
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from generated_weights import las2_state_dict, sha256
from golden_vectors import GOLDEN, load, record_calls, relative_error
from other_runtimes import assert_outputs_equal, needs_compiler, needs_onnx, run_by_onnx
from torch import Tensor

from vizion3d import runtime
from vizion3d.errors import InputError, WeightsError
from vizion3d.options import LAS2Options
from vizion3d.stereo.matchers.agreement import sample_columns, visibility
from vizion3d.stereo.matchers.blending import blend_neighbours
from vizion3d.stereo.matchers.las2 import LAS2, SIZES, LAS2Matcher, load_las2, pad
from vizion3d.stereo.matchers.las2.blocks import fold_norms
from vizion3d.stereo.matchers.las2.model import correlation, read_scores

# Of the largest value of each array, as the text that the golden vectors come with recommends.
TOLERANCE, CONFIDENCE_TOLERANCE, VISIBILITY_TOLERANCE = 1e-5, 5e-5, 1e-3


@functools.cache
def generated(size: str) -> dict[str, Tensor]:
    with torch.device("meta"):
        shapes = {key: tensor.shape for key, tensor in LAS2(*SIZES[size]).state_dict().items()}
    return las2_state_dict(shapes)


def build(size: str) -> LAS2:
    with torch.device("meta"):
        model = LAS2(*SIZES[size])
    model.load_state_dict(generated(size), assign=True)
    return model.requires_grad_(False).eval()


def matcher(model: LAS2, check: bool = True) -> LAS2Matcher:
    fold_norms(model)  # as `open_matcher` does, so that golden vectors hold for what runs
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in model.modules())
    return LAS2Matcher(runtime.load(model, "cpu"), "las2", LAS2Options(left_right_check=check))


def small_pair() -> tuple[Tensor, Tensor]:
    golden = load("las2_s_64x224.npz")
    left, right = (torch.from_numpy(golden[side][..., :96]).float() for side in ("left", "right"))
    return left, right


# --- golden vectors -------------------------------------------------------------------------------------------------


def stages(calls: dict[str, list[tuple[tuple, tuple]]]) -> dict[str, Tensor]:
    """The intermediate tensors of a recorded run under the names of the golden files."""

    def result(module: str, index: int = 0) -> Tensor:
        return calls[module][0][1][index]

    found = {f"c{i + 2}_left": result(f"fnet.backbone.stages_{i}")[:1] for i in range(4)}
    found |= {"stem_left": result("fnet.backbone.patch_embed")[:1]}
    found |= {name: result(f"fnet.fpn_layer{name[1]}")[:1] for name in ("p4_left", "p3_left", "p2_raw_left")}
    found |= {"p2_left": result("fnet")[:1], "p2_right": result("fnet")[1:]}
    found |= {"corr": calls["cost_agg"][0][0][0], "agg_up5": calls["cost_agg.conv6"][0][0][0], "logits": result("cost_agg")}
    for name in ("conv0", "att0", "conv1", "conv2", "att2", "conv3", "conv4", "att4"):
        found[f"agg_{name}"] = result(f"cost_agg.{name}")
    found["spx_4"], found["spx_stem"] = calls["refine_2"][0][0]
    found |= {"spx_2": result("refine_2"), "spx_logits": result("refine_3")}
    found["spx_logits_s2"] = found["spx_logits"][..., ::2, ::2]
    found["disp_quarter"], found["conf_quarter"] = read_scores(found["logits"])
    found["disp_padded"] = result("")
    return found


def tolerance(name: str) -> float:
    if name == "visibility_border":
        return 0
    return VISIBILITY_TOLERANCE if name == "visibility_lr" else CONFIDENCE_TOLERANCE if "conf" in name else TOLERANCE


@pytest.mark.parametrize("size", SIZES)
def test_generated_weights_are_those_of_the_golden_files(size: str) -> None:
    floats = {key: tensor for key, tensor in generated(size).items() if tensor.is_floating_point()}
    assert sha256(floats) == load(f"las2_{size.lower()}_64x224.npz")["meta"]["weights_sha256"]


@pytest.mark.parametrize("name", ["las2_s_64x224.npz", "las2_m_64x224.npz", "las2_l_64x224.npz", "las2_s_75x251.npz"])
def test_every_stage_equals_the_golden_one(name: str) -> None:
    golden = load(name)
    model = build(golden.pop("meta")["variant"].upper())
    left, right = (torch.from_numpy(golden.pop(side)) for side in ("left", "right"))
    del golden["shift"]  # the true disparity of the pair, no tensor of the network
    found = stages(record_calls(model, pad(left), pad(right))) | {"left_padded": pad(left), "right_padded": pad(right)}

    matches = matcher(model).match(left, right)
    found |= {"disp": matches.disparity, "confidence": matches.confidence, "visibility_lr": matches.visibility}
    found["visibility_border"] = visibility(matches.disparity)
    found["disp_right"] = matcher(model).match(right.flip(-1), left.flip(-1)).disparity.flip(-1)

    errors = {key: relative_error(found[key], array) for key, array in golden.items()}
    worst = max(errors, key=errors.__getitem__)
    print(f"\n{name}: {len(errors)} arrays, disparity {errors['disp']:.1e}, worst {worst} {errors[worst]:.1e}")
    assert {key: error for key, error in errors.items() if error > tolerance(key)} == {}


def test_a_picture_of_usual_size_equals_the_golden_one() -> None:
    golden = load("las2_m_480x640.npz")
    left, right = (torch.from_numpy(golden[side]).float() for side in ("left", "right"))
    disparity, confidence = build("M")(left, right)
    assert relative_error(disparity, golden["disp"]) < TOLERANCE
    assert relative_error(confidence[..., ::4, ::4], golden["confidence_s4"]) < CONFIDENCE_TOLERANCE


# --- names and shapes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_names_and_shapes_are_those_of_the_published_checkpoints(size: str) -> None:
    published = json.loads(gzip.decompress((GOLDEN / "las2_keys.json.gz").read_bytes()))[size]
    assert (tuple(published["blocks"]), published["expansion"]) == SIZES[size]
    with torch.device("meta"):
        model = LAS2(*SIZES[size])
    assert {key: list(tensor.shape) for key, tensor in model.state_dict().items()} == published["state_dict"]
    assert sum(parameter.numel() for parameter in model.parameters()) == published["parameters"]


# --- parts ----------------------------------------------------------------------------------------------------------


def test_the_volume_is_the_mean_product_and_nothing_outside_the_right_image() -> None:
    left, right = torch.randn(2, 1, 5, 3, 60, generator=torch.Generator().manual_seed(1))
    volume = correlation(left, right)
    for k in (0, 1, 47):
        np.testing.assert_allclose(volume[0, k, :, k:], (left[..., k:] * right[..., : 60 - k]).mean(1)[0], atol=1e-6)
        assert (volume[0, k, :, :k] == 0).all()
    assert correlation(left[..., :8], right[..., :8]).shape == (1, 48, 3, 8)


def test_confidence_is_the_mass_around_the_answer() -> None:
    flat, one, two = torch.zeros(3, 48, 1, 1)
    one[30], two[[10, 40]] = 100, 100
    disparity, confidence = (found.flatten().tolist() for found in read_scores(torch.stack((flat, one, two))))
    assert disparity == pytest.approx([23.5, 30, 25])
    assert confidence == pytest.approx([3 / 48, 1, 0], abs=1e-6)


def test_upsampling_leans_on_zeros_outside() -> None:
    maps, logits = torch.ones(1, 1, 2, 3), torch.zeros(1, 9, 8, 12)
    blended = blend_neighbours(maps, logits, beyond="constant")
    assert blended[0, 0, ::4, ::4].flatten().tolist() == pytest.approx([4 / 9, 6 / 9, 4 / 9] * 2)


def test_both_sides_agree_within_two_pixels_or_not() -> None:
    disparity = torch.full((1, 1, 1, 20), 5.0)
    off = torch.tensor([0, 1, 2, 3, 4, 9.0])
    seen = visibility(disparity, 5 + torch.cat((off, off, torch.zeros(8)))[None, None, None])
    assert seen[..., :5].sum() == 0, "outside the right image"
    assert seen[0, 0, 0, 5:11].tolist() == [1, 0.75, 0.5, 0.25, 0, 0]
    assert visibility(disparity).flatten().tolist() == [0] * 5 + [1] * 15


def test_rows_are_read_between_their_columns_and_continue() -> None:
    row = torch.tensor([[1.0, 3.0, 7.0]])
    assert sample_columns(row, torch.tensor([[-2.0, 0.25, 1.5, 9.0]])).tolist() == [[1, 1.5, 5, 7]]


# --- the matcher ----------------------------------------------------------------------------------------------------


def test_the_check_is_a_second_pass_and_changes_visibility_alone() -> None:
    pair = small_pair()
    with_check, without = matcher(build("S")).match(*pair), matcher(build("S"), check=False).match(*pair)
    assert torch.equal(with_check.disparity, without.disparity) and torch.equal(with_check.confidence, without.confidence)
    assert (with_check.visibility <= without.visibility).all() and set(without.visibility.flatten().tolist()) == {0, 1}
    assert "takes as long again" in matcher(build("S")).describe()
    assert "without left-right check" in matcher(build("S"), check=False).describe()


@pytest.mark.parametrize("size", [(32, 32), (33, 70)])
def test_any_size_from_32_pixels_on(size: tuple[int, int]) -> None:
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(2)) * 255
    matches = matcher(build("S")).match(image, image)
    for found in (matches.disparity, matches.confidence, matches.visibility):
        assert found.shape == (1, 1, *size) and found.isfinite().all()
    assert matches.disparity.min() >= 0 and matches.disparity.max() <= matches.max_disparity == 188


# --- precision, compilation, export ---------------------------------------------------------------------------------


def test_float16_weights_stay_close_to_float32() -> None:
    pair = small_pair()
    single, half = build("S")(*pair), build("S").half()(*pair)
    assert all(output.dtype == torch.float32 for output in half)
    difference = (single[0] - half[0]).abs()
    print(f"\nchange of disparity by float16: median {difference.median():.3f} px, largest {difference.max():.2f} px")
    assert difference.median() < 0.05 and difference.max() < 1
    assert (single[1] - half[1]).abs().median() < 0.003


def test_bfloat16_is_refused() -> None:
    with pytest.raises(InputError, match=r"LAS2 with torch.bfloat16 weights.*float16"):
        build("S").bfloat16()(*small_pair())


def test_compiles_into_one_graph() -> None:
    model, pair = build("S"), small_pair()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    assert_outputs_equal(compiled(*pair), model(*pair), CONFIDENCE_TOLERANCE)


@pytest.mark.slow
@needs_compiler
def test_compiled_network_equals_eager() -> None:
    model, pair = build("S"), small_pair()
    assert_outputs_equal(torch.compile(model, fullgraph=True)(*pair), model(*pair), 1e-4)


@pytest.mark.slow
def test_exports() -> None:
    model, pair = build("S"), small_pair()
    assert_outputs_equal(torch.export.export(model, pair).module()(*pair), model(*pair), CONFIDENCE_TOLERANCE)


@pytest.mark.slow
@needs_onnx
def test_onnx_runtime_equals_eager(tmp_path: Path) -> None:
    model, pair = build("S"), small_pair()
    assert_outputs_equal(run_by_onnx(model, pair, tmp_path), model(*pair), 1e-4)


# --- loading --------------------------------------------------------------------------------------------------------


def save(content: Any, folder: Path) -> Path:
    path = folder / "weights.pth"
    torch.save(content, path)
    return path


@pytest.mark.parametrize("size", SIZES)
def test_reads_the_size_from_the_tensors_and_half_precision_as_float32(size: str, tmp_path: Path) -> None:
    model = load_las2(save({key: t.half() if t.is_floating_point() else t for key, t in generated(size).items()}, tmp_path))
    assert model.dtype == torch.float32
    assert {key: tensor.shape for key, tensor in model.state_dict().items()} == {k: t.shape for k, t in generated(size).items()}
    assert model.fnet.backbone.patch_embed.norm.num_batches_tracked.dtype == torch.int64


def without(tensors: dict[str, Tensor], key: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if name != key}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t | {"refine_3.block.0.weight": torch.zeros(7)}, r"refine_3\.block\.0\.weight \(7,\) instead of"),
        (lambda t: without(t, "cost_agg.redir1.block.mlp.0.weight"), r"cost_agg\.redir1\.block\.mlp\.0\.weight is missing"),
        (lambda t: t | {"update_block.mask.0.bias": torch.zeros(1)}, r"is LAS2-H, .* give LAS2_S\.pth, LAS2_M\.pth or"),
        (lambda t: {"cnn_backbone.norm1.weight": torch.zeros(8)}, r"is not LAS2: it is S2M2, .* such as LAS2_S\.pth"),
        (lambda t: {"pretrained.cls_token": torch.zeros(1)}, "is not LAS2: it is Depth Anything V2, which takes one picture"),
    ],
)
def test_refuses_what_does_not_fit(tmp_path: Path, change: Any, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        load_las2(save(change(generated("S")), tmp_path))
