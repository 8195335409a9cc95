# SPDX-License-Identifier: Apache-2.0
"""The S2M2 network against golden vectors, and what must hold for any weights.

`pytest -s` shows how far each golden file is met.
"""

import functools
import gzip
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from generated_weights import s2m2_state_dict, weights_crc32
from golden_vectors import GOLDEN, load, record_calls, relative_error
from other_runtimes import assert_outputs_equal, needs_compiler, needs_onnx, run_by_onnx
from torch import Tensor

from vizion3d.errors import InputError, WeightsError
from vizion3d.stereo.matchers.blending import blend_neighbours
from vizion3d.stereo.matchers.framing import crop
from vizion3d.stereo.matchers.s2m2 import S2M2, load_s2m2, pad
from vizion3d.stereo.matchers.s2m2.attention import RowBlock
from vizion3d.stereo.matchers.s2m2.lookup import cost_levels, sample_nine
from vizion3d.stereo.matchers.s2m2.matching import forbid_negative, read_matches, transport
from vizion3d.stereo.matchers.s2m2.model import match_in_image
from vizion3d.stereo.matchers.s2m2.padding import averages
from vizion3d.stereo.matchers.s2m2.position import mean_position, position_table

FILES = sorted(path.name for path in GOLDEN.glob("s2m2_*_*x*.npz"))
TOLERANCE = 1e-4


@functools.cache
def generated(channels: int, transformers: int, salt: str) -> dict[str, Tensor]:
    with torch.device("meta"):
        shapes = {key: tensor.shape for key, tensor in S2M2(channels, transformers).state_dict().items()}
    return s2m2_state_dict(shapes, salt)


def build(channels: int, transformers: int, salt: str, **options: Any) -> S2M2:
    with torch.device("meta"):
        model = S2M2(channels, transformers, **options)
    model.load_state_dict(generated(channels, transformers, salt), assign=True)
    return model.requires_grad_(False).eval()


def tiny(**options: Any) -> S2M2:
    return build(24, 1, "tiny-103", **options)


def small_pair() -> tuple[Tensor, Tensor]:
    """A left and a right crop of 64 x 64 of the first golden pair."""
    golden = load("s2m2_tiny_96x160_any.npz")
    left, right = (torch.from_numpy(golden[side][..., 16:80, 48:112]).float() for side in ("left", "right"))
    return left, right


# --- golden vectors -------------------------------------------------------------------------------------------------


def stages(model: S2M2, calls: dict[str, list[tuple[tuple, tuple]]]) -> dict[str, Tensor]:
    """The intermediate tensors of a recorded run under the names of the golden files."""
    found: dict[str, Tensor] = {}

    def name_results(module: str, *names: str, call: int = 0) -> None:
        found.update(zip(names, calls[module][call][1], strict=False))

    sizes = ("4x", "8x", "16x", "32x")
    name_results("cnn_backbone", "cnn_4x", "cnn_2x")
    name_results("feat_pyramid", *(f"pyr_{size}" for size in sizes))
    for module in calls:
        if module.startswith("feat_pyramid.") and module.count(".") <= 2:
            name_results(module, "pyr_" + module.removeprefix("feat_pyramid.").replace(".", "_"))
        if module.startswith("transformer.uformer_list.") and 3 <= module.count(".") <= 4:
            name_results(module, "mrt" + module.removeprefix("transformer.uformer_list.").replace(".", "_"))
    for i in range(len(model.transformer.uformer_list)):
        name_results(f"transformer.uformer_list.{i}", *(f"mrt{i}_{size}" for size in sizes))
    name_results("disp_init", "init_disp", "init_conf", "init_occ", "cost_volume")
    name_results("global_refiner", "global_disp_raw")
    name_results("feat_fusion_layer", "fusion_4x")
    name_results("ctx_feat", "ctx")
    name_results("upsample_mask_4x_refine", "up4_logits")
    name_results("upsample_mask_1x", "up1_logits")

    found["global_disp"] = model.limit(found["global_disp_raw"])
    found["hidden0"] = calls["refiner"][0][0][0]
    for i in range(model.refine_iterations):
        it = f"it{i + 1}_"
        name_results("refiner", it + "hidden", it + "disp_raw", it + "conf", it + "occ_raw", call=i)
        name_results("refiner.refine_unet", it + "unet", call=i)
        for level in "12":
            found[f"{it}corr{level}"] = 16 * calls[f"refiner.corr_feat{level}"][i][0][0]
        found[it + "disp"] = model.limit(found[it + "disp_raw"])
        found[it + "occ"] = found[it + "occ_raw"] * match_in_image(found[it + "disp"])
    maps = torch.cat((4 * found[it + "disp"], found[it + "occ"], found[it + "conf"]), 1)
    found["up4_disp"], found["up4_occ"], found["up4_conf"] = blend_neighbours(maps, found["up4_logits"]).chunk(3, 1)
    found["pyr_pe"] = full_position_table(*found["pyr_32x"].shape[2:])
    found["disp"], found["occ"], found["conf"] = calls[""][0][1]
    return found


def full_position_table(rows: int, columns: int) -> Tensor:
    shape = (rows, columns, rows, columns, 16)
    horizontal = position_table(columns)[None, :, None, :].expand(shape)
    vertical = position_table(rows)[:, None, :, None].expand(shape)
    return 0.5 * torch.cat((horizontal, vertical), -1).reshape(rows * columns, rows * columns, 32)


def test_golden_files_cover_every_switch() -> None:
    metas = [load(name)["meta"] for name in FILES]
    assert {meta["config"] for meta in metas} == {"tiny", "stack2", "S"}
    assert {meta["use_positivity"] for meta in metas} == {True, False}
    assert {meta["refine_iter"] for meta in metas} == {0, 1, 3, 5}
    assert max(len(meta["pairs"]) for meta in metas) == 2
    assert any(meta["height"] % 32 for meta in metas)


@pytest.mark.parametrize("name", FILES)
def test_every_stage_equals_the_golden_one(name: str) -> None:
    golden = load(name)
    meta = golden.pop("meta")
    assert weights_crc32(generated(meta["C"], meta["N"], meta["salt"])) == meta["weights_crc32"]
    model = build(meta["C"], meta["N"], meta["salt"], positivity=meta["use_positivity"], refine_iterations=meta["refine_iter"])
    left, right = pad(torch.from_numpy(golden.pop("left"))), pad(torch.from_numpy(golden.pop("right")))
    if meta["refine_iter"] == 0:
        found = dict(zip(("disp", "occ", "conf"), model(left, right), strict=True))
    else:
        found = stages(model, record_calls(model, left, right))
    found |= {"left_padded": left, "right_padded": right}
    for key in ("disp", "occ", "conf"):
        found[f"{key}_cropped"] = crop(found[key], meta["height"], meta["width"])

    del golden["shift"]  # the true disparity of the pair, no tensor of the network
    errors = {key: relative_error(found[key], array) for key, array in golden.items()}
    worst = max(errors, key=errors.__getitem__)
    outputs = max(errors[key] for key in ("disp", "occ", "conf"))
    print(f"\n{name}: {len(errors)} arrays, outputs {outputs:.1e}, worst {worst} {errors[worst]:.1e}")
    assert {key: error for key, error in errors.items() if error > TOLERANCE} == {}


def test_padding_equals_the_golden_one_and_cropping_undoes_it() -> None:
    with np.load(GOLDEN / "s2m2_padding.npz") as file:
        sizes = [key.removeprefix("in_") for key in file.files if key.startswith("in_")]
        assert len(sizes) == 5
        for size in sizes:
            image = torch.from_numpy(file[f"in_{size}"])[None]
            padded = pad(image)
            torch.testing.assert_close(padded[0], torch.from_numpy(file[f"out_{size}"]), rtol=0, atol=1e-4)
            assert torch.equal(crop(padded, *image.shape[2:]), image.float())


# --- names and shapes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", ["S", "M", "L", "XL"])
def test_names_and_shapes_are_those_of_the_published_checkpoints(size: str) -> None:
    published = json.loads(gzip.decompress((GOLDEN / "s2m2_keys.json.gz").read_bytes()))[size]
    with torch.device("meta"):
        model = S2M2(published["C"], published["N"])
    assert {key: list(tensor.shape) for key, tensor in model.state_dict().items()} == published["state_dict"]
    assert sum(parameter.numel() for parameter in model.parameters()) == published["parameters"]


# --- parts ----------------------------------------------------------------------------------------------------------


def test_a_match_in_column_0_is_in_the_image() -> None:
    disparity = torch.tensor([0.0, 0.0, 2.0, 3.5])
    assert match_in_image(disparity).tolist() == [True, True, True, False]
    assert match_in_image(torch.tensor([1e-6, 1.0, 2.0])).tolist() == [False, True, True]


def test_transport_equals_three_rounds_of_plain_scaling() -> None:
    width = 12
    scores = torch.randn(width, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    kernel = np.exp(np.pad(scores.numpy(), (0, 1)))
    mass = np.append(np.full(width, 1 / (2 * width)), 1 / 2)
    left = np.ones(width + 1)
    for _ in range(3):
        right = mass / (left @ kernel)
        left = mass / (kernel @ right)
    plan = 2 * width * left[:, None] * kernel * right
    np.testing.assert_allclose(plan[:-1].sum(1), 1)
    np.testing.assert_allclose(transport(scores[None, None])[0, 0], plan[:-1, :-1], rtol=1e-9)


def test_forbidden_matches_have_no_probability_at_all() -> None:
    cost = torch.randn(1, 2, 9, 9, generator=torch.Generator().manual_seed(2))
    original = cost.clone()
    plan = transport(forbid_negative(cost))
    assert torch.equal(cost, original)
    assert torch.equal(plan > 0, torch.ones(1, 2, 9, 9, dtype=torch.bool).tril())


@pytest.mark.parametrize("column", [0, 5, 11])
def test_a_certain_match_is_read_at_its_column(column: int) -> None:
    plan = torch.zeros(1, 1, 12, 12)
    plan[..., column] = 1
    disparity, confidence, visibility = read_matches(plan)
    torch.testing.assert_close(disparity.flatten(), torch.arange(12.0) - column, rtol=0, atol=2e-3)
    assert torch.all(confidence == 1) and torch.all(visibility == 1)


def test_lookup_interpolates_and_fades_to_zero_outside() -> None:
    generator = torch.Generator().manual_seed(3)
    rows = torch.randn(1, 1, 40, 8, generator=generator)
    centre = torch.linspace(-15, 25, 40).reshape(1, 1, 40)
    positions = centre[0, 0, :, None].numpy() + np.arange(-4, 5)
    expected = [
        np.interp(p, np.arange(-1, 9), np.pad(row, 1), left=0, right=0)
        for p, row in zip(positions, rows[0, 0].numpy(), strict=True)
    ]
    np.testing.assert_allclose(sample_nine(rows, centre)[0, :, 0].T, expected, atol=1e-5)


def test_lookup_survives_absurd_disparities() -> None:
    centre = torch.tensor([[[1e30, -1e30, float("nan")]]])
    samples = sample_nine(torch.ones(1, 1, 3, 8), centre)
    assert torch.all(samples[..., :2] == 0)


def test_second_cost_level_averages_pairs_of_right_columns() -> None:
    cost = torch.arange(8.0).reshape(1, 1, 2, 4)
    assert cost_levels(cost)[1].tolist() == [[[[0.5, 2.5], [4.5, 6.5]]]]


def test_mean_position_equals_the_sum_over_the_full_table() -> None:
    rows, columns = 3, 5
    weights = torch.rand(2, 4, rows * columns, rows * columns, generator=torch.Generator().manual_seed(4)).softmax(-1)
    expected = torch.einsum("nhqk,qkc->nhqc", weights, full_position_table(rows, columns))
    torch.testing.assert_close(
        mean_position(weights, position_table(rows), position_table(columns)), expected, rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("scale", [1, 4])
def test_blending_with_one_certain_neighbour_shifts_the_map(scale: int) -> None:
    maps = torch.rand(1, 2, 3, 5, generator=torch.Generator().manual_seed(5))
    logits = torch.zeros(1, 9, 3 * scale, 5 * scale)
    logits[:, 5] = 1000  # the right-hand neighbour
    expected = maps[..., [1, 2, 3, 4, 4]].repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    assert torch.equal(blend_neighbours(maps, logits), expected)


# --- precision, compilation, export ---------------------------------------------------------------------------------


def test_float16_weights_stay_close_to_float32() -> None:
    golden = load("s2m2_tiny_96x160_pos.npz")
    left, right = torch.from_numpy(golden["left"]), torch.from_numpy(golden["right"])
    single, half = tiny()(left, right), tiny().half()(left, right)
    assert all(output.dtype == torch.float32 for output in half)
    medians = [float((a - b).abs().median()) for a, b in zip(single, half, strict=True)]
    print(f"\nmedian change by float16: disparity {medians[0]:.3f} px, visibility, confidence {max(medians[1:]):.4f}")
    assert medians[0] < 0.1 and max(medians[1:]) < 0.003


def test_bfloat16_is_refused() -> None:
    with pytest.raises(InputError, match=r"bfloat16 weights.*float16"):
        tiny().bfloat16()(*small_pair())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_autocast_is_refused(dtype: torch.dtype) -> None:
    with torch.autocast("cpu", torch.float16), pytest.raises(InputError, match=r"autocast.*model\.half\(\)"):
        tiny().to(dtype)(*small_pair())


@pytest.mark.slow
def test_compiles_into_one_graph() -> None:
    model, pair = tiny(refine_iterations=1), small_pair()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    assert_outputs_equal(compiled(*pair), model(*pair), 1e-5)


@pytest.mark.slow
@needs_compiler
def test_compiled_attention_equals_eager() -> None:
    block = RowBlock(16, 2).requires_grad_(False)
    z = torch.randn(2, 16, 6, 10, generator=torch.Generator().manual_seed(6))
    assert_outputs_equal([torch.compile(block, fullgraph=True)(z)], [block(z)], 1e-5)


@pytest.mark.slow
@needs_compiler
def test_compiled_network_equals_eager() -> None:
    model, pair = tiny(refine_iterations=1), small_pair()
    assert_outputs_equal(torch.compile(model, fullgraph=True)(*pair), model(*pair), TOLERANCE)


@pytest.mark.slow
def test_exports() -> None:
    model, pair = tiny(refine_iterations=1), small_pair()
    assert_outputs_equal(torch.export.export(model, pair).module()(*pair), model(*pair), 1e-5)


@pytest.mark.slow
@needs_onnx
def test_onnx_runtime_equals_eager(tmp_path: Path) -> None:
    model, pair = tiny(refine_iterations=1), small_pair()
    assert_outputs_equal(run_by_onnx(model, pair, tmp_path), model(*pair), 1e-3)


# --- loading --------------------------------------------------------------------------------------------------------


def save(content: Any, folder: Path) -> Path:
    path = folder / "weights.pth"
    torch.save(content, path)
    return path


def minimal() -> dict[str, Tensor]:
    return dict(generated(8, 1, "load"))


def test_positivity_and_iterations_come_from_the_caller(tmp_path: Path) -> None:
    model = load_s2m2(save(minimal(), tmp_path), positivity=False, refine_iterations=2)
    assert not model.positivity and model.refine_iterations == 2


def test_reads_the_size_from_the_tensors(tmp_path: Path) -> None:
    model = load_s2m2(save(dict(generated(16, 2, "stack2-15")), tmp_path))
    assert (model.ctx_feat[0].in_channels, len(model.transformer.uformer_list)) == (16, 2)


def other_upsampler_name(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.replace("mask_4x_refine.", "mask_4x."): tensor for key, tensor in tensors.items()}


def test_takes_the_upsampler_under_its_other_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "vizion3d"):
        model = load_s2m2(save(other_upsampler_name(minimal()), tmp_path))
    assert weights_crc32(model.state_dict()) == weights_crc32(minimal())
    assert "upsample_mask_4x_refine" in caplog.text


def test_does_not_rename_an_upsampler_of_another_shape(tmp_path: Path) -> None:
    tensors = other_upsampler_name(minimal())
    tensors["upsample_mask_4x.conv_x.bias"] = torch.zeros(63)
    with pytest.raises(WeightsError, match=r"8 missing: upsample_mask_4x_refine.*8 unknown: upsample_mask_4x\."):
        load_s2m2(save(tensors, tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t | {"ctx_feat.0.bias": torch.zeros(7)}, r"ctx_feat\.0\.bias \(7,\) instead of \(8,\)"),
        (lambda t: t | {"cnn_backbone.norm1.weight": torch.zeros(12)}, r"12 values, S2M2 needs a multiple of 8"),
        (
            lambda t: {"pretrained.cls_token": t["ctx_feat.0.bias"], "depth_head.x": torch.zeros(1)},
            "it is Depth Anything V2, which takes one",
        ),
        (lambda t: {"epoch": 3}, "holds a int under the key 'epoch', not a tensor"),
        (lambda t: [torch.zeros(1)], "holds a list, not a mapping"),
        (lambda t: Path("x"), "holds code, not only tensors"),
    ],
)
def test_refuses_what_does_not_fit(tmp_path: Path, change: Any, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        load_s2m2(save(change(minimal()), tmp_path))


# --- arguments ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "right", "message"),
    [
        ((1, 3, 64, 64), (1, 3, 64, 96), "differ in shape"),
        ((1, 1, 64, 64), (1, 1, 64, 64), r"\(1, 1, 64, 64\).*RGB"),
        ((3, 64, 64), (3, 64, 64), r"\(batch, 3, height, width\)"),
        ((1, 3, 60, 64), (1, 3, 60, 64), r"64 x 60 pixels.*`pad`"),
        ((1, 3, 0, 64), (1, 3, 0, 64), r"64 x 0 pixels"),
    ],
)
def test_refuses_images_that_do_not_fit(left: tuple[int, ...], right: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        tiny()(torch.zeros(left), torch.zeros(right))


@pytest.mark.parametrize("size_hw", [(480, 864), (480, 768), (416, 640), (384, 480), (64, 64)])
@pytest.mark.parametrize("count_hw", [(15, 26), (1, 1), (13, 20)])
def test_averages_are_those_of_adaptive_pooling(size_hw: tuple[int, int], count_hw: tuple[int, int]) -> None:
    picture = torch.rand(1, 3, *size_hw, generator=torch.Generator().manual_seed(1))
    rows, columns = (averages(length, count) for length, count in zip(size_hw, count_hw, strict=True))
    expected = torch.nn.functional.adaptive_avg_pool2d(picture.double(), count_hw)
    torch.testing.assert_close((rows @ picture @ columns.T).double(), expected, rtol=0, atol=1e-6)


def test_padding_refuses_images_below_32_pixels() -> None:
    with pytest.raises(InputError, match=r"100 x 31 pixels: S2M2 needs at least 32 x 32"):
        pad(torch.zeros(1, 3, 31, 100))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((12, 1), "channels=12"), ((0, 1), "channels=0"), ((8, 0), "transformers=0"), ((8, 1, True, -1), "iterations=-1")],
)
def test_refuses_sizes_that_cannot_be_built(arguments: tuple, message: str) -> None:
    with torch.device("meta"), pytest.raises(InputError, match=message):
        S2M2(*arguments)
