# SPDX-License-Identifier: Apache-2.0
"""Why a pixel has no depth, in one map at every door."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from vizion3d.camera import PinholeCamera, StereoRig
from vizion3d.errors import InputError
from vizion3d.options import ValidityLimits
from vizion3d.stereo import Reason, StereoDepth, StereoDepthAdvancedConfig, StereoDepthCommand, StereoDepthEstimator
from vizion3d.stereo.prediction import StereoPrediction
from vizion3d.visualize import colorize_labels

RIG = StereoRig(PinholeCamera(10, 1, 100.0, 100.0, 4.5, 0.0), 0.1)  # 10 m at one pixel


@pytest.mark.parametrize(
    ("disparity_px", "confidence", "visibility", "unmatched", "expected"),
    [
        (4.0, 1.0, 1.0, 0, Reason.VALID),
        (4.0, 1.0, 1.0, Reason.NO_TEXTURE, Reason.VALID),
        (8.0, 1.0, 1.0, 0, Reason.TOO_NEAR),
        (6.2, 1.0, 1.0, 0, Reason.TOO_NEAR),
        (0.1, 1.0, 1.0, 0, Reason.TOO_FAR),
        (0.0, 1.0, 1.0, 0, Reason.TOO_FAR),
        (8.0, 0.0, 1.0, 0, Reason.LOW_CONFIDENCE),
        (4.0, 0.0, 1.0, Reason.NO_TEXTURE, Reason.NO_TEXTURE),
        (math.nan, 0.0, 1.0, Reason.NO_TEXTURE, Reason.NO_TEXTURE),
        (math.nan, 0.0, 1.0, 0, Reason.LOW_CONFIDENCE),
        (4.0, 1.0, 0.0, 0, Reason.HIDDEN),
        (9.5, 1.0, 0.0, 0, Reason.BORDER),
        (math.nan, 0.0, 0.0, Reason.HIDDEN, Reason.HIDDEN),
        (math.nan, 0.0, 0.0, Reason.BORDER, Reason.BORDER),
        (math.inf, 1.0, 1.0, 0, Reason.LOW_CONFIDENCE),
    ],
)
def test_each_pixel_has_its_reason(disparity_px, confidence, visibility, unmatched, expected):
    maps = (torch.full((1, 10), value) for value in (disparity_px, confidence, visibility))
    prediction = StereoPrediction(*maps, RIG, 7.0, 0.1, torch.full((1, 10), int(unmatched), dtype=torch.uint8))
    reason = prediction.reason(ValidityLimits(z_near=1.65))
    assert (reason.shape, reason.dtype) == ((1, 10), torch.uint8)
    assert reason[0, 9] == expected


def test_a_matcher_that_tells_nothing_has_only_the_range():
    disparity_px = torch.tensor([[math.nan, 0.1, 1.0, 9.0]])
    prediction = StereoPrediction(disparity_px, None, None, RIG, 7.0, 0.1)
    expected = [Reason.LOW_CONFIDENCE, Reason.TOO_FAR, Reason.VALID, Reason.TOO_NEAR]
    assert prediction.reason(ValidityLimits()).tolist() == [expected]


@pytest.mark.parametrize("scale_factor", [None, 0.6])
def test_the_map_agrees_with_the_mask_and_with_visibility(frame, rig, scale_factor):
    limits = ValidityLimits(z_near=1.5, z_far=5)
    prediction = StereoDepthEstimator("sgbm").estimate(frame.left, frame.right, rig, scale_factor=scale_factor)
    reason = prediction.reason(limits).numpy()
    np.testing.assert_array_equal(reason == Reason.VALID, prediction.valid(limits).numpy())
    not_seen = (reason == Reason.HIDDEN) | (reason == Reason.BORDER)
    np.testing.assert_array_equal(not_seen, prediction.visibility.numpy() < limits.occ_threshold)
    seen, depth_m = frame.visible, frame.depth_m
    assert (reason == Reason.TOO_NEAR)[seen & (depth_m < 1.4)].mean() > 0.8
    assert (reason == Reason.TOO_FAR)[seen & (depth_m > 5.2)].mean() > 0.8
    assert (reason == Reason.BORDER)[np.arange(640) - frame.disparity_px < -1].mean() > 0.8


def test_the_python_door_has_the_map(frame, rig):
    command = StereoDepthCommand(frame.left, frame.right, "sgbm", advanced_config=StereoDepthAdvancedConfig.from_rig(rig))
    result = StereoDepth().run(command)
    assert (result.reason.shape, result.reason.dtype) == (result.valid.shape, np.uint8)
    np.testing.assert_array_equal(result.reason == Reason.VALID, result.valid)


def test_the_picture_has_a_colour_and_an_entry_for_each_label():
    names = [reason.text for reason in Reason]
    assert names[:2] == ["valid", "too near"]
    labels = np.repeat(np.arange(7, dtype=np.uint8), 100)[None].repeat(50, axis=0)
    picture = colorize_labels(labels, names)
    assert picture.shape[1] == 700 and picture.shape[0] > 50 and picture.dtype == np.uint8
    assert len({tuple(color) for color in picture[0, ::100]}) == 7
    for color in picture[0, ::100]:
        assert (picture[50:] == color).all(axis=2).sum() >= 100
    two = colorize_labels(labels[:, :200], names)
    assert two.shape[1] == 320 and (two[50:] == picture[0, 650]).all(axis=2).sum() == 0
    with pytest.raises(InputError, match="labels are 0 to 6 and 3 of at most 7 names are given"):
        colorize_labels(labels, names[:3])
    with pytest.raises(InputError, match=r"labels are \(5,\) float64"):
        colorize_labels(np.zeros(5), names)
