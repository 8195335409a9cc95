# SPDX-License-Identifier: Apache-2.0
"""Depth Anything 3 against golden vectors, and what must not change its numbers."""

import json
from functools import lru_cache

import numpy as np
import pytest
import torch
from depth_anything_stages import GOLDEN, check_all, golden_shapes, prefixed, rule_image, stages, watched
from generated_weights import depth_anything_3_state_dict, sha256
from golden_vectors import relative_error
from torch import Tensor

from vizion3d import runtime
from vizion3d.camera import PinholeCamera
from vizion3d.errors import InputError
from vizion3d.lifting import DepthKind, MonoDepthEstimator
from vizion3d.lifting.models.depth_anything_3 import (
    CONFIGS,
    SKY_FROM,
    DepthAnything3,
    DepthAnything3Model,
    network_focal_px,
    network_size,
    prepare_image,
)

KEYS = json.loads((GOLDEN / "da3_keys.json").read_text())
BLOCKS = "model.backbone.pretrained.blocks"
FILLED = ("depth_filled", "fill_value", "fill_value_exact", "wide_depth_filled")  # the sky, which has no depth here
WEIGHTS_SHA256 = {
    ("tiny", 1.0): "29c12d350dc9d1096cb47bfdfbb0ac90728031cc0337e6bba4234ef4fc66925e",
    ("tiny", 0.01): "2a4ef2fc1216009624b14a199ea56d40642584a6f3926a1470e4f1d150962488",
}
LARGE_SHA256 = "a45d4df3b6419ce9d6929827173ff83ef94e0b686c6c1959c1536e2729f4f318"


def weights(name: str, gain: float = 1.0) -> dict[str, Tensor]:
    return depth_anything_3_state_dict(golden_shapes(KEYS[name], BLOCKS), gain)


def build(name: str, tensors: dict[str, Tensor]) -> DepthAnything3:
    with torch.device("meta"):
        model = DepthAnything3(CONFIGS[name])
    model.load_state_dict({key.removeprefix("model."): tensor for key, tensor in tensors.items()}, assign=True)
    return model.eval().requires_grad_(False)


@lru_cache
def tiny(gain: float = 1.0) -> DepthAnything3:
    return build("tiny", weights("tiny", gain))


def estimate(model: DepthAnything3, image: np.ndarray, long_side: int) -> dict[str, Tensor]:
    net_input = prepare_image(torch.from_numpy(image), long_side)
    depth, sky = model(net_input)
    return {"net_input": net_input, "depth_raw": depth, "sky": sky}


def estimate_stages(model: DepthAnything3, image: np.ndarray, long_side: int) -> dict[str, Tensor]:
    """As `estimate`, with what flows between the modules."""
    encoder = model.backbone["pretrained"]
    with watched(encoder, model.head) as seen:
        seen |= estimate(model, image, long_side)
    return stages(seen, encoder)


@pytest.fixture(autouse=True)
def inference():
    with torch.inference_mode():
        yield


# --- golden vectors ---


@pytest.mark.parametrize("name", CONFIGS)
def test_keys_and_shapes_are_those_of_the_weights_files(name):
    with torch.device("meta"):
        model = DepthAnything3(CONFIGS[name])
    assert {f"model.{key}": tuple(tensor.shape) for key, tensor in model.state_dict().items()} == golden_shapes(
        KEYS[name], BLOCKS
    )


@pytest.mark.parametrize(("name", "gain"), WEIGHTS_SHA256)
def test_generated_weights_are_those_of_the_golden_vectors(name, gain):
    assert sha256(weights(name, gain)) == WEIGHTS_SHA256[name, gain]


def test_tiny_network_matches_golden(record_property):
    golden = np.load(GOLDEN / "da3_tiny.npz")
    found = estimate_stages(tiny(), golden["image"], 84)
    found |= prefixed("wide", estimate(tiny(), golden["wide_image"], 112))
    found |= prefixed("square518", estimate(tiny(), rule_image(518, 518), 518))
    check_all(golden, found, record_property, without=FILLED)


def test_faint_tokens_match_golden_so_each_norm_has_its_own_eps(record_property):
    golden = np.load(GOLDEN / "da3_tiny_eps.npz")
    check_all(
        golden, estimate_stages(tiny(0.01), np.load(GOLDEN / "da3_tiny.npz")["image"], 84), record_property, without=FILLED
    )


@pytest.mark.slow
def test_large_network_matches_golden(record_property):
    tensors = weights("large")
    assert sha256(tensors) == LARGE_SHA256
    model = build("large", tensors)
    golden = np.load(GOLDEN / "da3_large_140x196.npz")
    check_all(golden, estimate_stages(model, golden["image"], 196), record_property, without=FILLED)
    golden = np.load(GOLDEN / "da3_large_360x640.npz")
    check_all(golden, estimate(model, rule_image(360, 640), 504), record_property, without=FILLED)


# --- the picture in the network ---


@pytest.mark.parametrize(
    ("picture", "inside"),
    [
        ((480, 640), (378, 504)),
        ((640, 480), (504, 378)),
        ((240, 320), (378, 504)),
        ((720, 1280), (280, 504)),
        ((400, 640), (322, 504)),
        ((504, 504), (504, 504)),
        ((376, 1241), (154, 504)),
        ((504, 377), (504, 378)),
        ((100, 2000), (28, 504)),
    ],
)
def test_longer_side_is_504_and_both_are_whole_patches(picture, inside):
    assert network_size(*picture) == inside


def test_a_strip_is_refused():
    with pytest.raises(InputError, match=r"13 x 2000 px is 3 x 504 px in the network.*at most 72 times as long"):
        network_size(13, 2000)


def test_off_the_patch_grid_is_refused():
    with pytest.raises(InputError, match="70 x 99 px.*multiples of 14"):
        tiny()(torch.zeros(1, 3, 70, 99))


@pytest.mark.parametrize(
    ("size_wh", "fx", "fy", "metres_per_unit"), [((640, 480), 600, 610, 1.588125), ((1280, 720), 900, 905, 1.177199)]
)
def test_focal_length_is_that_of_the_resized_picture(size_wh, fx, fy, metres_per_unit):
    width, height = size_wh
    camera = PinholeCamera(width, height, fx, fy, width / 2, height / 2)
    assert network_focal_px(camera, network_size(height, width)) / 300 == pytest.approx(metres_per_unit, rel=1e-6)


# --- metres, relative depth, sky ---


def seen_by(*, metric: bool, model: DepthAnything3 | None = None) -> MonoDepthEstimator:
    return MonoDepthEstimator(
        DepthAnything3Model(runtime.load(model or build("tiny", weights("tiny")), "cpu"), "w", metric=metric)
    )


def test_metres_follow_the_focal_length_and_not_the_size_of_the_picture():
    image = rule_image(240, 320)
    estimator = seen_by(metric=True)
    camera = PinholeCamera(320, 240, 300, 310, 160, 120)
    near, far = (estimator.estimate(image, c) for c in (camera, PinholeCamera(320, 240, 600, 620, 160, 120)))
    assert estimator.is_metric and near.is_metric
    torch.testing.assert_close(far.depth_m, 2 * near.depth_m, equal_nan=True)
    relative = seen_by(metric=False).estimate(image)
    torch.testing.assert_close(near.output, relative.output * (1.575 * 305 / 300))
    with pytest.raises(InputError, match="w gives metres only with the focal length of the camera; pass the camera"):
        estimator.estimate(image)


def test_relative_depth_is_no_inverse_depth():
    estimator = seen_by(metric=False)
    prediction = estimator.estimate(rule_image(240, 320))
    assert prediction.kind is DepthKind.RELATIVE and not estimator.is_metric
    assert estimator.describe() == "w on cpu, float32, relative depth, NOT metres"
    known = prediction.depth_m.isfinite()
    order = prediction.output[known].argsort()
    assert (prediction.depth_m[known][order].diff() >= 0).all()
    assert (prediction.inverse_depth[known][order].diff() <= 0).all()


def test_sky_has_no_depth_and_nothing_is_filled_in():
    image = rule_image(240, 320)
    model = build("tiny", weights("tiny"))
    prediction = seen_by(metric=False, model=model).estimate(image)
    _, sky = model(prepare_image(torch.from_numpy(image)))
    sky = torch.nn.functional.interpolate(sky[None], (240, 320), mode="bilinear", align_corners=False)[0, 0] >= SKY_FROM
    assert 0.1 < sky.float().mean() < 0.9
    for values in (prediction.known, prediction.depth_m, prediction.inverse_depth):
        assert torch.equal(values.isnan(), sky)
    assert prediction.output.isfinite().all()


def test_half_precision_leaves_the_head_alone():
    image = torch.from_numpy(rule_image(240, 320))
    single, half = tiny(), build("tiny", weights("tiny")).half()
    assert {p.dtype for p in half.head.parameters()} == {torch.float32}
    assert {p.dtype for p in half.backbone.parameters()} == {torch.float16}
    assert all(torch.equal(p, q) for p, q in zip(half.head.parameters(), single.head.parameters(), strict=True))
    x = prepare_image(image)
    for found, expected in zip(half(x.half()), single(x), strict=True):
        assert found.dtype == torch.float32
        assert relative_error(found, expected) < 0.02


# --- graphs ---


def test_compiled_as_one_graph_equals_eager():
    x = torch.randn(1, 3, 56, 182, generator=torch.Generator().manual_seed(0))
    compiled = torch.compile(tiny(), fullgraph=True, backend="aot_eager")
    for found, expected in zip(compiled(x), tiny()(x), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_onnx_graph_with_free_height_and_width_equals_torch():
    pytest.importorskip("onnxscript", reason="ONNX export needs onnxscript")
    onnx = pytest.importorskip("onnxruntime", reason="running the exported graph needs onnxruntime")
    sides = {axis: 14 * torch.export.Dim(name, min=2, max=200) for axis, name in ((2, "rows"), (3, "columns"))}
    example = (torch.zeros(1, 3, 70, 98),)
    with torch.inference_mode(False):
        program = torch.onnx.export(
            build("tiny", weights("tiny")), example, dynamo=True, dynamic_shapes=(sides,), verbose=False
        )
    session = onnx.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    for size in ((56, 182), (518, 518)):  # one with a stretched position table, one without
        x = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
        for found, expected in zip(session.run(None, {session.get_inputs()[0].name: x.numpy()}), tiny()(x), strict=True):
            assert relative_error(found, expected) < 2e-5
