# SPDX-License-Identifier: Apache-2.0
"""A listener that stops reading, one that is killed and a node that is killed cost the others no frame."""

from __future__ import annotations

import os
import signal

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from ros_harness import StereoSource
from sensor_msgs.msg import Image

from vizion3d.camera import PinholeCamera, StereoRig
from vizion3d.synthetic import default_scene, render_stereo
from vizion3d_ros.conversions import stamp_ns

RIG = StereoRig(PinholeCamera(64, 48, 52.0, 52.0, 31.5, 23.5), baseline_m=0.12)
START_NS = 1_700_000_000_000_000_000
LISTENER = """
import rclpy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node("other_listener")
node.create_subscription(Image, "depth/image_rect", lambda _: print("heard"), 5)
rclpy.spin(node)
"""


def test_stops_and_deaths_cost_the_others_no_frame(ros, tmp_path):
    script = tmp_path / "listener.py"
    script.write_text(LISTENER)
    node, other = ros.start("stereo_depth_node"), ros.start_script(script)
    depths = ros.listen("depth/image_rect", Image)
    source, frame = StereoSource(ros), render_stereo(default_scene(), RIG)
    stamp = START_NS

    def is_answered() -> bool:
        return bool(depths) and stamp_ns(depths[-1].header.stamp) == stamp

    def go_on(frames: int) -> None:
        nonlocal stamp
        for _ in range(frames):
            stamp += 100_000_000
            source.publish(frame.left, frame.right, RIG, stamp)
            ros.wait_for(is_answered, "depth of each pair")

    source.wait_for_subscribers()
    ros.wait_for(lambda: go_on(1) or "heard" in other.log, "the other listener")
    os.killpg(other.pid, signal.SIGSTOP)
    try:
        go_on(15)
    finally:
        os.killpg(other.pid, signal.SIGKILL)
    other.wait()
    go_on(5)
    os.killpg(node.pid, signal.SIGKILL)
    node.wait()
    again = ros.start_stereo_node()
    go_on(5)
    assert again.is_alive and "[ERROR]" not in again.log, again.log
