# SPDX-License-Identifier: Apache-2.0
"""Depth and points of a stereo_depth_node with the usual packages: python3 examples/listen.py [--ros-args -r __ns:=/robot]"""

from contextlib import suppress

import message_filters
import numpy as np
import rclpy
from cv_bridge import CvBridge
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from sensor_msgs.msg import Image, PointCloud2
from sensor_msgs_py.point_cloud2 import read_points

from vizion3d_ros.pairing_filter import PairingFilter


class Listener(Node):
    """Says how far the middle of the picture is and where the nearest point is."""

    def __init__(self) -> None:
        super().__init__("listener")
        depth = message_filters.Subscriber(self, Image, "depth/image_rect")
        cloud = message_filters.Subscriber(self, PointCloud2, "points2")
        self.pairs = PairingFilter([depth, cloud])  # goes on when a bag loops, which ApproximateTimeSynchronizer does not
        self.pairs.registerCallback(self.on_frame)
        self.bridge = CvBridge()

    def on_frame(self, depth: Image, cloud: PointCloud2) -> None:
        depth_m = self.bridge.imgmsg_to_cv2(depth)
        points = read_points(cloud, field_names=("x", "y", "z"), skip_nans=True)
        nearest = points[np.argmin(points["z"])]  # optical frame: x right, y down, z forward
        middle_m = np.nanmedian(depth_m[depth.height // 3 : -depth.height // 3, depth.width // 3 : -depth.width // 3])
        place = ", ".join(f"{nearest[axis]:.2f}" for axis in "xyz")
        self.get_logger().info(
            f"middle {middle_m:.2f} m, nearest of {len(points)} points at ({place}) m in {depth.header.frame_id}"
        )


rclpy.init()
with suppress(KeyboardInterrupt, ExternalShutdownException):
    rclpy.spin(Listener())
