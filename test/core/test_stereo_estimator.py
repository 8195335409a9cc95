# SPDX-License-Identifier: Apache-2.0
"""The road through the estimator, with a network that knows the truth: no resize or padding may move the depth."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vizion3d import runtime
from vizion3d.camera import PinholeCamera, StereoRig
from vizion3d.errors import InputError, WeightsError
from vizion3d.stereo import StereoDepth, StereoDepthCommand, StereoDepthEstimator
from vizion3d.stereo.matchers.s2m2 import S2M2Matcher
from vizion3d.stereo.widening import Widening


class Oracle(torch.nn.Module):
    """Returns the true disparity of a plane at the size, and in the padded frame, in which the network sees the pair."""

    def __init__(self, rig: StereoRig, work_size: tuple[int, int]) -> None:
        super().__init__()
        self.rig, self.work_size = rig, work_size
        self.seen: tuple[int, int] = (0, 0)

    def forward(self, left, right):
        assert left.shape == right.shape and left.shape[-1] % 32 == left.shape[-2] % 32 == 0
        height, width = left.shape[-2:]
        self.seen = (width, height)
        work_width, work_height = self.work_size
        sx, sy = work_width / self.rig.left.width, work_height / self.rig.left.height
        shift_px = Widening.for_doffs(self.rig.doffs_px * sx, work_width).shift_px
        first_column = (width - work_width - shift_px) // 2 + shift_px
        u = (torch.arange(width) - first_column + 0.5) / sx - 0.5
        v = (torch.arange(height) - (height - work_height) // 2 + 0.5) / sy - 0.5
        disparity = (sx * true_disparity(self.rig, u[None, :], v[:, None]) + shift_px)[None, None].float()
        return disparity, torch.ones_like(disparity), torch.ones_like(disparity)


def true_disparity(rig: StereoRig, u, v):
    """Of a slanted plane."""
    width, height = rig.left.width, rig.left.height
    return width / 20 * (1 + 0.1 * u / width + 0.2 * v / height)


def matched_size(width: int, height: int) -> tuple[int, int]:
    """Reduced to fit 960x540, or left alone."""
    factor = min(1.0, 960 / width, 540 / height)
    return round(width * factor), round(height * factor)


SIZES = [
    (64, 48),
    (65, 49),
    (333, 251),
    (640, 480),
    (752, 480),
    (1241, 376),
    (960, 540),
    (961, 540),
    (1280, 960),
    (1440, 1080),
    (1920, 1080),
]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "{}x{}".format(*size))
def test_depth_is_exact_after_any_resize_and_padding(size):
    width, height = size
    rig = StereoRig(PinholeCamera(width, height, 0.8 * width, 0.8 * width, width / 2, height / 2), 0.1, doffs_px=2.0)
    oracle = Oracle(rig, matched_size(width, height))
    image = np.zeros((height, width, 3), np.uint8)
    estimator = StereoDepthEstimator(S2M2Matcher(runtime.load(oracle, "cpu"), "oracle"))
    depth_m = estimator.estimate(image, image, rig).depth_m.numpy()
    u, v = np.arange(width)[None, :], np.arange(height)[:, None]
    truth = rig.left.fx * rig.baseline_m / (true_disparity(rig, u, v) + rig.doffs_px)
    assert np.abs(depth_m / truth - 1).max() < 1e-3
    assert oracle.seen[0] <= max(width + 31, 960) + 32 and all(
        seen <= side + 63 for seen, side in zip(oracle.seen, size, strict=True)
    )


@pytest.mark.parametrize("size", [(31, 100), (100, 31), (4000, 10)])
def test_too_small_pairs_are_refused(size):
    width, height = size
    rig = StereoRig(PinholeCamera(width, height, 100.0, 100.0, 0.0, 0.0), 0.1)
    image = np.zeros((height, width, 3), np.uint8)
    estimator = StereoDepthEstimator(S2M2Matcher(runtime.load(torch.nn.Identity(), "cpu"), "oracle"))
    with pytest.raises(InputError, match=r"smaller than 32 pixels|needs at least 32 pixels"):
        estimator.estimate(image, image, rig)


def test_the_easy_door_is_the_exact_door(s2m2_file):
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, 255, (2, 70, 90, 3), dtype=np.uint8)
    command = StereoDepthCommand(left, right, model_backend=s2m2_file)
    result = StereoDepth().run(command)
    expected = StereoDepthEstimator(s2m2_file).estimate(left, right, command.advanced_config.rig(90, 70))
    np.testing.assert_array_equal(result.disparity, expected.disparity_px)
    np.testing.assert_array_equal(result.occlusion, expected.visibility)
    assert result.backend_used == str(s2m2_file)


def test_float16_stays_close_and_bfloat16_is_refused(s2m2_file):
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, 255, (2, 64, 96, 3), dtype=np.uint8)
    rig = StereoRig(PinholeCamera(96, 64, 100.0, 100.0, 48.0, 32.0), 0.1)
    exact, half = (
        StereoDepthEstimator(s2m2_file, "cpu", precision=p).estimate(left, right, rig).disparity_px
        for p in ("float32", "float16")
    )
    assert half.dtype == torch.float32
    assert (exact - half).abs().median() < 0.1
    with pytest.raises(InputError, match='precision is "bfloat16"; it must be one of: auto, float32, float16'):
        StereoDepthEstimator(s2m2_file, precision="bfloat16")


def test_unknown_and_foreign_weights_are_refused():
    with pytest.raises(WeightsError, match="no weights are named 's2m2-xs'; did you mean s2m2-s"):
        StereoDepthEstimator("s2m2-xs")
    with pytest.raises(InputError, match='sgbm runs on the CPU; device is "cuda"'):
        StereoDepthEstimator("sgbm", "cuda")
