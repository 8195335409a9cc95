# SPDX-License-Identifier: Apache-2.0
"""Conformance: every field of every output, read back from DDS in another process than the node's."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from ros_harness import RosHarness, StereoSource, float_map, make_header
from sensor_msgs.msg import Image, PointField

from vizion3d.camera import PinholeCamera, StereoRig
from vizion3d.evaluate import Errors
from vizion3d.images import load_rgb
from vizion3d.options import ValidityLimits
from vizion3d.stereo import Reason, StereoDepthEstimator
from vizion3d.synthetic import default_scene, render_stereo
from vizion3d_ros.conversions import image_from_array
from vizion3d_ros.stereo_frames import OUTPUTS

STAMP_NS = 1_700_000_000_123_456_789


def one_frame(ros: RosHarness, rig: StereoRig, frame, **parameters):
    """All outputs of one pair."""
    ros.start_stereo_node(**parameters)
    received = {topic: ros.listen(topic, kind) for topic, kind in OUTPUTS.items()}
    source = StereoSource(ros)
    source.wait_for_subscribers()
    source.publish(frame.left, frame.right, rig, STAMP_NS)
    ros.wait_for(lambda: all(received.values()), "all outputs")
    return {topic: messages[0] for topic, messages in received.items()}


@pytest.fixture
def shifted_rig() -> StereoRig:
    """Different fx and fy, principal point off the centre, cx_right != cx_left."""
    return StereoRig(PinholeCamera(320, 240, 262.0, 260.0, 150.0, 125.0), baseline_m=0.2, doffs_px=4.0)


def test_every_field_with_default_parameters(ros, shifted_rig):
    rig = shifted_rig
    frame = render_stereo(default_scene(), rig)
    outputs = one_frame(ros, rig, frame, cloud_edge_filter=False)
    depth_message, info, disparity, cloud, confidence, occlusion, reason, sigma = outputs.values()

    for message in (*outputs.values(), disparity.image):
        assert (message.header.stamp.sec, message.header.stamp.nanosec) == divmod(STAMP_NS, 10**9)
        assert message.header.frame_id == "left_optical"

    depth = float_map(depth_message)
    valid = np.isfinite(depth)
    assert depth.shape == (240, 320) and valid.mean() > 0.6
    assert np.isnan(depth[~valid]).all() and (depth[valid] > 0).all()
    assert Errors.of_depth(depth, frame.depth_m).scores(frame.visible).median_rel < 0.02

    assert (info.width, info.height, info.distortion_model) == (320, 240, "plumb_bob")
    assert list(info.d) == [0.0] * 5
    assert list(info.k) == [262, 0, 150, 0, 260, 125, 0, 0, 1]
    assert list(info.r) == [1, 0, 0, 0, 1, 0, 0, 0, 1]
    assert list(info.p) == [262, 0, 150, 0, 0, 260, 125, 0, 0, 0, 1, 0]
    assert (info.binning_x, info.binning_y, info.roi.width, info.roi.height) == (0, 0, 0, 0)

    d = float_map(disparity.image)
    assert disparity.f == pytest.approx(262.0) and disparity.t == pytest.approx(0.2)
    window = disparity.valid_window
    assert (window.x_offset, window.y_offset, window.width, window.height) == (0, 0, 320, 240)
    assert disparity.min_disparity == 0
    assert disparity.max_disparity == pytest.approx(320 / 6 + 4)
    assert disparity.delta_d == pytest.approx(1 / 16)
    assert (d[~valid] < disparity.min_disparity).all()
    assert ((d[valid] >= disparity.min_disparity) & (d[valid] <= disparity.max_disparity)).all()
    np.testing.assert_allclose(disparity.f * disparity.t / d[valid], depth[valid], rtol=1e-6)

    assert (cloud.height, cloud.width, cloud.point_step, cloud.row_step) == (240, 320, 16, 16 * 320)
    assert not cloud.is_dense and not cloud.is_bigendian
    assert [(f.name, f.offset, f.datatype, f.count) for f in cloud.fields] == [
        (name, 4 * index, PointField.FLOAT32, 1) for index, name in enumerate(("x", "y", "z", "rgb"))
    ]
    points = np.frombuffer(cloud.data, [(f.name, "<f4") for f in cloud.fields]).reshape(240, 320)
    v, u = np.mgrid[:240, :320]
    np.testing.assert_array_equal(points["z"], depth)  # organised: index = pixel; optical frame: z forward
    np.testing.assert_allclose(points["x"][valid], ((u - 150) / 262 * depth)[valid], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(points["y"][valid], ((v - 125) / 260 * depth)[valid], rtol=1e-5, atol=1e-6)
    packed = np.ascontiguousarray(points["rgb"]).view(np.uint32)
    rgb = np.stack((packed >> 16, packed >> 8 & 255, packed & 255), axis=-1)
    np.testing.assert_array_equal(rgb, frame.left)
    assert (packed >> 24 == 0).all()

    sure = float_map(confidence)
    assert ((sure >= 0) & (sure <= 1)).all() and (sure[valid] >= 0.1).all()
    seen = float_map(occlusion)
    assert (reason.encoding, reason.step) == ("mono8", 320)
    why = np.frombuffer(reason.data, np.uint8).reshape(240, 320)
    np.testing.assert_array_equal(why == Reason.VALID, valid)
    np.testing.assert_array_equal((why == Reason.HIDDEN) | (why == Reason.BORDER), seen < 0.5)
    assert ((seen >= 0) & (seen <= 1)).all() and (seen[valid] >= 0.5).all()
    sigma_m = float_map(sigma)
    np.testing.assert_array_equal(np.isfinite(sigma_m), valid)
    sigma_px = sigma_m[valid] * 262 * 0.2 / depth[valid] ** 2
    assert ((sigma_px > 0.2) & (sigma_px < 0.8)).all()


def test_depth_in_millimetres_decimated_plain_cloud_and_other_frame(ros, rig, frame):
    outputs = one_frame(
        ros,
        rig,
        frame,
        depth_encoding="16UC1",
        cloud_organized=False,
        cloud_decimation=4,
        frame_id="head",
        z_far=5.0,
        cloud_edge_filter=False,
    )
    depth_message, info, disparity, cloud, *_ = outputs.values()
    assert {message.header.frame_id for message in outputs.values()} == {"head"}
    assert disparity.image.header.frame_id == "head"
    assert depth_message.encoding == "16UC1" and depth_message.step == 2 * 640
    depth_mm = np.frombuffer(depth_message.data, "<u2").reshape(480, 640)
    assert Errors.of_depth(depth_mm / 1000, frame.depth_m).scores(frame.visible).median_rel < 0.02
    assert 4000 < depth_mm.max() <= 5000
    assert info.k[0] == 525.0

    assert cloud.height == 1 and cloud.is_dense
    points = np.frombuffer(cloud.data, "<f4").reshape(-1, 4)
    assert len(points) == cloud.width == np.count_nonzero(depth_mm[::4, ::4])
    np.testing.assert_allclose(points[:, 2], depth_mm[::4, ::4][depth_mm[::4, ::4] > 0] / 1000, atol=6e-4)


def test_edge_filter_only_takes_points_away(ros, rig, frame):
    outputs = one_frame(ros, rig, frame)
    depth = float_map(outputs["depth/image_rect"])
    z = np.frombuffer(outputs["points2"].data, "<f4").reshape(480, 640, 4)[..., 2]
    kept = np.isfinite(z)
    np.testing.assert_array_equal(z[kept], depth[kept])
    assert 0 < np.isfinite(depth).sum() - kept.sum() < 0.02 * kept.sum()


def test_empty_cloud_is_still_a_cloud(ros, rig, frame):
    flat = np.full_like(frame.left, 127)  # nothing to match
    cloud = one_frame(ros, rig, type(frame)(**{**vars(frame), "left": flat, "right": flat}), cloud_organized=False)["points2"]
    assert (cloud.height, cloud.width, len(cloud.data)) == (1, 0, 0)


@pytest.mark.parametrize("parameters", [{}, {"image_bits": 12}, {"image_range": "[0,4095]"}])
def test_12_bits_in_16_give_the_depth_of_their_8_bits(ros, shifted_rig, parameters):
    frame = render_stereo(default_scene(), shifted_rig)
    ros.start_stereo_node(**parameters)
    depths = ros.listen("depth/image_rect", Image)
    source = StereoSource(ros)
    source.wait_for_subscribers()
    grey = [image[..., 1] for image in (frame.left, frame.right)]
    messages = [image_from_array(image.astype(np.uint16) << 4, "mono16", make_header(STAMP_NS)) for image in grey]
    source.publish(frame.left, frame.right, shifted_rig, STAMP_NS, left_image_rect=messages[0], right_image_rect=messages[1])
    ros.wait_for(lambda: depths, "depth")
    prediction = StereoDepthEstimator("sgbm").estimate(*map(load_rgb, grey), shifted_rig)
    np.testing.assert_array_equal(float_map(depths[0]), prediction.masked_depth(ValidityLimits()).numpy())
