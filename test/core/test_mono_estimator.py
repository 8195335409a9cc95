# SPDX-License-Identifier: Apache-2.0
"""The exact door to monocular depth, with a real network of generated weights that looks at small pictures."""

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from vizion3d.errors import InputError, WeightsError
from vizion3d.lifting import DepthKind, MonoDepthEstimator, MonoPrediction
from vizion3d.lifting.models.depth_anything import (
    load_depth_anything,
    network_size,
    prepare_image,
    resize_depth,
)
from vizion3d.weights import cache_path

INPUT_SIZE = 42
NAN, INF = float("nan"), float("inf")


@pytest.fixture(scope="module")
def estimator(vits_file) -> MonoDepthEstimator:
    return MonoDepthEstimator(vits_file, "cpu", input_size=INPUT_SIZE)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (48, 61, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def prediction(estimator, picture) -> MonoPrediction:
    return estimator.estimate(picture)


@pytest.fixture
def renamed(vits_file, tmp_path):
    """The weights under another name, at no cost."""

    def renamed(name: str) -> Path:
        os.link(vits_file, tmp_path / name)
        return tmp_path / name

    return renamed


def relative(*values: float) -> MonoPrediction:
    return MonoPrediction(torch.tensor([values]), DepthKind.INVERSE)


def metric(*values: float) -> MonoPrediction:
    return MonoPrediction(torch.tensor([values]), DepthKind.METRES)


# --- picture to output ---


@pytest.mark.parametrize(("shape", "input_size"), [((48, 61), 98), ((150, 100), 42)])
def test_output_is_that_of_the_network_brought_to_the_size_of_the_picture(vits_file, shape, input_size):
    picture = np.random.default_rng(3).integers(0, 256, (*shape, 3), dtype=np.uint8)
    prediction = MonoDepthEstimator(vits_file, "cpu", input_size=input_size).estimate(picture)
    with torch.inference_mode():
        network_input = prepare_image(torch.from_numpy(picture), network_size(*shape, input_size))
        expected = resize_depth(load_depth_anything(vits_file)(network_input), shape)[0]
    assert (prediction.output.shape, prediction.output.dtype) == (shape, torch.float32)
    assert expected.std() > 0.1
    torch.testing.assert_close(prediction.output, expected, rtol=1e-5, atol=1e-6)
    assert not prediction.is_metric


def test_a_picture_gives_the_same_depth_whatever_came_before_it(estimator, picture, prediction):
    assert not torch.equal(estimator.estimate(255 - picture).output, prediction.output)
    estimator.estimate(picture[:40])
    torch.testing.assert_close(estimator.estimate(picture).output, prediction.output, rtol=0, atol=0)


def test_views_of_an_array_are_read_as_they_look(estimator, picture):
    mirrored = estimator.estimate(picture[:, ::-1, ::-1]).output
    torch.testing.assert_close(mirrored, estimator.estimate(picture[:, ::-1, ::-1].copy()).output, rtol=0, atol=0)


def test_read_only_pictures_are_fine(estimator, picture, prediction):
    frozen = np.frombuffer(picture.tobytes(), np.uint8).reshape(picture.shape)
    torch.set_warn_always(True)  # else torch warns only once in each process
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            output = estimator.estimate(frozen).output
    finally:
        torch.set_warn_always(False)
    torch.testing.assert_close(output, prediction.output, rtol=0, atol=0)


def test_a_single_pixel_has_an_output_but_no_relative_depth(estimator):
    prediction = estimator.estimate(np.full((1, 1, 3), 90, np.uint8))
    assert prediction.output.shape == (1, 1)
    assert prediction.output.isfinite().all()
    assert prediction.depth_m.isnan().all()


def test_half_precision_is_close_to_single(estimator, vits_file, picture, prediction):
    half = MonoDepthEstimator(vits_file, "cpu", precision="float16", input_size=INPUT_SIZE)
    assert "float16" in half.describe()
    assert "float32" in estimator.describe()
    output, expected = half.estimate(picture).output, prediction.output
    assert output.dtype == torch.float32
    difference = (output - expected).abs()
    assert 0 < difference.median() < 0.003 * (expected.max() - expected.min())


# --- what the output means ---


def test_relative_depth_is_the_inverse_depth_spread_over_half_a_metre_to_ten(prediction):
    p = prediction.output.double()
    expected = 0.5 + (1 - (p - p.min()) / (p.max() - p.min())) * 9.5
    torch.testing.assert_close(prediction.depth_m.double(), expected, rtol=1e-5, atol=1e-5)
    assert prediction.depth_m.dtype == torch.float32
    assert prediction.depth_m.min().item() == 0.5
    assert prediction.depth_m.max().item() == 10.0
    assert torch.equal(prediction.inverse_depth, prediction.output)


def test_relative_depth_of_known_outputs():
    assert relative(0.0, 1.0, 2.0, 4.0).depth_m.tolist() == [[10.0, 7.625, 5.25, 0.5]]
    assert relative(100.0, 101.0).depth_m.tolist() == [[10.0, 0.5]]


@pytest.mark.parametrize("values", [(3.0, 3.0, 3.0), (0.0, 0.0), (1.0,), (NAN, NAN), (NAN, 2.0, 2.0), (INF, 2.0), (INF, INF)])
def test_without_contrast_there_is_no_relative_depth(values):
    depth_m = relative(*values).depth_m
    assert depth_m.shape == (1, len(values))
    assert depth_m.isnan().all()


def test_pixels_that_are_no_numbers_have_no_depth_and_spoil_no_others():
    depth_m = relative(0.0, NAN, 4.0, INF, 2.0, -INF).depth_m
    np.testing.assert_array_equal(depth_m.numpy(), [[10.0, NAN, 0.5, NAN, 5.25, NAN]])
    depth_m = metric(3.0, NAN, 0.0, INF, 7.5).depth_m
    np.testing.assert_array_equal(depth_m.numpy(), [[3.0, NAN, NAN, NAN, 7.5]])


def test_metric_depth_is_the_output_and_its_inverse_is_one_over_it(vits_file, picture):
    prediction = MonoDepthEstimator(vits_file, "cpu", max_depth_m=10, input_size=INPUT_SIZE).estimate(picture)
    assert prediction.is_metric
    assert 0 < prediction.output.min() < prediction.output.max() < 10
    assert torch.equal(prediction.depth_m, prediction.output)
    torch.testing.assert_close(prediction.inverse_depth * prediction.output, torch.ones_like(prediction.output))


def test_nearer_has_the_larger_inverse_depth_in_both_kinds():
    for prediction in (relative(1.0, 2.0, 3.0), metric(3.0, 2.0, 1.0)):
        assert (prediction.inverse_depth.diff() > 0).all()
        assert (prediction.depth_m.diff() < 0).all()


# --- where the range of a metric network comes from ---


@pytest.mark.parametrize(("data", "max_depth_m"), [("hypersim", 20), ("vkitti", 80)])
def test_published_metric_files_are_known_by_their_name(renamed, picture, prediction, data, max_depth_m):
    file = renamed(f"depth_anything_v2_metric_{data}_vits.pth")
    metric = MonoDepthEstimator(file, "cpu", input_size=INPUT_SIZE)
    assert metric.is_metric
    assert metric.model.max_depth_m == max_depth_m
    assert metric.describe() == f"{file.name} on cpu, float32, metric up to {max_depth_m} m"
    # What the network says before its last step is the same; where a relative one has a floor a metric one has none.
    value = prediction.output
    expected = max_depth_m * value.sigmoid()
    above = value > 0.5
    output = metric.estimate(picture).output
    assert above.float().mean() > 0.5
    assert (output - expected).abs()[above].median() < 0.02 * max_depth_m


def test_a_registry_name_brings_its_range_along(vits_file, tmp_path, monkeypatch):
    monkeypatch.setenv("VIZION3D_MODEL_CACHE", str(tmp_path))
    monkeypatch.setenv("VIZION3D_OFFLINE", "1")
    for name, max_depth_m in (("depth-anything-v2-metric-outdoor-small", 80), ("depth-anything-v2-small", None)):
        file = cache_path(name)
        file.parent.mkdir()
        os.link(vits_file, file)
        estimator = MonoDepthEstimator(name, "cpu")
        assert (estimator.model.name, estimator.model.max_depth_m) == (str(file), max_depth_m)
        assert estimator.is_metric == (max_depth_m is not None)


def test_without_a_range_depth_is_said_to_be_relative(estimator):
    assert not estimator.is_metric
    assert "relative inverse depth, NOT metres" in estimator.describe()


@pytest.mark.parametrize(
    "name",
    ["my_metric_net.pth", "DEPTH_ANYTHING_V2_METRIC_HYPERSIM_VITS.PTH", "depth_anything_v2_metric_vkitti_vits-1.pth"],
)
def test_metric_files_of_unknown_range_are_not_taken_for_relative_ones(renamed, name):
    file = renamed(name)
    with pytest.raises(WeightsError, match="is named like a metric network.*max_depth_m="):
        MonoDepthEstimator(file, "cpu")
    assert MonoDepthEstimator(file, "cpu", max_depth_m=15).model.max_depth_m == 15


# --- mistakes ---


@pytest.mark.parametrize(
    ("wrong", "described"),
    [
        (np.zeros((4, 5), np.uint8), r"\(4, 5\) uint8"),
        (np.zeros((4, 5, 1), np.uint8), r"\(4, 5, 1\) uint8"),
        (np.zeros((4, 5, 4), np.uint8), r"\(4, 5, 4\) uint8"),
        (np.zeros((1, 4, 5, 3), np.uint8), r"\(1, 4, 5, 3\) uint8"),
        (np.zeros((4, 5, 3), np.float32), r"\(4, 5, 3\) float32"),
        (np.zeros((4, 5, 3), np.uint16), r"\(4, 5, 3\) uint16"),
        (np.zeros((4, 5, 3), bool), r"\(4, 5, 3\) bool"),
        (np.zeros((0, 5, 3), np.uint8), r"\(0, 5, 3\)"),
        (np.zeros((4, 0, 3), np.uint8), r"\(4, 0, 3\)"),
        (np.zeros((4, 5, 3), np.uint8).tolist(), "list"),
        (None, "NoneType"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_arrays_are_refused_with_what_they_are(estimator, wrong, described):
    with pytest.raises(InputError, match=described):
        estimator.estimate(wrong)


def test_long_and_thin_pictures_are_refused_with_what_to_do(vits_file, estimator):
    strip = np.random.default_rng(0).integers(0, 256, (100, 2000, 3), dtype=np.uint8)
    with pytest.raises(InputError, match=r"100 x 2000 px at input_size=518.*crop the picture or use input_size=392 or less"):
        MonoDepthEstimator(vits_file, "cpu").estimate(strip)
    output = estimator.estimate(strip).output
    assert output.shape == (100, 2000)
    assert output.isfinite().all()


@pytest.mark.parametrize("input_size", [0, -14])
def test_impossible_input_sizes_are_refused_before_any_work(input_size):
    with pytest.raises(InputError, match=f"input_size is {input_size}; it must be from 14 to 4096 pixels"):
        MonoDepthEstimator("nowhere.pth", "cpu", input_size=input_size)


def test_unknown_precisions_and_devices_are_refused_before_any_work():
    with pytest.raises(InputError, match='precision is "bfloat16"; it must be one of: auto, float32, float16'):
        MonoDepthEstimator("nowhere.pth", "cpu", precision="bfloat16")
    with pytest.raises(InputError, match='precision is "half"; it must be one of: auto, float32, float16'):
        MonoDepthEstimator("nowhere.pth", "cpu", precision="half")
    with pytest.raises(InputError, match='device is "gpu"; it must be auto, cpu, mps, cuda or cuda:N'):
        MonoDepthEstimator("nowhere.pth", "gpu")


@pytest.mark.parametrize("max_depth_m", [0, -20.0, NAN, INF])
def test_impossible_ranges_are_refused(vits_file, max_depth_m):
    with pytest.raises(InputError, match="max_depth_m is .*; it must be a positive number of metres"):
        MonoDepthEstimator(vits_file, "cpu", max_depth_m=max_depth_m)


def test_weights_that_are_not_there_are_named(tmp_path):
    with pytest.raises(WeightsError, match=r"nowhere\.pth' does not exist"):
        MonoDepthEstimator(tmp_path / "nowhere.pth")
    with pytest.raises(WeightsError, match="did you mean depth-anything-v2-small"):
        MonoDepthEstimator("depth-anything-v2-smal")
