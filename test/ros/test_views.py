# SPDX-License-Identifier: Apache-2.0
"""What shows an output to people: every field, and colours that mean the same in every frame."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("sensor_msgs", reason="no ROS messages are installed")

from ros_harness import make_header

from vizion3d.camera import PinholeCamera, StereoRig
from vizion3d.lifting import DepthKind, MonoPrediction
from vizion3d.stereo import StereoPrediction
from vizion3d.visualize import colorize_depth, colorize_disparity
from vizion3d_ros import conversions, mono_frames, stereo_frames
from vizion3d_ros.settings import MonoFrameSettings, StereoFrameSettings

STAMP_NS = 1_700_000_000_123_456_789
RIG = StereoRig(PinholeCamera(60, 40, 50.0, 50.0, 29.5, 19.5), baseline_m=0.2, doffs_px=1.0)
DARK_GREY = 56


def stereo_messages(disparity_px: torch.Tensor, max_disparity_px: float | None = 19.0, **options) -> dict:
    """The messages of a prediction that is sure of everything."""
    sure = torch.ones_like(disparity_px)
    prediction = StereoPrediction(disparity_px, sure, sure, RIG, max_disparity_px, 1 / 16)
    black = np.zeros((40, 60, 3), np.uint8)
    pair = stereo_frames.StereoPair(black, black, RIG, make_header(STAMP_NS))
    makers = stereo_frames.outputs(prediction, pair, StereoFrameSettings(**options))
    return {topic: make() for topic, make in makers.items()}


def plane(disparity_px: float) -> torch.Tensor:
    return torch.full((40, 60), disparity_px)


def colors(message) -> np.ndarray:
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)


def check_fields(message, encoding: str, channels: int) -> None:
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == divmod(STAMP_NS, 10**9)
    assert message.header.frame_id == "left_optical"
    assert (message.height, message.width, message.encoding, message.is_bigendian) == (40, 60, encoding, 0)
    assert message.step == 60 * channels and len(message.data) == 40 * message.step


def test_colors_of_stereo_have_every_field_and_their_range_from_the_options():
    disparity_px = plane(3.0)
    disparity_px[:, :20], disparity_px[:, 20:30] = torch.nan, 18.0
    messages = stereo_messages(disparity_px, z_far=40.0)
    for topic in stereo_frames.VIEWS:
        check_fields(messages[topic], "rgb8", 3)
    depth_m = conversions.depth_from_image(messages["depth/image_rect"])
    np.testing.assert_array_equal(colors(messages["depth/color"]), colorize_depth(depth_m, 10 / 20, 40.0))
    corrected = np.where(np.isfinite(depth_m), disparity_px.numpy() + 1, np.nan)
    np.testing.assert_array_equal(colors(messages["disparity/color"]), colorize_disparity(corrected, 0, 20))
    assert (colors(messages["disparity/color"])[:, :20] == DARK_GREY).all()


@pytest.mark.parametrize("max_disparity_px", [19.0, None])
@pytest.mark.parametrize("topic", ["depth/color", "disparity/color"])
def test_a_distance_keeps_its_color_whatever_else_a_frame_shows(topic, max_disparity_px):
    seen = []
    for other_px in (1.0, 8.0, 18.0, torch.nan):
        disparity_px = plane(other_px)
        disparity_px[20, 30] = 4.0
        seen.append(colors(stereo_messages(disparity_px, max_disparity_px)[topic])[20, 30])
    assert np.ptp(seen, axis=0).max() == 0 and not (seen[0] == DARK_GREY).all()


def test_a_z_far_nearer_than_the_search_reaches_leaves_grey():
    messages = stereo_messages(plane(3.0), z_far=0.2)
    assert (colors(messages["depth/color"]) == DARK_GREY).all() and (colors(messages["disparity/color"]) == DARK_GREY).all()


@pytest.mark.parametrize("kind", DepthKind)
def test_colors_of_mono(kind):
    output = torch.linspace(1, 5, 2400).reshape(40, 60)
    output[0, 0] = torch.nan
    image = conversions.image_from_array(np.zeros((40, 60, 3), np.uint8), "rgb8", make_header(STAMP_NS))
    view = mono_frames.decode((image, None))
    makers = mono_frames.outputs(MonoPrediction(output, kind), view, MonoFrameSettings())
    message = makers["depth/color"]()
    check_fields(message, "rgb8", 3)
    depth_m = conversions.depth_from_image(makers["depth/image_raw"]())
    near_m, far_m = (0.5, 50.0) if kind is DepthKind.METRES else (0.5, 10.0)
    np.testing.assert_array_equal(colors(message), colorize_depth(depth_m, near_m, far_m))
    assert (colors(message)[0, 0] == DARK_GREY).all()
