# SPDX-License-Identifier: Apache-2.0
import dataclasses
import inspect
import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_matcher import PlainMatcher

from vizion3d.camera import PinholeCamera, StereoRig
from vizion3d.errors import (
    CalibrationError,
    DependencyError,
    InputError,
    MissingImageError,
    Vizion3dError,
    WeightsError,
)
from vizion3d.evaluate import Errors
from vizion3d.images import ImageInput
from vizion3d.options import S2M2Options, SgbmOptions, StereoOptions, ValidityLimits
from vizion3d.stereo import (
    StereoDepth,
    StereoDepthAdvancedConfig,
    StereoDepthCommand,
    StereoDepthEstimator,
    StereoDepthResult,
    StereoPrediction,
)
from vizion3d.stereo import api as stereo_api
from vizion3d.stereo.matchers import Matches
from vizion3d.stereo.pair_check import PairCheck
from vizion3d.synthetic import StereoFrame, default_scene, render_stereo

ROOT = Path(__file__).parents[2]
RIG = StereoRig(PinholeCamera(160, 120, 131.0, 131.0, 78.0, 61.0), 0.12, doffs_px=-1.5)
CONFIG = StereoDepthAdvancedConfig.from_rig(RIG)


def config(**numbers: float) -> StereoDepthAdvancedConfig:
    """CONFIG with other limits."""
    return dataclasses.replace(CONFIG, **numbers)


@pytest.fixture(scope="module")
def small() -> StereoFrame:
    return render_stereo(default_scene(), RIG)


@pytest.fixture(scope="module")
def result(small) -> StereoDepthResult:
    return run(small, return_point_cloud=True)


def run(frame: StereoFrame, advanced_config: StereoDepthAdvancedConfig = CONFIG, **options) -> StereoDepthResult:
    return match(frame.left, frame.right, advanced_config=advanced_config, **options)


def match(left: ImageInput, right: ImageInput, model_backend: str = "sgbm", **options) -> StereoDepthResult:
    return StereoDepth().run(StereoDepthCommand(left, right, model_backend, **options))


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def result_of_depth(depth: np.ndarray) -> StereoDepthResult:
    nothing = np.zeros_like(depth)
    command = StereoDepthCommand("left.png", "right.png")
    return StereoDepthResult(
        disparity=nothing,
        depth=depth,
        confidence=nothing,
        occlusion=nothing,
        valid=nothing > 0,
        reason=nothing.astype(np.uint8),
        make_check=lambda: PairCheck(()),
        backend_used="sgbm",
        cloud=None,
        command=command,
    )


# --- command and configuration ---


def test_command_has_the_agreed_fields_and_defaults():
    assert [field.name for field in dataclasses.fields(StereoDepthCommand)] == [
        "left_image",
        "right_image",
        "model_backend",
        "return_depth_image",
        "return_raw_depth",
        "return_point_cloud",
        "advanced_config",
        "shown",  # ours, after the page's
    ]
    command = StereoDepthCommand("left.png", "right.png")
    assert command.model_backend == "s2m2-s"
    assert (command.return_depth_image, command.return_raw_depth, command.return_point_cloud) == (True, True, False)
    assert command.advanced_config == StereoDepthAdvancedConfig()


def test_configuration_has_the_agreed_fields_and_defaults():
    defaults = dataclasses.asdict(StereoDepthAdvancedConfig())
    assert [(name, defaults[name]) for name in list(inspect.signature(StereoDepthAdvancedConfig).parameters)[:9]] == [
        ("focal_length", 1000.0),
        ("cx", 640.0),
        ("cy", 360.0),
        ("baseline", 100.0),
        ("doffs", 0.0),
        ("z_far", 50.0),
        ("conf_threshold", 0.1),
        ("occ_threshold", 0.5),
        ("scale_factor", None),
    ]
    # The filter is off, so that the cloud is the page's.
    expected = dataclasses.asdict(StereoOptions()) | {"cloud_edge_filter": False, "scale_factor": None}
    assert {name: defaults[name] for name in expected} == expected


def test_numbers_may_be_given_as_text():
    read = StereoDepthAdvancedConfig(focal_length="615.5", cx=320, baseline=np.float32(75), scale_factor="0.5")
    assert (read.focal_length, read.cx, read.baseline, read.scale_factor) == (615.5, 320.0, 75.0, 0.5)
    assert all(type(getattr(read, name)) is float for name in ("focal_length", "cx", "baseline", "scale_factor", "z_far"))


def test_baseline_is_in_millimetres():
    rig = StereoDepthAdvancedConfig(focal_length=1500, cx=199, cy=187, baseline=80, doffs=52).rig(450, 375)
    assert rig == StereoRig(PinholeCamera(450, 375, 1500, 1500, 199, 187), baseline_m=0.08, doffs_px=52)


@pytest.mark.parametrize("fy", [131.0, 140.0])
def test_a_rig_goes_to_a_configuration_and_back(fy):
    known = dataclasses.replace(RIG, left=dataclasses.replace(RIG.left, fy=fy))
    rig = StereoDepthAdvancedConfig.from_rig(known).rig(160, 120)
    assert rig.left == known.left
    assert rig.baseline_m == pytest.approx(RIG.baseline_m)
    assert rig.doffs_px == RIG.doffs_px


def test_points_use_the_vertical_focal_length_of_the_rig(small):
    result = run(small, config(focal_length_y="140"), return_point_cloud=True)
    y, z = result.cloud.points[30, 40, 1], -result.cloud.points[30, 40, 2]
    assert np.isfinite(z) and y == pytest.approx((61.0 - 30) / 140 * z, rel=1e-5)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"focal_length": 0}, r"focal_length is 0\.0; it must be positive"),
        ({"focal_length": -1}, r"focal_length is -1\.0; it must be positive"),
        ({"focal_length": "wide"}, "focal_length is 'wide'; it must be a number"),
        ({"focal_length": 10**400}, "focal_length is 1.*; it must be"),
        ({"cx": None}, "cx is None; it must be a number"),
        ({"cy": float("nan")}, "cy is nan; it must be finite"),
        ({"baseline": -100}, r"baseline is -100\.0; it must be positive"),
        ({"doffs": "inf"}, "doffs is inf; it must be finite"),
        ({"z_far": 0}, r"z_far is 0\.0; it must be from 0\.001 to 100000 metres"),
        ({"conf_threshold": 1.1}, r"conf_threshold is 1\.1; it must be from 0 to 1"),
        ({"occ_threshold": -0.1}, r"occ_threshold is -0\.1; it must be from 0 to 1"),
        ({"scale_factor": -1}, r"scale_factor is -1\.0; it must be from 0 to 8"),
        ({"scale_factor": [1]}, r"scale_factor is \[1\]; it must be a number"),
        ({"cloud_edge_filter": "off"}, "cloud_edge_filter is 'off'; it must be true or false"),
        ({"precision": "half"}, 'precision is "half"; it must be one of: auto, float32, float16'),
    ],
)
def test_impossible_numbers_are_refused(numbers, message):
    with pytest.raises(InputError, match=message):
        StereoDepthAdvancedConfig(**numbers)


# --- what a result holds ---


def test_depth_follows_from_disparity(result):
    d = result.disparity.astype(np.float64)
    with np.errstate(all="ignore"):
        mm = CONFIG.baseline * CONFIG.focal_length / (d + CONFIG.doffs)
        depth = np.where((d > 0) & np.isfinite(mm) & (mm > 0), mm / 1000, 0)
    assert 0 < (depth == 0).sum() < depth.size / 2
    np.testing.assert_allclose(result.depth, depth, rtol=1e-6)
    np.testing.assert_array_equal(result.depth == 0, depth == 0)


def test_an_assumed_rig_is_told_once(small, caplog):
    stereo_api._tell_assumed_rig.cache_clear()
    for _ in range(2):
        match(small.left, small.right)
        match(small.left, small.right, advanced_config=CONFIG)
    (record,) = caplog.records
    assert "a focal length of 1000 px and a baseline of 100 mm are assumed" in record.getMessage()


def test_depth_is_that_of_the_scene(result, small):
    scores = Errors.of_depth(result.depth, small.depth_m).scores(small.visible)
    assert scores.density > 0.9
    assert scores.median_rel < 0.05
    assert scores.too_far < 0.05 and scores.too_near < 0.01


def test_maps_have_the_size_of_the_pictures_and_one_type(result):
    for name in ("disparity", "depth", "confidence", "occlusion"):
        assert getattr(result, name).shape == (120, 160)
        assert getattr(result, name).dtype == np.float32
    assert result.valid.dtype == bool
    assert result.backend_used == "sgbm"
    assert result.point_cloud_scale == 1.0


def test_the_cloud_is_the_valid_part_of_the_depth(result, small):
    keep = (result.depth > 0) & (result.depth < CONFIG.z_far)
    keep &= (result.confidence >= CONFIG.conf_threshold) & (result.occlusion >= CONFIG.occ_threshold)
    assert 0.5 < keep.mean() < 1
    np.testing.assert_array_equal(result.valid, keep)

    v, u = np.nonzero(keep)  # row by row
    z = result.depth[keep]
    points = np.stack([(u - CONFIG.cx) * z / CONFIG.focal_length, -(v - CONFIG.cy) * z / CONFIG.focal_length, -z], axis=-1)
    dense = result.cloud.dense()
    np.testing.assert_allclose(dense.points, points, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(dense.points[:, 2], -z)
    np.testing.assert_array_equal(dense.colors, small.left[keep])
    assert result.cloud.points.shape == (120, 160, 3)
    assert np.isnan(result.cloud.points[~keep]).all()


def test_limits_act_on_the_cloud_only(result, small):
    strict = run(small, config(z_far=3, conf_threshold=0.9, occ_threshold=1), return_point_cloud=True)
    for name in ("disparity", "depth", "confidence", "occlusion"):
        np.testing.assert_array_equal(getattr(strict, name), getattr(result, name))
    assert (strict.min_depth, strict.max_depth) == (result.min_depth, result.max_depth)
    assert strict.max_depth > 3
    expected = (result.depth > 0) & (result.depth < 3) & (result.confidence >= np.float32(0.9)) & (result.occlusion >= 1)
    assert 0 < expected.sum() < result.valid.sum()
    np.testing.assert_array_equal(strict.valid, expected)
    assert len(strict.cloud.dense().points) == expected.sum()


def test_z_far_is_not_part_of_its_range():
    prediction = StereoPrediction(
        disparity_px=torch.tensor([[2.0, 1.0, 0.5]]),
        confidence=torch.tensor([[0.25, 0.25, 0.25]]),
        visibility=torch.tensor([[0.5, 0.5, 0.5]]),
        rig=StereoRig(PinholeCamera(3, 1, 10, 10, 1, 0), 0.1),
        max_disparity_px=16,
        disparity_step_px=1,
    )
    assert prediction.depth_m.tolist() == [[0.5, 1.0, 2.0]]
    assert prediction.valid(ValidityLimits(1.0, 0.25, 0.5)).tolist() == [[True, False, False]]
    assert prediction.valid(ValidityLimits(3.0, 0.25, 0.5)).tolist() == [[True, True, True]]
    assert not prediction.valid(ValidityLimits(3.0, 0.26, 0.5)).any()
    assert not prediction.valid(ValidityLimits(3.0, 0.25, 0.51)).any()


def test_lists_are_the_arrays_and_are_made_when_read(small):
    result = run(small)
    assert not {"depth_map", "disparity_map", "depth_image_array"} & vars(result).keys()
    assert isinstance(result.depth_map[0][0], float)
    np.testing.assert_array_equal(np.array(result.depth_map, np.float32), result.depth)
    np.testing.assert_array_equal(np.array(result.disparity_map, np.float32), result.disparity)
    assert result.depth_map is result.depth_map


def test_raw_depth_is_a_copy_and_optional(small):
    result = run(small)
    raw = result.raw_depth
    np.testing.assert_array_equal(raw, result.depth)
    raw[:] = -1
    assert result.depth.min() >= 0
    assert run(small, return_raw_depth=False).raw_depth is None


def test_what_was_not_asked_for_is_none(small):
    result = run(small, return_depth_image=False)
    assert result.depth_image is None
    assert result.cloud is None
    assert result.point_cloud is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([0.0]) | st.floats(0.125, 5e4, width=32), min_size=1, max_size=12))
def test_range_is_that_of_positive_depths(depths):
    result = result_of_depth(np.array([depths], np.float32))
    positive = [d for d in depths if d > 0]
    assert result.min_depth == (min(positive) if positive else 0)
    assert result.max_depth == (max(positive) if positive else 0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([0.0]) | st.floats(0.125, 5e4, width=32), min_size=1, max_size=12))
def test_depth_picture_is_bright_where_it_is_near(depths):
    picture = result_of_depth(np.array([depths], np.float32)).depth_image_array
    positive = [d for d in depths if d > 0]
    near, far = (min(positive), max(positive)) if positive else (0, 0)
    expected = [int(65535 * (1 - (d - near) / (far - near))) if d > 0 and far > near else 0 for d in depths]
    assert picture.dtype == np.uint16
    assert picture.tolist() == [expected]


def test_depth_picture_keeps_its_levels_with_a_few_far_outliers():
    depth = np.linspace(1, 5, 48 * 64, dtype=np.float32).reshape(48, 64)
    expected = result_of_depth(depth).depth_image_array
    spoilt = depth.copy()
    spoilt[::7, ::60] = 800.0
    picture = result_of_depth(spoilt).depth_image_array
    assert len(np.unique(picture)) > 2900
    usual = spoilt == depth
    assert np.abs(picture.astype(int) - expected)[usual].max() < 0.02 * 65535
    assert not picture[~usual].any()


def test_depth_picture_of_known_depths():
    picture = result_of_depth(np.array([[1.0, 2.0, 3.0, 0.0]], np.float32)).depth_image_array
    assert picture.tolist() == [[65535, 32767, 0, 0]]
    assert not result_of_depth(np.full((2, 2), 3.0, np.float32)).depth_image_array.any()


# --- pictures in any form ---


def test_every_form_of_picture_gives_the_same_result(small, result, tmp_path):
    left, right = png(small.left), png(small.right)
    (tmp_path / "left.png").write_bytes(left)
    (tmp_path / "right.png").write_bytes(right)
    for pair in (
        (tmp_path / "left.png", str(tmp_path / "right.png")),
        (left, bytearray(right)),
        (PIL.Image.fromarray(small.left), PIL.Image.fromarray(small.right)),
    ):
        other = match(*pair, advanced_config=CONFIG)
        np.testing.assert_array_equal(other.disparity, result.disparity)
        np.testing.assert_array_equal(other.depth, result.depth)


def test_the_callers_pictures_are_not_written_to(small):
    left, right = small.left.copy(), small.right.copy()
    run(small, config(scale_factor=0.5), return_point_cloud=True)
    np.testing.assert_array_equal(small.left, left)
    np.testing.assert_array_equal(small.right, right)


def test_read_only_pictures_are_fine():
    # In a process of its own, because torch warns only once in each.
    script = (
        "import warnings, numpy as np; warnings.simplefilter('error')\n"
        "from vizion3d.stereo import StereoDepth, StereoDepthCommand\n"
        "image = np.frombuffer(bytes(20 * 30 * 3), np.uint8).reshape(20, 30, 3)\n"
        "assert StereoDepth().run(StereoDepthCommand(image, image, 'sgbm')).depth.shape == (20, 30)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, timeout=60)


# --- what some matchers cannot tell, and options ---


def test_a_matcher_without_certainty_is_told_and_masked_by_depth_alone(small, caplog):
    estimator = StereoDepthEstimator(PlainMatcher())
    prediction = estimator.estimate(small.left, small.right, RIG)
    assert prediction.confidence is None and prediction.visibility is None
    assert prediction.valid(ValidityLimits(z_far=5, conf_threshold=1, occ_threshold=1)).all()
    assert not prediction.valid(ValidityLimits(z_far=2)).any()
    estimator.tell_without_effect(StereoOptions())
    estimator.tell_without_effect(StereoOptions())
    assert sorted(caplog.messages) == [
        "plain gives no confidence: conf_threshold has no effect",
        "plain gives no visibility: occ_threshold has no effect",
    ]


@pytest.mark.parametrize(("scale_factor", "asked"), [(None, 64 - 1 + 32), (0.5, 32 + 32)])
def test_the_search_range_is_in_pixels_of_the_given_images(small, scale_factor, asked):
    # At full size the doffs of -1.5 px moves the right image by a whole pixel. 32 px are what is searched but not promised.
    matcher = PlainMatcher()
    StereoDepthEstimator(matcher).estimate(small.left, small.right, RIG, scale_factor=scale_factor, max_disparity_px=64)
    assert matcher.searched == asked


def test_options_of_a_model_that_is_not_running_are_told_once(small, caplog):
    other = config(s2m2=S2M2Options(positivity=False))
    for _ in range(2):
        run(small, other)
    assert caplog.messages == [
        "s2m2.positivity is False without effect: sgbm is running, whose own options are sgbm.max_disparity"
    ]


def test_the_search_range_of_sgbm_reaches_the_api(frame):
    near, far = (run(frame, config(sgbm=SgbmOptions(max_disparity=reach))) for reach in (16, 48))
    assert near.disparity[near.valid].max() <= 16 < far.disparity[far.valid].max() <= 48


def test_the_edge_filter_only_takes_points_away(small):
    plain, filtered = (
        run(small, config(cloud_edge_filter=on), return_point_cloud=True).cloud.points[..., 2] for on in (False, True)
    )
    kept = np.isfinite(filtered)
    np.testing.assert_array_equal(filtered[kept], plain[kept])
    assert 0 < np.isfinite(plain).sum() - kept.sum() < 0.2 * kept.sum()


# --- matching at another size ---


class ExactMatcher(PlainMatcher):
    """Finds one known disparity everywhere, in whatever size the images are brought to."""

    name = architecture = "exact"
    has_confidence = has_visibility = True
    max_size = (960, 540)
    min_side = 32
    searched_part_of_width = None  # always an eighth of the width, and what is beyond what counts

    def __init__(self, full_width: int, disparity_px: float) -> None:
        self._part_of_width = disparity_px / full_width

    def match(self, left: torch.Tensor, right: torch.Tensor, max_disparity: float | None = None) -> Matches:
        assert left.shape == right.shape
        height, width = left.shape[-2:]
        disparity = torch.full((1, 1, height, width), self._part_of_width * width)
        ones = torch.ones_like(disparity)
        return Matches(disparity, ones, ones, max_disparity=width / 8 + 32, step=0.0625)


@pytest.mark.parametrize(
    ("width", "height", "scale_factor"),
    [(1280, 960, None), (1440, 1080, None), (1920, 1080, None), (96, 96, 0.5), (640, 480, 2)],
)
def test_disparities_are_divided_by_the_true_factor(width, height, scale_factor):
    rig = StereoRig(PinholeCamera(width, height, 700, 700, width / 2, height / 2), 0.1)
    estimator = StereoDepthEstimator(ExactMatcher(width, disparity_px=35.0))
    image = np.zeros((height, width, 3), np.uint8)
    prediction = estimator.estimate(image, image, rig, scale_factor=scale_factor)
    assert prediction.depth_m.shape == prediction.confidence.shape == (height, width)
    torch.testing.assert_close(prediction.depth_m, torch.full((height, width), 2.0), rtol=1e-5, atol=0)
    assert prediction.max_disparity_px == pytest.approx(width / 8)
    assert prediction.confidence.min() == 1


@pytest.mark.parametrize("scale_factor", [0.5, 0.7, 1.3])
def test_depth_hardly_depends_on_the_scale(frame, rig, scale_factor):
    prediction = StereoDepthEstimator("sgbm").estimate(frame.left, frame.right, rig, scale_factor=scale_factor)
    measured = prediction.valid(ValidityLimits()).numpy() & frame.visible
    assert measured.mean() > 0.85
    ratio = prediction.depth_m.numpy()[measured] / frame.depth_m[measured]
    assert np.median(ratio) == pytest.approx(1, abs=0.015)


# --- images of more than 8 bits ---


def test_deep_pictures_give_the_depth_of_their_8_bits(small, result):
    deep = [image.astype(np.uint16) << 4 for image in (small.left, small.right)]
    for advanced_config in (CONFIG, config(image_bits=12), config(image_range=(0, 4095))):
        np.testing.assert_array_equal(match(*deep, advanced_config=advanced_config).depth, result.depth)


def test_both_pictures_are_brought_to_8_bits_alike(small):
    left, right = small.left.astype(np.uint16) << 2, small.right.astype(np.uint16) << 4
    found = match(left, right)
    np.testing.assert_array_equal(found.depth, match(small.left >> 2, small.right).depth)


# --- mistakes ---


@pytest.mark.parametrize("scale_factor", [None, 0.5])
def test_pictures_of_different_size_are_refused(small, scale_factor):
    with pytest.raises(
        InputError, match="the left image is 160x120 but the right one is 159x120; a rectified pair has one size"
    ):
        match(small.left, small.right[:, :-1], advanced_config=config(scale_factor=scale_factor))


def test_pictures_that_are_too_small_are_refused(small):
    with pytest.raises(InputError, match=r"the images are 160x9 .* needs at least 10 pixels"):
        match(small.left[:9], small.right[:9])
    with pytest.raises(InputError, match="the images are 160x120 and would be matched at 6x5"):
        run(small, config(scale_factor=0.04))


def test_missing_and_broken_pictures_are_refused_by_name(small, tmp_path):
    with pytest.raises(MissingImageError, match=r"left_image: there is no file nowhere.png"):
        match("nowhere.png", small.right)
    with pytest.raises(MissingImageError, match=r"right_image: there is no file nowhere.png"):
        match(small.left, Path("nowhere.png"))
    with pytest.raises(InputError, match="right_image: 13 bytes cannot be decoded as a picture"):
        match(small.left, b"not a picture")
    for wrong in (None, 7):
        with pytest.raises(InputError, match=f"left_image is a {type(wrong).__name__}; a path"):
            match(wrong, small.right)


@pytest.mark.parametrize("model", ["CH256NTR3.pth", Path("nowhere.pth"), "s2m2-X", ""])
def test_unknown_models_are_refused_by_name(small, model):
    with pytest.raises(WeightsError, match=f"'{model}'"):
        run(small, model_backend=model)


@pytest.mark.parametrize("model", [None, 3, ["sgbm"]])
def test_things_that_are_no_models_are_refused(small, model):
    with pytest.raises(InputError, match=f"model_backend is {re.escape(repr(model))}"):
        run(small, model_backend=model)


def test_a_bad_picture_is_told_before_weights_are_fetched(small, tmp_path, monkeypatch):
    monkeypatch.setenv("VIZION3D_MODEL_CACHE", str(tmp_path))
    monkeypatch.setenv("VIZION3D_OFFLINE", "1")
    with pytest.raises(MissingImageError):
        match("nowhere.png", small.right, "s2m2-s")
    with pytest.raises(WeightsError, match="s2m2-s"):
        match(small.left, small.right, "s2m2-s")


def test_other_commands_are_refused():
    for wrong in (None, "left.png", StereoDepthAdvancedConfig()):
        with pytest.raises(ValueError, match=f"No handler registered for command {type(wrong).__name__}"):
            StereoDepth().run(wrong)
    with pytest.raises(Vizion3dError):
        StereoDepth().run(None)


@pytest.mark.parametrize("wrong", [None, {"focal_length": 500}])
def test_other_configurations_are_refused(small, wrong):
    with pytest.raises(InputError, match=r"advanced_config is .*; a StereoDepthAdvancedConfig is needed"):
        run(small, wrong)


def test_the_estimator_wants_the_rig_of_its_pictures(small):
    estimator = StereoDepthEstimator("sgbm")
    with pytest.raises(InputError, match="the images are 160x120 but the rig is for 80x60; give image_size"):
        estimator.estimate(small.left, small.right, RIG.scaled(0.5, 0.5))
    with pytest.raises(InputError, match=r"the right image is \(120, 160\) uint8; \(H, W, 3\) uint8 RGB is needed"):
        estimator.estimate(small.left, small.right[..., 0], RIG)
    with pytest.raises(InputError, match=r"the left image is \(120, 160, 3\) float32"):
        estimator.estimate(small.left.astype(np.float32), small.right, RIG)
    with pytest.raises(InputError, match="scale_factor is 0; it must be a positive number"):
        estimator.estimate(small.left, small.right, RIG, scale_factor=0)
    with pytest.raises(InputError, match='sgbm runs on the CPU; device is "cuda"'):
        StereoDepthEstimator("sgbm", "cuda")


def test_impossible_rigs_are_refused_before_they_are_configurations():
    with pytest.raises(CalibrationError, match="swapped"):
        StereoDepthAdvancedConfig.from_rig(StereoRig(RIG.left, -0.1))


# --- Open3D ---


def test_open3d_objects_are_the_arrays(result):
    pytest.importorskip("open3d", reason="Open3D is not installed")
    dense = result.cloud.dense()
    np.testing.assert_array_equal(np.asarray(result.point_cloud.points), dense.points.astype(np.float64))
    np.testing.assert_array_equal(np.asarray(result.point_cloud.colors), dense.colors / 255)
    np.testing.assert_array_equal(np.asarray(result.depth_image), result.depth_image_array)


def test_nothing_seen_gives_an_empty_cloud_not_none():
    flat = np.full((40, 60, 3), 90, np.uint8)
    result = match(flat, flat, return_point_cloud=True)
    assert (result.min_depth, result.max_depth) == (0, 0)
    assert not result.depth_image_array.any()
    assert not result.valid.any()
    assert len(result.cloud.dense().points) == 0


def test_everything_but_open3d_objects_works_without_open3d(tmp_path):
    script = (
        "import sys; sys.modules['open3d'] = None\n"
        "import vizion3d; assert 'torch' not in sys.modules\n"
        "import numpy as np\n"
        "from vizion3d.errors import DependencyError\n"
        "from vizion3d.stereo import StereoDepth, StereoDepthCommand\n"
        "wide = np.random.default_rng(0).integers(0, 256, (30, 70, 3), dtype=np.uint8)\n"
        "command = StereoDepthCommand(wide[:, :60], wide[:, 10:], 'sgbm', return_point_cloud=True)\n"
        "result = StereoDepth().run(command)\n"
        "assert result.depth_image_array.shape == (30, 60) and result.raw_depth.max() > 0\n"
        "result.cloud.write_ply(sys.argv[1])\n"
        "for name in ('depth_image', 'point_cloud'):\n"
        "    try: getattr(result, name)\n"
        "    except DependencyError as error: assert 'pip install' in str(error)\n"
        "    else: raise AssertionError(name)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "c.ply")], check=True, cwd=ROOT, timeout=60)
    assert (tmp_path / "c.ply").stat().st_size > 1000


def test_open3d_is_asked_for_only_when_its_objects_are_read(result, monkeypatch):
    monkeypatch.setitem(sys.modules, "open3d", None)
    fresh = dataclasses.replace(result)
    with pytest.raises(DependencyError, match="Open3D is needed for a point cloud object"):
        _ = fresh.point_cloud
    with pytest.raises(DependencyError, match="Open3D is needed for a depth image object"):
        _ = fresh.depth_image
