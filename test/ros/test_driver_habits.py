# SPDX-License-Identifier: Apache-2.0
"""What drivers really send, over DDS: CameraInfo in every way, cameras that are late, topics that do not fit."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from ros_harness import float_map, make_header
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from vizion3d.camera import PinholeCamera, StereoRig
from vizion3d.synthetic import default_scene, render_stereo
from vizion3d_ros import conversions

RIG = StereoRig(PinholeCamera(64, 48, 52.0, 52.0, 31.5, 23.5), baseline_m=0.12)
START_NS = 1_700_000_000_000_000_000
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
VOLATILE = QoSProfile(depth=5)
SIDES = ("left", "right")


class Driver:
    """A stereo camera in the test's process that can be made to have habits."""

    def __init__(
        self, ros, info_qos=VOLATILE, image_qos=VOLATILE, image_kind=Image, suffix="", compress=("png", "rgb8")
    ) -> None:
        self.ros, self.frame = ros, render_stereo(default_scene(), RIG)
        self.compress = compress if image_kind is CompressedImage else None
        node = ros.node
        self.images = {side: node.create_publisher(image_kind, f"{side}/image_rect{suffix}", image_qos) for side in SIDES}
        self.infos = {side: node.create_publisher(CameraInfo, f"{side}/camera_info", info_qos) for side in SIDES}

    def wait_for_subscribers(self) -> None:
        publishers = (*self.images.values(), *self.infos.values())
        self.ros.wait_for(lambda: all(one.get_subscription_count() for one in publishers), "subscriptions of the node")

    def send_images(self, number: int, sides=SIDES) -> None:
        header = make_header(stamp_of(number))
        for side in sides:
            self.images[side].publish(self.image(getattr(self.frame, side), header))

    def image(self, rgb, header):
        if self.compress is None:
            return conversions.image_from_array(rgb, "rgb8", header)
        kind, encoding = self.compress
        pixels = rgb[..., ::-1] if encoding == "rgb8" else cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        data = cv2.imencode(f".{kind}", pixels)[1].tobytes()
        return CompressedImage(header=header, format=f"{encoding}; {kind} compressed ", data=data)

    def send_infos(self, stamp_ns: int, rig=RIG) -> None:
        header = make_header(stamp_ns)
        self.infos["left"].publish(conversions.camera_info(rig.left, header))
        self.infos["right"].publish(conversions.camera_info(rig.right, header, rig.baseline_m))

    def run(self, count: int, period_s: float, each=lambda number: None, sides=SIDES) -> None:
        """Send numbered pairs at a steady rate, and whatever `each` sends after them."""
        self.run_until(lambda sent: sent == count, f"{count} pairs to be sent", period_s, each, sides)

    def run_until(self, enough, what: str, period_s: float = 0.1, each=lambda number: None, sides=SIDES) -> None:
        """Send until `enough` of the number of pairs sent: nobody owes an answer to a certain one of them."""
        begin_s, sent = time.monotonic(), 0

        def step() -> bool:
            nonlocal sent
            if time.monotonic() >= begin_s + sent * period_s:
                if enough(sent):
                    return True
                self.send_images(sent, sides)
                each(sent)
                sent += 1
            return False

        self.ros.wait_for(step, what)


def stamp_of(number: int) -> int:
    return START_NS + number * 100_000_000


def answered(depths) -> set[int]:
    """Numbers of the pairs that depth came of."""
    return {(conversions.stamp_ns(depth.header.stamp) - START_NS) // 100_000_000 for depth in depths}


@pytest.mark.parametrize("node_first", [True, False], ids=["node first", "camera first"])
def test_camera_info_that_is_sent_once_and_kept_for_later_is_enough(ros, node_first):
    if not node_first:
        driver = Driver(ros, LATCHED)
        driver.send_infos(0)
    node = ros.start_stereo_node()
    depths = ros.listen("depth/image_rect", Image)
    if node_first:
        ros.wait_for(lambda: ros.node.count_subscribers("left/camera_info"), "a subscription before there is a camera")
        driver = Driver(ros, LATCHED)
        driver.send_infos(0)
    driver.wait_for_subscribers()
    ros.spin_for(3.5)  # a period with CameraInfo and no image
    driver.run_until(lambda _: len(answered(depths)) >= 5, "five answers")
    assert "get lost" not in node.log
    assert "incompatible" not in node.log and "QoS" not in node.log and "approximate_sync" not in node.log


@pytest.mark.parametrize("stamp_ns", [0, START_NS - 10**15], ids=["stamp 0", "old stamp"])
def test_camera_info_at_its_own_rate_is_good_for_every_image(ros, stamp_ns):
    node = ros.start_stereo_node()
    depths = ros.listen("depth/image_rect", Image)
    driver = Driver(ros)
    driver.wait_for_subscribers()

    def without_info(_) -> bool:
        return sum(number % 10 != 0 for number in answered(depths)) >= 10

    driver.run_until(without_info, "answers", each=lambda number: number % 10 or driver.send_infos(stamp_ns))
    assert "[WARN]" not in node.log


def test_a_later_publisher_that_keeps_nothing_is_heard_too(ros):
    node = ros.start_stereo_node()
    depths = ros.listen("depth/image_rect", Image)
    driver = Driver(ros, LATCHED)
    driver.send_infos(0)
    driver.wait_for_subscribers()
    driver.run_until(lambda _: depths, "depth")
    for publisher in (*driver.images.values(), *driver.infos.values()):
        ros.node.destroy_publisher(publisher)
    other = Driver(ros, VOLATILE)
    other.wait_for_subscribers()
    other.run(10, 0.1, lambda number: other.send_infos(stamp_of(number)))
    assert "incompatible" not in node.log


def test_a_qos_that_the_user_chose_wins_and_its_misfit_is_named(ros):
    override = {"qos_overrides./left/camera_info.subscription.durability": "transient_local"}
    node = ros.start_stereo_node(**override)
    ros.listen("depth/image_rect", Image)
    driver = Driver(ros, VOLATILE)
    text = (
        "/left/camera_info of test_probe is published volatile but subscribed transient_local: "
        "set durability in qos_overrides to volatile"
    )
    driver.run_until(lambda _: text in node.log, "the misfit", each=lambda number: driver.send_infos(0))


def test_another_size_is_refused_until_its_camera_info_comes(ros):
    node = ros.start_stereo_node()
    depths = ros.listen("depth/image_rect", Image)
    driver = Driver(ros)
    driver.wait_for_subscribers()
    driver.run_until(lambda _: depths, "depth of the first size", each=lambda _: driver.send_infos(0))
    small = StereoRig(PinholeCamera(32, 24, 26.0, 26.0, 15.5, 11.5), baseline_m=0.12)
    driver.frame = render_stereo(default_scene(), small)
    refusal = "the image is 32x24 now but no CameraInfo for this size came: the newest is for 64x48"
    driver.run_until(lambda _: refusal in node.log, "the refusal")
    assert {depth.width for depth in depths} == {64}
    driver.run_until(lambda _: depths[-1].width == 32, "depth of the new size", each=lambda _: driver.send_infos(0, small))


def test_a_camera_that_is_half_a_second_late_pairs(ros):
    node = ros.start_stereo_node()
    depths = ros.listen("depth/image_rect", Image)
    driver = Driver(ros)
    driver.wait_for_subscribers()
    late = 5

    def send_late(number: int) -> None:
        driver.send_infos(0)
        if number >= late:
            driver.send_images(number - late, ("right",))

    driver.run_until(lambda _: len(answered(depths)) >= 15, "pairs", each=send_late, sides=("left",))
    assert "none match" not in node.log


def test_publishers_of_best_effort_that_the_user_asks_reliably_are_named(ros):
    node = ros.start_stereo_node(**{"qos_overrides./left/image_rect.subscription.reliability": "reliable"})
    ros.listen("depth/image_rect", Image)
    driver = Driver(ros, image_qos=QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT))
    ros.wait_for(lambda: driver.images["right"].get_subscription_count(), "a subscription")
    text = "/left/image_rect of test_probe is published best effort but subscribed reliable: set reliability in qos_overrides"
    ros.wait_for(lambda: driver.send_infos(0) or text in node.log, "the misfit")


@pytest.mark.parametrize(("kind", "encoding"), [("jpeg", "rgb8"), ("png", "mono8")])
def test_compressed_images_are_taken_on_the_same_inputs(ros, kind, encoding):
    node = ros.start_stereo_node(image_transport="compressed")
    depths = ros.listen("depth/image_rect", Image)
    driver = Driver(ros, image_kind=CompressedImage, suffix="/compressed", compress=(kind, encoding))
    driver.wait_for_subscribers()
    driver.run_until(lambda _: depths, "depth", each=lambda number: driver.send_infos(stamp_of(number)))
    assert np.isfinite(float_map(depths[-1])).mean() > 0.5
    assert "[WARN]" not in node.log


def test_a_topic_of_another_type_is_named_with_what_to_set(ros):
    node = ros.start_stereo_node()
    ros.listen("depth/image_rect", Image)
    driver = Driver(ros, image_kind=CompressedImage, compress=("png", "mono8"))
    text = (
        "/left/image_rect of test_probe is a sensor_msgs/msg/CompressedImage, not a sensor_msgs/msg/Image: "
        "set image_transport to compressed"
    )
    ros.wait_for(lambda: driver.send_infos(0) or text in node.log, "the misfit")


@pytest.mark.parametrize(
    ("suffix", "kind", "text"),
    [
        ("/compressed", CompressedImage, "Did you mean /left/image_rect/compressed? Then set image_transport:=compressed"),
        ("_raw", Image, "Did you mean /left/image_rect_raw? Then set -r left/image_rect:=/left/image_rect_raw"),
    ],
)
def test_a_similar_topic_is_suggested(ros, suffix, kind, text):
    node = ros.start_stereo_node()
    ros.listen("depth/image_rect", Image)
    Driver(ros, image_kind=kind, suffix=suffix)
    ros.wait_for(lambda: text in node.log, "the suggestion")
    assert "nobody publishes /left/image_rect, /right/image_rect." in node.log


def test_while_nobody_listens_a_missing_camera_is_told_once(ros):
    node = ros.start_stereo_node()
    ros.spin_for(10)  # three reports
    assert node.log.count("nobody publishes") == 1
    ros.listen("depth/image_rect", Image)
    ros.wait_for(lambda: node.log.count("nobody publishes") > 1, "words for the listener")


def test_a_slow_camera_is_not_called_silent(ros):
    node = ros.start_stereo_node()
    depths = ros.listen("depth/image_rect", Image)
    driver = Driver(ros)
    driver.wait_for_subscribers()
    driver.run(3, 4.0, lambda number: driver.send_infos(stamp_of(number)))
    assert depths
    assert "nothing arrives" not in node.log and "none match" not in node.log


def test_a_clock_that_is_missing_and_stamps_of_zero_are_told(ros):
    node = ros.start_stereo_node(use_sim_time=True)
    depths = ros.listen("depth/image_rect", Image)
    driver = Driver(ros)
    driver.wait_for_subscribers()
    ros.wait_for(lambda: "use_sim_time is true but nobody publishes /clock: play the bag with --clock" in node.log, "the clock")
    header = make_header(0)
    text = "all stamps on /left/image_rect, /right/image_rect are 0: let the driver stamp its images"

    def send_unstamped() -> bool:
        for side in SIDES:
            driver.images[side].publish(driver.image(getattr(driver.frame, side), header))
        driver.send_infos(0)
        ros.spin_for(0.1)
        return depths and text in node.log

    ros.wait_for(send_unstamped, "words on the stamps")
