# SPDX-License-Identifier: Apache-2.0
"""The easy door to monocular depth, with a real network of generated weights.

The network looks at small pictures here, 42 px instead of 518, except where the size is what is tested.
"""

import dataclasses
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vizion3d.errors import DependencyError, InputError, MissingImageError, Vizion3dError, WeightsError
from vizion3d.lens_rays import kept_rays
from vizion3d.lifting import (
    DepthEstimation,
    DepthEstimationAdvanceConfig,
    DepthEstimationCommand,
    DepthEstimationResult,
    DepthKind,
    MonoDepthEstimator,
    api,
)
from vizion3d.lifting.api import relative_cloud_depth
from vizion3d.options import MonoOptions

ROOT = Path(__file__).parents[2]
INPUT_SIZE = 42
ORIENTATION = 0x0112  # EXIF tag
NAN, INF = float("nan"), float("inf")


@pytest.fixture(scope="module", autouse=True)
def opened():
    """Lets the API open its networks for small pictures; a list of what was opened."""
    opened = []

    class SmallEstimator(MonoDepthEstimator):
        @classmethod
        def open(cls, model, options, **further):
            opened.append(os.fspath(model))
            return super().open(model, dataclasses.replace(options, device="cpu", input_size=INPUT_SIZE), **further)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "MonoDepthEstimator", SmallEstimator)
        DepthEstimation.unload()
        yield opened
        DepthEstimation.unload()


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (48, 62, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def run(vits_file, picture) -> Callable[..., DepthEstimationResult]:
    def run(image=picture, config=None, **options) -> DepthEstimationResult:
        options = {"model_backend": vits_file, "advanced_config": config or DepthEstimationAdvanceConfig(), **options}
        return DepthEstimation().run(DepthEstimationCommand(image, **options))

    return run


@pytest.fixture(scope="module")
def result(run) -> DepthEstimationResult:
    return run(return_point_cloud=True)


def png(image: np.ndarray, orientation: int = 1) -> bytes:
    buffer = io.BytesIO()
    exif = PIL.Image.Exif()
    exif[ORIENTATION] = orientation
    PIL.Image.fromarray(image).save(buffer, "PNG", exif=exif)
    return buffer.getvalue()


def result_of_depth(depth: np.ndarray, is_metric: bool = False) -> DepthEstimationResult:
    kind = DepthKind.METRES if is_metric else DepthKind.INVERSE
    return DepthEstimationResult(depth, "weights.pth", None, DepthEstimationCommand("room.png"), kind)


def reference_counts(depth: np.ndarray) -> np.ndarray:
    """The 16-bit depth of vizion3D 1 in 1/6553 m: its formulas, written down once more."""
    low, high = depth.min(), depth.max()
    n = 1 - (depth - low) / (high - low)
    m = np.float32(0.5) + n * np.float32(10.0 - 0.5)
    return np.trunc(np.clip(np.float32(6553) * m, 1, 65535)).astype(np.uint16)


# --- command and configuration ---


def test_command_has_the_agreed_fields_and_defaults():
    assert [field.name for field in dataclasses.fields(DepthEstimationCommand)] == [
        "image_input",
        "model_backend",
        "return_depth_image",
        "return_raw_depth",
        "return_point_cloud",
        "advanced_config",
    ]
    command = DepthEstimationCommand("room.png")
    assert (command.return_depth_image, command.return_raw_depth, command.return_point_cloud) == (True, True, False)
    assert command.advanced_config == DepthEstimationAdvanceConfig()
    assert DepthEstimation.experimental is False


def test_default_weights_are_the_freely_licensed_ones():
    """vizion3D 1 took the Base weights, which are not for commercial use."""
    assert DepthEstimationCommand("room.png").model_backend == "depth-anything-v2-small"


def test_configuration_has_the_agreed_fields_and_defaults():
    fields = list(dataclasses.asdict(DepthEstimationAdvanceConfig()).items())
    assert fields[:7] == [
        ("fx", None),
        ("fy", None),
        ("cx", None),
        ("cy", None),
        ("distortion", ()),
        ("distortion_model", "plumb_bob"),
        ("max_depth_m", None),
    ]
    assert dict(fields[7:]) == dataclasses.asdict(MonoOptions())


@pytest.mark.parametrize(
    ("numbers", "fx_fy_cx_cy"),
    [
        ({}, (170, 170, 100, 50)),
        ({"fx": 90}, (90, 170, 100, 50)),
        ({"fy": 90}, (170, 90, 100, 50)),
        ({"cx": 0}, (170, 170, 0, 50)),
        ({"cy": -3}, (170, 170, 100, -3)),
        ({"fx": 91, "fy": 92, "cx": 93, "cy": 94}, (91, 92, 93, 94)),
    ],
)
def test_each_number_that_is_not_given_comes_from_the_picture(numbers, fx_fy_cx_cy):
    calibration = DepthEstimationAdvanceConfig(**numbers).calibration(200, 100)
    fx, fy, cx, cy = fx_fy_cx_cy
    assert (fx, 0, cx, 0, fy, cy, 0, 0, 1) == calibration.K
    assert (fx, 0, cx, 0, 0, fy, cy, 0, 0, 0, 1, 0) == calibration.P
    assert calibration.image_size == (200, 100)


def test_numbers_may_be_given_as_text():
    config = DepthEstimationAdvanceConfig("615.5", np.float32(600), 320, "0", max_depth_m="20")
    assert dataclasses.astuple(config)[:7] == (615.5, 600.0, 320.0, 0.0, (), "plumb_bob", 20.0)
    assert all(type(getattr(config, name)) is float for name in ("fx", "fy", "cx", "cy", "max_depth_m"))


@pytest.mark.parametrize("distortion", [["-0.1", "0.01", "0", "0"], np.array([-0.1, 0.01, 0, 0]), (-0.1, 0.01, 0, 0)])
def test_distortion_may_be_any_sequence_of_numbers(distortion):
    assert DepthEstimationAdvanceConfig(distortion=distortion).calibration(64, 48).D == (-0.1, 0.01, 0.0, 0.0)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"fx": 0}, r"fx is 0\.0; it must be positive"),
        ({"fx": -500}, r"fx is -500\.0; it must be positive"),
        ({"fx": NAN}, "fx is nan; it must be finite"),
        ({"fy": 0}, r"fy is 0\.0; it must be positive"),
        ({"fy": "-1"}, r"fy is -1\.0; it must be positive"),
        ({"fy": INF}, "fy is inf; it must be finite"),
        ({"fx": "wide"}, "fx is 'wide'; it must be a number"),
        ({"fx": 10**400}, "fx is 1.*; it must be"),
        ({"cx": [1]}, r"cx is \[1\]; it must be a number"),
        ({"cx": NAN}, "cx is nan; it must be finite"),
        ({"cy": "-inf"}, "cy is -inf; it must be finite"),
        ({"max_depth_m": 0}, r"max_depth_m is 0\.0; it must be positive"),
        ({"max_depth_m": "far"}, "max_depth_m is 'far'; it must be a number"),
        ({"distortion": (0.1, NAN, 0, 0)}, "distortion.*nan"),
        ({"distortion": ("strong", 0, 0, 0)}, "distortion.*strong"),
        ({"distortion": None}, "distortion is None"),
    ],
)
def test_impossible_numbers_are_refused(numbers, message):
    with pytest.raises(InputError, match=message):
        DepthEstimationAdvanceConfig(**numbers)


@pytest.mark.parametrize(
    ("distortion", "model", "message"),
    [
        ((0.1, 0.1, 0.1), "plumb_bob", "D has 3 numbers; plumb_bob takes 4 or 5 or 8"),
        ((0.1, 0.0, 0.0, 0.0), "barrel", "the distortion model is 'barrel'; known are plumb_bob"),
    ],
)
def test_unknown_distortions_are_refused(run, distortion, model, message):
    config = DepthEstimationAdvanceConfig(distortion=distortion, distortion_model=model)
    with pytest.raises(Vizion3dError, match=message):
        run(config=config, return_point_cloud=True)


# --- depth of a cloud that is relative ---


@settings(max_examples=150, deadline=None)
@given(st.lists(st.floats(0, 1e6, width=32), min_size=2, max_size=30))
def test_relative_cloud_depth_has_the_range_and_the_steps_of_vizion3d_1(values):
    inverse_depth = np.array([values], np.float32)
    depth = relative_cloud_depth(inverse_depth)
    assert (depth.shape, depth.dtype) == (inverse_depth.shape, np.float32)
    if inverse_depth.min() == inverse_depth.max():
        assert np.isnan(depth).all()
        return
    counts = reference_counts(inverse_depth)
    np.testing.assert_array_equal(np.isnan(depth), counts == 65530)
    np.testing.assert_array_equal(depth[counts < 65530], counts[counts < 65530] / np.float32(6553))
    assert np.isnan(depth[inverse_depth == inverse_depth.min()]).all()
    assert (depth[inverse_depth == inverse_depth.max()] == np.float32(3276 / 6553)).all()
    assert np.nanmax(depth) < 10
    by_nearness = depth[0, np.argsort(-inverse_depth[0])]
    assert not (np.diff(by_nearness[np.isfinite(by_nearness)]) < 0).any()


def test_relative_cloud_depth_is_linear_in_the_inverse_depth():
    depth = relative_cloud_depth(np.array([[0.0, 1.0, 2.0, 4.0]], np.float32))
    np.testing.assert_allclose(depth, [[NAN, 7.625, 5.25, 0.5]], atol=1 / 6553)


def test_a_pixel_that_is_no_number_is_left_out_alone():
    depth = relative_cloud_depth(np.array([[0.0, NAN, 2.0, 4.0]], np.float32))
    np.testing.assert_allclose(depth, [[NAN, NAN, 5.25, 0.5]], atol=1 / 6553)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of numpy: all-NaN slice, inf - inf
@pytest.mark.parametrize("values", [[3.0, 3.0], [0.0], [NAN, NAN], [INF, 1.0], [INF, INF]])
def test_without_contrast_there_is_no_cloud(values):
    assert np.isnan(relative_cloud_depth(np.array([values], np.float32))).all()


# --- the cloud ---


@pytest.mark.parametrize(
    "numbers", [{}, {"fx": 55.5}, {"fx": "51", "fy": 72, "cx": 20.25, "cy": 0}], ids=["default", "fx", "all"]
)
def test_relative_cloud_is_that_of_vizion3d_1(run, result, picture, numbers):
    cloud = run(config=DepthEstimationAdvanceConfig(**numbers), return_point_cloud=True).cloud if numbers else result.cloud
    height, width = result.depth.shape
    fx, fy = (float(numbers.get(name, 0.85 * width)) for name in ("fx", "fy"))
    cx, cy = float(numbers.get("cx", width / 2)), float(numbers.get("cy", height / 2))

    counts = reference_counts(result.depth)
    z_map = counts.astype(np.float32) / np.float32(6553)
    keep = (z_map > 0) & (z_map < 10)
    v, u = np.nonzero(keep)  # row by row
    z = z_map[keep].astype(np.float64)
    expected = np.stack([(u - cx) * z / fx, -(v - cy) * z / fy, -z], axis=-1)

    assert keep.sum() == height * width - (counts == 65530).sum() < height * width
    assert cloud.points.shape == (keep.sum(), 3)
    assert cloud.points.dtype == np.float32
    np.testing.assert_array_equal(np.rint(-6553 * cloud.points[:, 2].astype(np.float64)), counts[keep])
    np.testing.assert_allclose(cloud.points, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(cloud.colors, picture[keep])


def test_rays_are_not_computed_for_each_picture(run):
    run(return_point_cloud=True)
    computed = kept_rays.cache_info().misses
    run(return_point_cloud=True)
    assert kept_rays.cache_info().misses == computed


def test_farthest_pixels_are_not_in_the_cloud(result):
    farthest = result.depth == result.depth.min()
    assert farthest.any()
    assert len(result.cloud.points) <= result.depth.size - farthest.sum()
    assert -result.cloud.points[:, 2].min() < 10
    assert -result.cloud.points[:, 2].max() == np.float32(3276 / 6553)


def test_metric_cloud_is_the_depth_of_every_pixel(run, picture):
    config = DepthEstimationAdvanceConfig(60, 61, 30, 20, max_depth_m=20)
    result = run(config=config, return_point_cloud=True)
    assert result.is_metric
    assert 0 < result.min_depth < result.max_depth < 20
    v, u = np.indices(result.depth.shape)
    z = result.depth.astype(np.float64)
    expected = np.stack([(u - 30) * z / 60, -(v - 20) * z / 61, -z], axis=-1).reshape(-1, 3)
    np.testing.assert_allclose(result.cloud.points, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(result.cloud.points[:, 2], -result.depth.ravel())
    np.testing.assert_array_equal(result.cloud.colors, picture.reshape(-1, 3))


@pytest.mark.parametrize(
    ("model", "D", "project"),
    [
        ("plumb_bob", (-0.28, 0.09, 0.002, -0.001, -0.01), cv2.projectPoints),
        ("rational_polynomial", (0.5, 0.1, 0.001, 0.0005, 0.01, 0.8, 0.2, 0.03), cv2.projectPoints),
        ("equidistant", (0.05, -0.01, 0.003, -0.001), cv2.fisheye.projectPoints),
    ],
)
def test_points_of_a_distorted_picture_lie_behind_their_pixels(run, result, model, D, project):
    K = np.array([[50.0, 0, 30], [0, 52, 25], [0, 0, 1]])
    config = DepthEstimationAdvanceConfig(50, 52, 30, 25, distortion=D, distortion_model=model)
    points = run(config=config, return_point_cloud=True).cloud.points.astype(np.float64)
    v, u = np.nonzero(reference_counts(result.depth) < 65530)
    assert len(points) == len(u)
    in_optical_frame = (points * (1, -1, -1))[:, None]
    pixels = project(in_optical_frame, np.zeros(3), np.zeros(3), K, np.array(D))[0]
    assert np.abs(pixels[:, 0] - np.stack([u, v], axis=-1)).max() < 0.05
    straight = points[:, :2] / -points[:, 2:] * (50, -52) + (30, 25)
    assert np.abs(straight - np.stack([u, v], axis=-1)).max() > 0.5


# --- what a result holds ---


def test_maps_and_names(result, vits_file):
    assert (result.depth.shape, result.depth.dtype) == ((48, 62), np.float32)
    assert not result.is_metric
    assert result.backend_used == str(vits_file)
    assert result.point_cloud_scale == 1.0
    assert (result.min_depth, result.max_depth) == (result.depth.min(), result.depth.max())
    assert type(result.min_depth) is type(result.max_depth) is float
    assert result.min_depth >= 0  # the original's bicubic resizing gave negative ones


def test_the_api_and_the_estimator_agree(result, vits_file, picture):
    output = MonoDepthEstimator(vits_file, "cpu", input_size=INPUT_SIZE).estimate(picture).output
    np.testing.assert_array_equal(result.depth, output.numpy())


def test_lists_are_the_arrays_and_are_made_when_read(run):
    result = run()
    assert not {"depth_map", "depth_image_array"} & vars(result).keys()
    assert type(result.depth_map) is type(result.depth_map[0]) is list
    assert type(result.depth_map[0][0]) is float
    np.testing.assert_array_equal(np.array(result.depth_map), result.depth.astype(np.float64))
    assert result.depth_map is result.depth_map


def test_raw_depth_is_a_copy(result):
    raw = result.raw_depth
    np.testing.assert_array_equal(raw, result.depth)
    raw[:] = -1
    assert result.min_depth >= 0


def test_what_was_not_asked_for_is_none(run):
    result = run(return_depth_image=False, return_raw_depth=False)
    assert result.depth_image is None
    assert result.raw_depth is None
    assert result.cloud is None
    assert result.point_cloud is None
    assert len(result.depth_map) == 48  # always there


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1e6, width=32), min_size=1, max_size=12), st.booleans())
def test_depth_picture_is_bright_where_it_is_near(values, is_metric):
    depth = np.array([values], np.float32)
    picture = result_of_depth(depth, is_metric).depth_image_array
    low, span = depth.min(), depth.max() - depth.min()
    n = (depth - low) / span if span > 0 else np.zeros_like(depth)
    if is_metric and span > 0:
        n = 1 - n
    assert picture.dtype == np.uint16
    np.testing.assert_array_equal(picture, np.trunc(np.float32(65535) * n).astype(np.uint16))


def test_depth_picture_keeps_its_levels_with_a_few_far_outliers():
    depth = np.linspace(1, 5, 48 * 64, dtype=np.float32).reshape(48, 64)
    expected = result_of_depth(depth, is_metric=True).depth_image_array
    spoilt = depth.copy()
    spoilt[::7, ::60] = 800.0
    picture = result_of_depth(spoilt, is_metric=True).depth_image_array
    assert len(np.unique(picture)) > 2900
    usual = spoilt == depth
    assert np.abs(picture.astype(int) - expected)[usual].max() < 0.02 * 65535
    assert not picture[~usual].any()


def test_depth_picture_of_known_depths():
    depth = np.array([[1.0, 2.0, 3.0]], np.float32)
    assert result_of_depth(depth).depth_image_array.tolist() == [[0, 32767, 65535]]
    assert result_of_depth(depth, is_metric=True).depth_image_array.tolist() == [[65535, 32767, 0]]
    assert not result_of_depth(np.full((2, 3), 7.0, np.float32)).depth_image_array.any()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("is_metric", [False, True])
def test_a_pixel_that_is_no_number_is_black_and_spoils_no_others(is_metric):
    result = result_of_depth(np.array([[1.0, NAN, 2.0, 3.0]], np.float32), is_metric)
    assert (result.min_depth, result.max_depth) == (1, 3)
    expected = [65535, 0, 32767, 0] if is_metric else [0, 0, 32767, 65535]
    assert result.depth_image_array.tolist() == [expected]


# --- pictures in any form ---


@pytest.mark.parametrize("form", ["path", "str", "bytes", "bytearray", "PIL", "read-only array", "RGBA array"])
def test_every_form_of_picture_gives_the_same_result(run, result, picture, tmp_path, form):
    file = tmp_path / "room.png"
    file.write_bytes(png(picture))
    forms = {
        "path": file,
        "str": str(file),
        "bytes": file.read_bytes(),
        "bytearray": bytearray(file.read_bytes()),
        "PIL": PIL.Image.fromarray(picture),
        "read-only array": np.frombuffer(picture.tobytes(), np.uint8).reshape(picture.shape),
        "RGBA array": np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)]),
    }
    other = run(forms[form], return_point_cloud=True)
    np.testing.assert_array_equal(other.depth, result.depth)
    np.testing.assert_array_equal(other.cloud.points, result.cloud.points)
    np.testing.assert_array_equal(other.cloud.colors, result.cloud.colors)


def test_a_picture_that_lies_on_its_side_is_stood_up(run, result, picture, tmp_path):
    (tmp_path / "phone.png").write_bytes(png(np.rot90(picture), orientation=6))
    stood_up = run(tmp_path / "phone.png", return_point_cloud=True)
    np.testing.assert_array_equal(stood_up.depth, result.depth)
    np.testing.assert_array_equal(stood_up.cloud.colors, result.cloud.colors)


def test_the_callers_picture_is_not_written_to(run, picture):
    before = picture.copy()
    run(picture, return_point_cloud=True)
    np.testing.assert_array_equal(picture, before)


# --- weights ---


def test_weights_stay_loaded_until_their_file_is_replaced(run, vits_file, opened, tmp_path):
    file, new_file = tmp_path / "weights.pth", tmp_path / "new.pth"
    os.link(vits_file, file)
    tensors = torch.load(vits_file, weights_only=True)
    tensors["depth_head.scratch.output_conv2.2.bias"] += 1
    torch.save(tensors, new_file)

    before = run(model_backend=file).depth
    np.testing.assert_array_equal(run(model_backend=str(file)).depth, before)
    assert opened.count(str(file)) == 1
    new_file.replace(file)
    after = run(model_backend=file).depth
    assert opened.count(str(file)) == 2
    bright = before > 0.1  # where the floor at 0 does not hide the change
    assert bright.any()
    np.testing.assert_allclose(np.median((after - before)[bright]), 1, atol=1e-3)


def test_the_range_is_part_of_what_is_loaded(run):
    by_range = {m: run(config=DepthEstimationAdvanceConfig(max_depth_m=m)) for m in (None, 10, 20)}
    assert [by_range[m].is_metric for m in (None, 10, 20)] == [False, True, True]
    np.testing.assert_allclose(by_range[20].depth, 2 * by_range[10].depth, rtol=1e-5)


def test_metric_weights_are_known_by_their_name(run, vits_file, tmp_path):
    file = tmp_path / "depth_anything_v2_metric_hypersim_vits.pth"
    os.link(vits_file, file)
    result = run(model_backend=file)
    assert result.is_metric
    assert 10 < result.max_depth < 20
    with pytest.raises(WeightsError, match="is named like a metric network"):
        run(model_backend=file.rename(tmp_path / "my_metric_weights.pth"))


# --- mistakes ---


def test_missing_and_broken_pictures_are_refused(run):
    for nowhere in ("nowhere.png", Path("nowhere.png")):
        with pytest.raises(FileNotFoundError, match="image_input: there is no file nowhere.png") as caught:
            run(nowhere)
        assert isinstance(caught.value, MissingImageError)
    with pytest.raises(InputError, match="image_input: 13 bytes cannot be decoded as a picture"):
        run(b"not a picture")
    with pytest.raises(InputError, match=r"image_input is an array of shape \(4, 5\) and type float64"):
        run(np.zeros((4, 5)))
    for wrong in (None, 7, ["room.png"]):
        with pytest.raises(InputError, match=f"image_input is a {type(wrong).__name__}; a path"):
            run(wrong)


def test_the_picture_is_looked_at_before_weights_are_fetched(run, monkeypatch, tmp_path):
    monkeypatch.setenv("VIZION3D_MODEL_CACHE", str(tmp_path))
    monkeypatch.setenv("VIZION3D_OFFLINE", "1")
    with pytest.raises(MissingImageError):
        run("nowhere.png", model_backend="depth-anything-v2-small")


def test_missing_weights_are_refused_with_what_to_do(run, monkeypatch, tmp_path):
    monkeypatch.setenv("VIZION3D_MODEL_CACHE", str(tmp_path))
    monkeypatch.setenv("VIZION3D_OFFLINE", "1")
    with pytest.raises(WeightsError, match="vizion3d weights get depth-anything-v2-small"):
        run(model_backend="depth-anything-v2-small")
    with pytest.raises(WeightsError, match="offline mode is on"):
        run(model_backend="https://127.0.0.1:9/weights.pth")
    with pytest.raises(WeightsError, match=r"nowhere\.pth' does not exist"):
        run(model_backend=tmp_path / "nowhere.pth")
    with pytest.raises(WeightsError, match="no weights are named 'dav2'.*here are: depth-anything-v2-small"):
        run(model_backend="dav2")


def test_a_network_for_metres_needs_both_focal_lengths_and_leaves_sky_out(run, da3_metric_file, picture, caplog):
    for config in (DepthEstimationAdvanceConfig(), DepthEstimationAdvanceConfig(fx=50)):
        with pytest.raises(
            InputError, match="metres only with the focal length of the camera; set fx and fy of advanced_config"
        ):
            run(model_backend=da3_metric_file, config=config)
    one, two = (
        run(model_backend=da3_metric_file, config=DepthEstimationAdvanceConfig(fx=f, fy=f), return_point_cloud=True)
        for f in (50, 100)
    )
    assert one.kind is DepthKind.METRES and one.is_metric
    np.testing.assert_allclose(two.depth, 2 * one.depth, rtol=1e-5)
    known = np.isfinite(one.depth)
    assert 0 < known.sum() == len(one.cloud.points) < known.size
    assert (one.depth_image_array[~known] == 0).all()
    assert "no one focal length" not in caplog.text
    lens = DepthEstimationAdvanceConfig(fx=50, fy=50, distortion=(-0.2, 0.05, 0, 0))
    assert run(model_backend=da3_metric_file, config=lens).is_metric
    assert "the lens has no one focal length" in caplog.text


def test_the_picture_of_relative_depth_is_dark_where_it_is_far():
    depth = np.array([[1.0, 2.0, 3.0]], np.float32)
    inverse, relative = (
        DepthEstimationResult(depth, "w", None, DepthEstimationCommand("room.png"), kind).depth_image_array.tolist()[0]
        for kind in (DepthKind.INVERSE, DepthKind.RELATIVE)
    )
    assert inverse == [0, 32767, 65535] and relative == inverse[::-1]


def test_other_weights_are_refused(run, tmp_path):
    torch.save({"layer.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(
        WeightsError,
        match="other.pth is not Depth Anything V2 or Depth Anything 3: it is a file with tensors named layer.weight",
    ):
        run(model_backend=tmp_path / "other.pth")
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(WeightsError, match="text.pth is text, not weights"):
        run(model_backend=tmp_path / "text.pth")


@pytest.mark.parametrize("model", [None, 7, ["depth-anything-v2-small"]])
def test_models_that_are_no_names_are_refused(run, model):
    with pytest.raises(Vizion3dError, match="model"):
        run(model_backend=model)


def test_other_commands_are_refused():
    for wrong in (None, "room.png", DepthEstimationAdvanceConfig()):
        with pytest.raises(ValueError, match=f"No handler registered for command {type(wrong).__name__}"):
            DepthEstimation().run(wrong)
    with pytest.raises(Vizion3dError):
        DepthEstimation().run(None)


@pytest.mark.parametrize("wrong", [None, {"fx": 500}])
def test_other_configurations_are_refused(vits_file, picture, wrong):
    command = DepthEstimationCommand(picture, vits_file, advanced_config=wrong)
    with pytest.raises(InputError, match=r"advanced_config is .*; a DepthEstimationAdvanceConfig is needed"):
        DepthEstimation().run(command)


def test_long_and_thin_pictures_are_refused(run):
    with pytest.raises(InputError, match="a picture of 2 x 20000 px .*crop the picture"):
        run(np.zeros((2, 20000, 3), np.uint8))


# --- Open3D ---


def test_open3d_objects_are_the_arrays(result):
    pytest.importorskip("open3d", reason="Open3D is not installed")
    np.testing.assert_array_equal(np.asarray(result.point_cloud.points), result.cloud.points.astype(np.float64))
    np.testing.assert_array_equal(np.asarray(result.point_cloud.colors), result.cloud.colors / 255)
    np.testing.assert_array_equal(np.asarray(result.depth_image), result.depth_image_array)


def test_open3d_is_asked_for_only_when_its_objects_are_read(result, monkeypatch):
    monkeypatch.setitem(sys.modules, "open3d", None)
    fresh = dataclasses.replace(result)
    with pytest.raises(DependencyError, match="Open3D is needed for a point cloud object"):
        _ = fresh.point_cloud
    with pytest.raises(ImportError, match="Open3D is needed for a depth image object"):
        _ = fresh.depth_image


def test_without_open3d_and_at_full_size(vits_file, tmp_path):
    """In a process of its own, so that Open3D is really absent and the network really looks at 518 px."""
    picture = np.random.default_rng(2).integers(0, 256, (30, 30, 3), dtype=np.uint8)
    (tmp_path / "room.png").write_bytes(png(picture))
    script = (
        "import sys; sys.modules['open3d'] = None\n"
        "import vizion3d; assert 'torch' not in sys.modules\n"
        "import numpy as np\n"
        "from vizion3d.lifting import DepthEstimation, DepthEstimationCommand\n"
        "result = DepthEstimation().run(DepthEstimationCommand('room.png', sys.argv[1], return_point_cloud=True))\n"
        "result.cloud.write_ply('room.ply')\n"
        "assert result.depth_image_array.max() == 65535\n"
        "np.save('depth.npy', result.raw_depth)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", script, vits_file]
    subprocess.run(command, check=True, cwd=tmp_path, env=environment, timeout=120)
    output = MonoDepthEstimator(vits_file, "cpu", input_size=518).estimate(picture).output
    np.testing.assert_allclose(np.load(tmp_path / "depth.npy"), output.numpy(), rtol=1e-4, atol=1e-5)
    assert (tmp_path / "room.ply").stat().st_size > 15 * 100
