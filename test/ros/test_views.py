# SPDX-License-Identifier: Apache-2.0
"""What shows an output to people: every field, and colours that mean the same in every frame."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import cv2
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


@pytest.mark.parametrize("page", ["messages.md", "nodes.md"])
def test_every_output_is_on_the_pages(page):
    text = (Path(__file__).parents[2] / "docs" / page).read_text(encoding="utf-8")
    for topic in stereo_frames.OUTPUTS | stereo_frames.VIEWS | mono_frames.OUTPUTS | mono_frames.VIEWS:
        assert re.search(rf"(?<![\w/]){topic}(?![\w/])", text), topic


def check_jpeg(packed, image) -> None:
    """It is the image as image_transport's compressed plugin sends it."""
    assert packed.header == image.header and packed.format == "rgb8; jpeg compressed bgr8"
    assert bytes(packed.data[:2]) == b"\xff\xd8" and len(packed.data) < len(image.data)
    off = np.abs(conversions.rgb_from_image(packed).astype(int) - colors(image))
    assert np.median(off) <= 8


def unpacked(message) -> np.ndarray:
    """What decodeCompressedDepthImage of compressed_depth_image_transport makes of a message."""
    encoding, _, rest = message.format.partition("; ")
    assert rest == "compressedDepth png"
    kind, a, b = struct.unpack_from("iff", message.data)
    codes = cv2.imdecode(np.frombuffer(message.data, np.uint8, offset=12), cv2.IMREAD_UNCHANGED)
    assert kind == 0 and codes.dtype == np.uint16
    if encoding == "16UC1":
        return codes
    with np.errstate(divide="ignore"):
        return np.where(codes > 0, np.float32(a) / (codes.astype(np.float32) - np.float32(b)), np.float32(np.nan))


def check_compressed_depth(packed, image) -> None:
    """It is the depth image within half a step of 1 / z, and no pixel is gained or lost."""
    assert packed.header == image.header
    depth_m, read_m = conversions.depth_from_image(image), unpacked(packed)
    known = np.isfinite(depth_m)
    np.testing.assert_array_equal(np.isfinite(read_m), known)
    _, a, _ = struct.unpack_from("iff", packed.data)
    assert a <= 100 * 101
    assert (np.abs(1 / read_m[known] - 1 / depth_m[known]) <= 0.52 / a).all()  # the rest is what float32 rounds away


@pytest.mark.parametrize("nearest_px", [19.0, 4000.0], ids=["usual step", "nearer than it reaches"])
def test_compressed_depth_is_depth_within_its_step(nearest_px):
    disparity_px = torch.rand((40, 60), generator=torch.manual_seed(0)) * 18
    disparity_px[:5], disparity_px[30, 30] = torch.nan, nearest_px
    messages = stereo_messages(disparity_px, max_disparity_px=5000.0)
    packed = messages["depth/image_rect/compressedDepth"]
    check_compressed_depth(packed, messages["depth/image_rect"])
    assert (struct.unpack_from("iff", packed.data)[1] == 10100) == (nearest_px == 19)


@pytest.mark.parametrize("disparity_px", [torch.nan, 4.0])
def test_compressed_depth_of_nothing_and_of_one_distance(disparity_px):
    messages = stereo_messages(plane(disparity_px))
    check_compressed_depth(messages["depth/image_rect/compressedDepth"], messages["depth/image_rect"])


def test_compressed_millimetres_are_the_millimetres():
    disparity_px = torch.linspace(1, 20, 2400).reshape(40, 60)
    messages = stereo_messages(disparity_px, depth_encoding="16UC1")
    packed, image = messages["depth/image_rect/compressedDepth"], messages["depth/image_rect"]
    assert packed.format == "16UC1; compressedDepth png"
    np.testing.assert_array_equal(unpacked(packed), np.frombuffer(image.data, "<u2").reshape(40, 60))


def test_a_cloud_by_voxel_is_that_of_the_library_in_the_optical_frame():
    disparity_px = torch.rand((40, 60), generator=torch.manual_seed(0)) * 18
    black = np.zeros((40, 60, 3), np.uint8)
    sure = torch.ones_like(disparity_px)
    prediction = StereoPrediction(disparity_px, sure, sure, RIG, 19.0, 1 / 16)
    settings = StereoFrameSettings(cloud_voxel=0.2, cloud_edge_filter=False)
    pair = stereo_frames.StereoPair(black + 7, black, RIG, make_header(STAMP_NS))
    message = stereo_frames.outputs(prediction, pair, settings)["points2"]()
    expected = prediction.point_cloud(pair.left, settings).voxel_means(0.2)
    assert (message.height, message.width, message.point_step, message.row_step) == (1, message.width, 16, 16 * message.width)
    assert message.is_dense and message.header == pair.header and 0 < message.width < 1500
    made = conversions.cloud_from_message(message)
    np.testing.assert_array_equal(made.points[0], expected.points)
    np.testing.assert_array_equal(made.colors[0], expected.colors)


def test_a_cloud_by_voxel_of_a_frame_without_depth_is_empty():
    message = stereo_messages(plane(torch.nan), cloud_voxel=0.2)["points2"]
    assert (message.height, message.width, message.row_step, len(message.data), message.is_dense) == (1, 0, 0, 0, True)


def test_colors_of_stereo_have_every_field_and_their_range_from_the_options():
    disparity_px = plane(3.0)
    disparity_px[:, :20], disparity_px[:, 20:30] = torch.nan, 18.0
    messages = stereo_messages(disparity_px, z_far=40.0)
    for topic in ("depth/color", "disparity/color"):
        check_fields(messages[topic], "rgb8", 3)
        check_jpeg(messages[f"{topic}/compressed"], messages[topic])
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
    check_jpeg(makers["depth/color/compressed"](), message)
    check_compressed_depth(makers["depth/image_raw/compressedDepth"](), makers["depth/image_raw"]())
    depth_m = conversions.depth_from_image(makers["depth/image_raw"]())
    near_m, far_m = (0.5, 50.0) if kind is DepthKind.METRES else (0.5, 10.0)
    np.testing.assert_array_equal(colors(message), colorize_depth(depth_m, near_m, far_m))
    assert (colors(message)[0, 0] == DARK_GREY).all()


def test_views_are_made_for_who_listens_and_outputs_always_if_lazy_is_off(ros):
    rclpy = pytest.importorskip("rclpy", reason="rclpy is not installed")
    from vizion3d_ros.stereo_depth_node import StereoDepthNode

    node = StereoDepthNode(
        context=ros.node.context, parameter_overrides=[rclpy.parameter.Parameter("lazy", value=False)], cli_args=[]
    )
    try:
        messages = stereo_messages(plane(4.0))
        made: list[str] = []

        def maker(topic: str):
            return lambda: made.append(topic) or messages[topic]

        makers = {topic: maker(topic) for topic in messages}
        node.publish(makers)
        assert made == (outputs := [topic for topic in messages if topic in stereo_frames.OUTPUTS])
        received = ros.listen("depth/color/compressed", stereo_frames.VIEWS["depth/color/compressed"])
        ros.wait_for(lambda: node.count_subscribers("depth/color/compressed"), "the listener to be heard of")
        ros.wait_for(lambda: node._outputs["depth/color/compressed"].get_subscription_count(), "the listener to be matched")
        made.clear()
        node.publish(makers)
        assert {*made} == {*outputs, "depth/color/compressed"}
        assert ros.wait_for(lambda: received, "the picture")[0] == messages["depth/color/compressed"]
    finally:
        node.destroy_node()
