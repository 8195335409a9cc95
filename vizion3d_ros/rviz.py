# SPDX-License-Identifier: Apache-2.0
"""rviz_in_camera_frame: RViz, with its fixed frame that of the depth which a node publishes: depth/camera_info is asked for it.

RViz shows nothing in a frame that it does not know, and each camera's is called otherwise. All arguments are RViz's.
"""

from __future__ import annotations

if __name__ == "__main__":  # before the slow imports, for Ctrl-C to be quiet during them
    from vizion3d_ros import program

    program.rviz_in_camera_frame()

import os
import sys

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo

from vizion3d.errors import DependencyError
from vizion3d_ros.program import run_nodes


class FrameFinder(Node):
    """Puts the frame of each message of a depth node into a list."""

    def __init__(self, frame_ids: list[str]) -> None:
        super().__init__("rviz_in_camera_frame", start_parameter_services=False)
        best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        self.create_subscription(
            CameraInfo, "depth/camera_info", lambda info: frame_ids.append(info.header.frame_id), best_effort
        )
        self.get_logger().info("RViz starts with the first frame of the depth node")


def main() -> int:
    """Wait, then become RViz.

    Raises:
        DependencyError: there is no rviz2.
    """
    frame_ids: list[str] = []

    def make(nodes: list[FrameFinder]) -> None:
        nodes.append(FrameFinder(frame_ids))

    status = run_nodes(make, until=lambda _: bool(frame_ids))
    if not frame_ids:
        return status
    try:
        os.execvp("rviz2", ["rviz2", *sys.argv[1:], "-f", frame_ids[0]])
    except FileNotFoundError:
        raise DependencyError("there is no rviz2: apt install ros-$ROS_DISTRO-rviz2") from None
