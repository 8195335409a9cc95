# SPDX-License-Identifier: Apache-2.0
"""What users have beside our topics: message_filters, cv_bridge, sensor_msgs_py. Real ones, where they are installed."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from ros_harness import by_stamp, installed_program, make_header
from sensor_msgs.msg import Image, PointCloud2

from vizion3d.lifting import MonoDepthEstimator
from vizion3d.stereo import StereoDepthEstimator
from vizion3d_ros import conversions, mono_frames, stereo_frames
from vizion3d_ros.demo.processes import ros_args
from vizion3d_ros.pairing_filter import PairingFilter
from vizion3d_ros.settings import MonoFrameSettings, StereoFrameSettings

EXAMPLES = Path(__file__).parents[2] / "examples"
START_NS = 1_700_000_000_000_000_000
PERIOD_NS = 33_000_000


class Source:
    """A filter whose output is what a test says."""

    def __init__(self) -> None:
        self.callbacks: list = []

    def registerCallback(self, callback, *args) -> None:
        self.callbacks.append((callback, args))

    def put(self, stamp_ns: int) -> None:
        for callback, args in self.callbacks:
            callback(Image(header=make_header(stamp_ns)), *args)


def stamps(messages) -> tuple[int, ...]:
    return tuple(conversions.stamp_ns(message.header.stamp) for message in messages)


def test_a_filter_of_filters_gives_what_belongs_together():
    left, right = Source(), Source()
    pairs = PairingFilter([left, right], slop_s=0.01)
    got = []
    assert pairs.registerCallback(lambda *messages: got.append(messages), "more") == 0
    for i in range(5):
        left.put(START_NS + i * PERIOD_NS)
        right.put(START_NS + i * PERIOD_NS + 3_000_000)
    assert [stamps(messages[:2]) for messages in got] == [
        (START_NS + i * PERIOD_NS, START_NS + i * PERIOD_NS + 3_000_000) for i in range(5)
    ]
    assert {messages[2] for messages in got} == {"more"} and pairs.pairing.matched == 5


def test_a_callback_may_bring_the_next_message():
    """With a lock held around it, it would wait for itself."""
    left, right = Source(), Source()
    pairs = PairingFilter([left, right])
    got = []

    def on_pair(one: Image, _other: Image) -> None:
        got.append(conversions.stamp_ns(one.header.stamp))
        if len(got) < 3:
            left.put(got[-1] + 1)
            right.put(got[-1] + 1)

    pairs.registerCallback(on_pair)
    left.put(5)
    right.put(5)
    assert got == [5, 6, 7]


def test_a_bag_loop_does_not_silence_it_on_real_subscribers(ros):
    message_filters = pytest.importorskip("message_filters", reason="message_filters is not installed")
    images = [message_filters.Subscriber(ros.node, Image, topic) for topic in ("left", "right")]
    ours, theirs = [], []
    pairs = PairingFilter(images)
    pairs.registerCallback(lambda *pair: ours.append(stamps(pair)))
    message_filters.ApproximateTimeSynchronizer(images, 10, 0.01).registerCallback(lambda *pair: theirs.append(stamps(pair)))
    publishers = [ros.node.create_publisher(Image, topic, 10) for topic in ("left", "right")]
    ros.wait_for(lambda: all(p.get_subscription_count() for p in publishers), "subscriptions")
    sent = 0

    def play() -> None:
        """Ten pairs, then left images alone, as a recording ends whose left camera was stopped last."""
        nonlocal sent
        for i in range(25):
            for publisher in publishers if i < 10 else publishers[:1]:
                publisher.publish(Image(header=make_header(START_NS + i * PERIOD_NS)))
                sent += 1
            ros.wait_for(lambda sent=sent: sum(pairs.pairing.received.values()) == sent, "its arrival")

    expected = [(START_NS + i * PERIOD_NS,) * 2 for i in range(10)]
    for _ in range(3):
        play()
    print(f"of 30 pairs in 3 passes: PairingFilter {len(ours)}, ApproximateTimeSynchronizer {len(theirs)}")
    assert ours == 3 * expected


def test_the_example_listens_to_the_demo(ros):
    for package in ("message_filters", "cv_bridge", "sensor_msgs_py"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    ros.start("demo.synthetic_camera_node", parameters={"width": 320, "height": 240, "focal_length": 260.0})
    ros.start_stereo_node()
    listener = ros.start_script(EXAMPLES / "listen.py")
    told = r"middle ([0-9.]+) m, nearest of (\d+) points at \((.*), (.*), (.*)\) m in stereo_left_optical"
    ros.wait_for(lambda: len(re.findall(told, listener.log)) >= 3 or not listener.is_alive, "three frames")
    middle_m, points, *_, z_m = map(float, re.findall(told, listener.log)[-1])
    assert 0.5 < z_m <= middle_m < 20 and points > 320 * 240 / 2
    listener.interrupt()
    assert listener.wait() == 0 and "Traceback" not in listener.log


@pytest.mark.parametrize("depth_encoding", ["32FC1", "16UC1"])
def test_every_image_of_ours_goes_through_cv_bridge(rig, frame, vits_file, depth_encoding):
    bridge = pytest.importorskip("cv_bridge", reason="cv_bridge is not installed").CvBridge()
    header = make_header(START_NS)
    left, right = (conversions.image_from_array(pixels, "rgb8", header) for pixels in (frame.left, frame.right))
    infos = [conversions.camera_info(rig.left, header), conversions.camera_info(rig.left, header, rig.baseline_m)]
    pair = stereo_frames.decode((left, infos[0], right, infos[1]))
    settings = StereoFrameSettings(depth_encoding=depth_encoding)
    stereo = stereo_frames.outputs(StereoDepthEstimator().estimate(pair.left, pair.right, pair.rig), pair, settings)
    view = mono_frames.decode((left, infos[0]))
    mono = mono_frames.outputs(
        MonoDepthEstimator(vits_file, "cpu", input_size=56).estimate(view.rgb),
        view,
        MonoFrameSettings(depth_encoding=depth_encoding),
    )
    images = {"left": left}
    for topic, make in (*stereo.items(), *mono.items()):
        message = make()
        message = getattr(message, "image", message)
        if isinstance(message, Image):
            images[topic] = message
    assert len(images) >= 7
    types = {"32FC1": "<f4", "16UC1": "<u2", "mono8": "u1", "rgb8": ("u1", 3)}
    for topic, message in images.items():
        own = np.frombuffer(message.data, types[message.encoding])
        np.testing.assert_array_equal(bridge.imgmsg_to_cv2(message), own.reshape(480, 640, *own.shape[1:]), topic)


def test_the_cloud_of_depth_image_proc_is_ours(ros):
    """Where ROS is installed as a whole; not seen to run yet."""
    program = installed_program("depth_image_proc", "point_cloud_xyz_node")
    ours, theirs = (ros.listen(topic, PointCloud2) for topic in ("points2", "theirs"))
    ros.start("demo.synthetic_camera_node", parameters={"width": 320, "height": 240, "focal_length": 260.0, "rate": 2.0})
    ros.start_stereo_node()
    remaps = {"image_rect": "depth/image_rect", "camera_info": "depth/camera_info", "points": "theirs"}
    ros.start_program(program, *ros_args({}, remaps))
    stamps = ros.wait_for(lambda: by_stamp(ours).keys() & by_stamp(theirs).keys(), "clouds of one moment")
    for stamp in stamps:
        np.testing.assert_allclose(_xyz(by_stamp(ours)[stamp]), _xyz(by_stamp(theirs)[stamp]), rtol=1e-5)


def _xyz(cloud: PointCloud2) -> np.ndarray:
    """(H, W, 3) float32 of the fields x, y and z, which come first."""
    assert [(field.name, field.offset) for field in cloud.fields[:3]] == [("x", 0), ("y", 4), ("z", 8)]
    rows = np.frombuffer(cloud.data, np.uint8).reshape(cloud.height, cloud.width, cloud.point_step)
    return rows[..., :12].copy().view("<f4")
