# SPDX-License-Identifier: Apache-2.0
"""The Depth Anything V2 network against golden vectors, and what must not change its numbers."""

import json
from functools import lru_cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from depth_anything_stages import GOLDEN, check_all, golden_shapes, prefixed, rule_image, stages, watched
from generated_weights import depth_anything_state_dict, sha256
from golden_vectors import relative_error
from torch import Tensor

from vizion3d.errors import InputError
from vizion3d.lifting.models.depth_anything import (
    CONFIGS,
    DepthAnythingConfig,
    DepthAnythingV2,
    network_size,
    prepare_image,
    resize_depth,
)
from vizion3d.lifting.models.depth_anything.position import position_table

KEYS = json.loads((GOLDEN / "dav2_keys.json").read_text())
BLOCKS = "pretrained.blocks"
ALL_CONFIGS = CONFIGS | {
    "tiny_mlp": DepthAnythingConfig(64, 4, 2, (0, 1, 2, 3), 32, (24, 32, 48, 64)),
    "tiny_swiglu": DepthAnythingConfig(40, 5, 2, (0, 1, 3, 4), 16, (8, 16, 24, 40), swiglu=True),
}
EMBED_GAINS = {"tiny_swiglu": 0.002}
WEIGHTS_SHA256 = {
    "tiny_mlp": "dd6a59b5c00f63496e02d66d64bf6b9b13f7e6e0d7c367a784e4b4a1b4399cd1",
    "tiny_swiglu": "20d62fb1e6148d3e28fd9de8e95b8af17284b9f458d39061f8422998f03c84f8",
    "vits": "56f711ae3ebd22e2e996a7fe42ac2c40e46f0e4374ae4c5b87e6c5b84d8d57cc",
}


@lru_cache
def weights(name: str) -> dict[str, Tensor]:
    return depth_anything_state_dict(golden_shapes(KEYS[name], BLOCKS), EMBED_GAINS.get(name, 1.0))


def network(name: str, max_depth_m: float | None = None) -> DepthAnythingV2:
    with torch.device("meta"):
        model = DepthAnythingV2(ALL_CONFIGS[name], max_depth_m)
    model.load_state_dict(weights(name), assign=True)
    return model.eval().requires_grad_(False)


def estimate(model: DepthAnythingV2, image: np.ndarray, input_size: int) -> dict[str, Tensor]:
    height, width = image.shape[:2]
    net_input = prepare_image(torch.from_numpy(image), network_size(height, width, input_size))
    depth = model(net_input)
    return {"net_input": net_input, "depth_net": depth, "depth_full": resize_depth(depth, (height, width))[0]}


def estimate_stages(model: DepthAnythingV2, image: np.ndarray, input_size: int) -> dict[str, Tensor]:
    """As `estimate`, with what flows between the modules."""
    with watched(model.pretrained, model.depth_head) as seen:
        seen |= estimate(model, image, input_size)
    return stages(seen, model.pretrained)


@pytest.fixture(autouse=True)
def inference():
    with torch.inference_mode():
        yield


@pytest.mark.parametrize("name", ALL_CONFIGS)
def test_keys_and_shapes_are_those_of_the_weights_files(name):
    with torch.device("meta"):
        model = DepthAnythingV2(ALL_CONFIGS[name])
    assert {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()} == golden_shapes(KEYS[name], BLOCKS)


@pytest.mark.parametrize("name", WEIGHTS_SHA256)
def test_generated_weights_are_those_of_the_golden_vectors(name):
    assert sha256(weights(name)) == WEIGHTS_SHA256[name]


def test_tiny_mlp_matches_golden(record_property):
    golden = np.load(GOLDEN / "dav2_tiny_mlp.npz")
    model = network("tiny_mlp")
    found = estimate_stages(model, golden["image"], 70)
    found |= prefixed("wide", estimate(model, golden["wide_image"], 56))
    found |= prefixed("square518", estimate(model, rule_image(518, 518), 518))
    for max_depth_m in (20, 80):
        found |= prefixed(f"metric{max_depth_m}", estimate(network("tiny_mlp", max_depth_m), golden["image"], 70))
    check_all(golden, found, record_property)


def test_tiny_swiglu_matches_golden(record_property):
    golden = np.load(GOLDEN / "dav2_tiny_swiglu.npz")
    check_all(golden, estimate_stages(network("tiny_swiglu"), golden["image"], 70), record_property)


def test_small_network_matches_golden_at_every_stage(record_property):
    golden = np.load(GOLDEN / "dav2_vits_140x196.npz")
    found = estimate_stages(network("vits"), golden["image"], 140)
    for prefix, max_depth_m in (("hypersim", 20), ("vkitti", 80)):
        found |= prefixed(prefix, estimate(network("vits", max_depth_m), golden["image"], 140))
    check_all(golden, found, record_property)


def test_small_network_matches_golden_at_full_size(record_property):
    golden = np.load(GOLDEN / "dav2_vits_480x640.npz")
    found = estimate(network("vits"), golden["image"], 518)
    found |= prefixed("hypersim", estimate(network("vits", 20), golden["image"], 518))
    check_all(golden, found, record_property, limit=5e-5)


@pytest.mark.parametrize("grid", [(5, 7), (37, 49), (49, 37), (37, 37), (74, 99), (1, 60)])
def test_position_table_is_the_offset_bicubic_interpolation(grid):
    stored = weights("tiny_mlp")["pretrained.pos_embed"]
    expected = stored
    if grid != (37, 37):
        table = stored[:, 1:].reshape(1, 37, 37, -1).permute(0, 3, 1, 2)
        factors = [(side + 0.1) / 37 for side in grid]
        table = F.interpolate(table, scale_factor=factors, mode="bicubic").flatten(2).transpose(1, 2)
        expected = torch.cat([stored[:, :1], table], dim=1)
    limit = 0 if grid == (37, 37) else 1e-5
    assert relative_error(position_table(stored, *grid), expected) <= limit


def test_position_table_is_computed_in_float32_in_half_precision():
    stored = weights("tiny_mlp")["pretrained.pos_embed"].bfloat16()
    expected = position_table(stored.float(), 5, 7).bfloat16()
    assert torch.equal(position_table(stored, 5, 7), expected)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(position_table(stored, 5, 7), expected)


def test_gradients_flow_after_a_run_in_inference_mode():
    position_table(torch.zeros(1, 1370, 8), 9, 9)
    with torch.inference_mode(False):
        stored = torch.zeros(1, 1370, 8, requires_grad=True)
        position_table(stored, 9, 9).sum().backward()
        assert stored.grad is not None
        assert stored.grad.sum() == pytest.approx(8 * (1 + 9 * 9), rel=1e-5)  # interpolation weights sum to 1


def test_pictures_of_a_batch_do_not_influence_each_other():
    model = network("tiny_mlp")
    batch = torch.randn(3, 3, 70, 98, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model(batch)[1:2], model(batch[1:2]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 3, 70, 99), (1, 3, 71, 98)])
def test_input_off_the_patch_grid_is_refused(shape):
    with pytest.raises(InputError, match=rf"{shape[2]} x {shape[3]} px.*multiples of 14"):
        network("tiny_mlp")(torch.zeros(shape))


@pytest.mark.parametrize("max_depth_m", [0, -1, float("nan"), float("inf")])
def test_impossible_depth_range_is_refused(max_depth_m):
    with pytest.raises(InputError, match=r"max_depth_m is .*20 for Hypersim.*80 for Virtual KITTI"):
        DepthAnythingV2(ALL_CONFIGS["tiny_mlp"], max_depth_m)


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("max_depth_m", [None, 20])
def test_bfloat16_stays_near_float32(max_depth_m, autocast):
    """bfloat16 rounds to 0.4 %; through a dozen blocks the typical pixel may lose a few such steps, not tens."""
    image = np.load(GOLDEN / "dav2_vits_140x196.npz")["image"]
    model = network("vits", max_depth_m)
    x = prepare_image(torch.from_numpy(image), (140, 196))
    expected = model(x)
    if autocast:
        with torch.autocast("cpu", torch.bfloat16):
            found = model(x)
    else:
        found = model.bfloat16()(x.bfloat16())
    assert found.dtype == torch.float32
    assert float((found - expected).abs().median() / expected.median()) < 0.02


@pytest.mark.slow
def test_compiled_as_one_graph_equals_eager():
    model = network("tiny_mlp")
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    x = torch.randn(1, 3, 56, 182, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(compiled(x), model(x), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_onnx_graph_with_free_height_and_width_equals_torch():
    pytest.importorskip("onnxscript", reason="ONNX export needs onnxscript")
    runtime = pytest.importorskip("onnxruntime", reason="running the exported graph needs onnxruntime")
    model = network("tiny_mlp", 20)
    sides = {axis: 14 * torch.export.Dim(name, min=2, max=200) for axis, name in ((2, "rows"), (3, "columns"))}
    with torch.inference_mode(False):
        program = torch.onnx.export(model, (torch.zeros(1, 3, 70, 98),), dynamo=True, dynamic_shapes=(sides,), verbose=False)
    session = runtime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    for size in ((56, 182), (518, 518)):  # one with a stretched position table, one without
        x = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
        (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        assert relative_error(found, model(x)) < 2e-5
