# SPDX-License-Identifier: Apache-2.0
"""What all results share: they own their data, print in one line and can be compared; what is not finite is no depth."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from vizion3d.lifting import DepthEstimationCommand
from vizion3d.lifting.api import DepthEstimationResult, relative_cloud_depth
from vizion3d.lifting.models import DepthKind
from vizion3d.lifting.prediction import MonoPrediction
from vizion3d.options import ValidityLimits
from vizion3d.pointcloud import PointCloud
from vizion3d.stereo import StereoDepth, StereoDepthAdvancedConfig, StereoDepthCommand, StereoDepthEstimator


@pytest.fixture(scope="module")
def prediction(frame, rig):
    return StereoDepthEstimator("sgbm").estimate(frame.left, frame.right, rig)


@pytest.fixture(scope="module")
def records(frame, rig, prediction) -> list:
    command = StereoDepthCommand(
        frame.left, frame.right, "sgbm", return_point_cloud=True, advanced_config=StereoDepthAdvancedConfig.from_rig(rig)
    )
    result = StereoDepth().run(command)
    mono = MonoPrediction(torch.rand(48, 64), DepthKind.INVERSE)
    mono_result = DepthEstimationResult(
        mono.output.numpy(), "weights", None, DepthEstimationCommand("room.png"), kind=DepthKind.INVERSE
    )
    return [prediction, result, result.cloud, mono, mono_result, frame]


def test_results_print_in_one_line(records):
    for record in records:
        assert "\n" not in repr(record)
        assert len(repr(record)) < 700
        assert repr(record).startswith(type(record).__name__)
    assert "disparity_px=<480 x 640 float32>" in repr(records[0])
    assert repr(records[2]) == "PointCloud(points=<480 x 640 x 3 float32>, colors=<480 x 640 x 3 uint8>)"


def test_commands_print_in_one_line(frame):
    for image in (frame.left, b"\x89PNG" * 1000, "left.png"):
        for command in (StereoDepthCommand(image, image), DepthEstimationCommand(image)):
            assert "\n" not in repr(command) and len(repr(command)) < 1500
    assert "left_image='left.png'" in repr(StereoDepthCommand("left.png", "right.png"))
    assert StereoDepthCommand("left.png", "right.png") == StereoDepthCommand("left.png", "right.png")


def test_results_can_be_compared_and_kept_in_sets(records):
    for record in records:
        assert record == record
        assert record != copy.copy(record)
        assert record in {record}


def test_results_own_their_data(frame, rig, prediction):
    left = frame.left.copy()
    config = StereoDepthAdvancedConfig.from_rig(rig)
    result = StereoDepth().run(StereoDepthCommand(left, frame.right, "sgbm", return_point_cloud=True, advanced_config=config))
    clouds = [result.cloud, prediction.point_cloud(left, ValidityLimits())]
    clouds.append(MonoPrediction(torch.rand(480, 640), DepthKind.INVERSE).point_cloud(left, np.zeros((480, 640, 2))))
    for cloud in clouds:
        assert not np.shares_memory(cloud.colors, left)
    left[:] = 0
    assert all((cloud.colors == frame.left).all() for cloud in clouds)


def test_tensors_of_a_prediction_are_ordinary_ones(prediction):
    for tensor in (prediction.disparity_px, prediction.confidence, prediction.visibility, prediction.depth_m):
        assert not tensor.is_inference()
        assert not tensor.requires_grad


# --- one policy for what is not finite ---

WRONG = [float("nan"), float("inf"), float("-inf")]


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("kind", list(DepthKind))
def test_a_wrong_pixel_costs_that_pixel_alone(kind, wrong):
    right = torch.linspace(1, 5, 48 * 64).reshape(48, 64)
    spoilt = right.clone()
    spoilt[10, 20] = wrong
    for name in ("depth_m", "inverse_depth"):
        expected, found = (getattr(MonoPrediction(values, kind), name) for values in (right, spoilt))
        assert found[10, 20].isnan() and torch.isfinite(found).sum() == right.numel() - 1
        expected[10, 20] = torch.nan
        torch.testing.assert_close(found, expected, equal_nan=True, rtol=0, atol=0)


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("kind", DepthKind)
def test_the_page_shows_what_is_right_about_a_map_with_a_wrong_pixel(wrong, kind):
    right = np.linspace(1, 5, 48 * 64, dtype=np.float32).reshape(48, 64)
    spoilt = right.copy()
    spoilt[10, 20] = wrong
    command = DepthEstimationCommand("room.png")
    expected, found = (DepthEstimationResult(depth, "w", None, command, kind=kind) for depth in (right, spoilt))
    assert (found.min_depth, found.max_depth) == (expected.min_depth, expected.max_depth) == (1, 5)
    picture = expected.depth_image_array.copy()
    picture[10, 20] = 0
    np.testing.assert_array_equal(found.depth_image_array, picture)
    cloud = relative_cloud_depth(right)
    cloud[10, 20] = np.nan
    np.testing.assert_array_equal(relative_cloud_depth(spoilt), cloud)


@pytest.mark.parametrize("wrong", WRONG)
def test_maps_without_a_finite_pixel_are_empty(wrong):
    nothing = np.full((4, 6), wrong, np.float32)
    result = DepthEstimationResult(nothing, "w", None, DepthEstimationCommand("room.png"), kind=DepthKind.INVERSE)
    assert np.isnan((result.min_depth, result.max_depth)).all()
    assert not result.depth_image_array.any()
    assert np.isnan(relative_cloud_depth(nothing)).all()
    assert not len(PointCloud(np.full((4, 6, 3), wrong, np.float32), np.zeros((4, 6, 3), np.uint8)).dense().points)
