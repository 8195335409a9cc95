# SPDX-License-Identifier: Apache-2.0
"""+Inf in a depth image clears costmaps: which pixels get it, and above all which never do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("sensor_msgs", reason="no ROS messages are installed")

from ros_harness import make_header

from vizion3d.camera import PinholeCamera, StereoRig
from vizion3d.lifting import DepthKind, MonoPrediction
from vizion3d.stereo import Reason, StereoDepthEstimator, StereoPrediction
from vizion3d.synthetic.benchmark import draw
from vizion3d_ros import conversions, mono_frames, stereo_frames
from vizion3d_ros.settings import MonoFrameSettings, StereoFrameSettings

FAR_PX, NEAR_PX = 1.0, 10.0  # 10 m and 1 m
NAN = torch.nan


def depth(prediction: StereoPrediction, **options) -> np.ndarray:
    """What the depth image holds, read back from the message."""
    height, width = prediction.disparity_px.shape
    black = np.zeros((height, width, 3), np.uint8)
    pair = stereo_frames.StereoPair(black, black, prediction.rig, make_header(0))
    message = stereo_frames.outputs(prediction, pair, StereoFrameSettings(**options))["depth/image_rect"]()
    return conversions.depth_from_image(message)


def row(disparity_px, confidence=None, visibility=None, unmatched=None, doffs_px=0.0, **options) -> list[float]:
    """The depth image of one row of pixels, of things beyond 5 m."""
    count = len(disparity_px)
    rig = StereoRig(PinholeCamera(count, 1, 100.0, 100.0, 0.0, 0.0), baseline_m=0.1, doffs_px=doffs_px)
    maps = [torch.tensor([values]) if values is not None else None for values in (disparity_px, confidence, visibility)]
    codes = None if unmatched is None else torch.tensor([unmatched], dtype=torch.uint8)
    prediction = StereoPrediction(*maps, rig, 20.0, 1 / 16, codes)
    options = {"z_far": 5.0, "beyond": "inf", **options}
    return depth(prediction, **options)[0].tolist()


def sure(count: int) -> dict:
    return {"confidence": [1.0] * count, "visibility": [1.0] * count}


def test_what_is_surely_matched_beyond_z_far_is_infinite_and_the_rest_is_as_before():
    assert row([NEAR_PX, FAR_PX], **sure(2)) == [1.0, np.inf]
    assert row([-2.0], **sure(1), doffs_px=1.0) == [np.inf]  # beyond all distances, as calibrations have it at the horizon
    np.testing.assert_array_equal(row([-4.0], **sure(1), doffs_px=1.0), [np.nan])  # no calibration is off by so much
    np.testing.assert_array_equal(row([NEAR_PX, FAR_PX], **sure(2), beyond="nan"), [1.0, np.nan])
    np.testing.assert_array_equal(row([NEAR_PX, FAR_PX], **sure(2), depth_encoding="16UC1"), [1.0, np.nan])


@pytest.mark.parametrize("conf_threshold", [0.0, 0.1, 0.9])
def test_what_was_not_surely_matched_is_never_infinite(conf_threshold):
    never = {
        "nothing found": dict(disparity_px=[NAN], **sure(1)),
        "infinite disparity": dict(disparity_px=[torch.inf], **sure(1)),
        "minus infinite disparity": dict(disparity_px=[-torch.inf], **sure(1)),
        "unsure": {"disparity_px": [FAR_PX], "confidence": [0.4], "visibility": [1.0]},
        "no confidence at all": {"disparity_px": [FAR_PX], "confidence": [0.0], "visibility": [1.0]},
        "confidence is no number": {"disparity_px": [FAR_PX], "confidence": [NAN], "visibility": [1.0]},
        "a matcher that gives none": {"disparity_px": [FAR_PX], "confidence": None, "visibility": [1.0]},
        "hidden": {"disparity_px": [FAR_PX], "confidence": [1.0], "visibility": [0.0]},
        "nobody knows if hidden": {"disparity_px": [FAR_PX], "confidence": [1.0], "visibility": None},
        "too near": dict(disparity_px=[25.0], **sure(1)),
    } | {
        reason.text: dict(disparity_px=[FAR_PX], unmatched=[int(reason)], **sure(1))
        for reason in (Reason.NO_TEXTURE, Reason.HIDDEN, Reason.BORDER)
    }
    for what, pixel in never.items():
        assert np.isnan(row(conf_threshold=conf_threshold, occ_threshold=0.5, **pixel)).all(), what


def test_thresholds_of_the_user_hold():
    assert np.isnan(row([FAR_PX], [0.8], [1.0], conf_threshold=0.9)[0])
    assert row([FAR_PX], [0.95], [1.0], conf_threshold=0.9) == [np.inf]


@pytest.mark.parametrize(("name", "z_far"), [("wall-1", 3.0), ("near-0.4", 1.0)])
def test_drawn_things_in_the_way_are_not_cleared(name, z_far):
    """A plain wall that cannot be matched, and a box nearer than the search reaches."""
    case = draw(name)
    pair = case.rectified_pair()
    made = StereoDepthEstimator().estimate(*pair)
    image = depth(made, z_far=z_far, beyond="inf", conf_threshold=0.0, occ_threshold=0.0)
    in_the_way = case.depth_m < 0.98 * z_far
    assert np.isinf(image[in_the_way]).mean() < 0.002


def test_the_sky_of_a_network_is_infinite_and_nothing_else():
    output = torch.tensor([[2.0, 3.0, NAN, torch.inf]])
    image = conversions.image_from_array(np.zeros((1, 4, 3), np.uint8), "rgb8", make_header(0))
    view = mono_frames.decode((image, None))

    def made(mask, beyond="inf"):
        prediction = MonoPrediction(output, DepthKind.METRES, mask)
        message = mono_frames.outputs(prediction, view, MonoFrameSettings(beyond=beyond))["depth/image_raw"]()
        return conversions.depth_from_image(message)[0]

    sky = torch.tensor([[True, False, True, True]])
    np.testing.assert_array_equal(made(sky), [2, np.inf, np.nan, np.nan])
    np.testing.assert_array_equal(made(sky, "nan"), [2, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(made(None), [2, 3, np.nan, np.nan])
