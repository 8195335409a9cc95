# SPDX-License-Identifier: Apache-2.0
"""Beside Nav2, where it is installed; not seen to run yet: its manager leads our node, its costmap marks the drawn boxes."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from lifecycle_manager import Manager
from lifecycle_msgs.msg import State
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros_harness import RosHarness, installed_program

from vizion3d_ros.demo.processes import ros_args

LETHAL = 100  # of an OccupancyGrid


def test_its_lifecycle_manager_leads_a_node(ros: RosHarness) -> None:
    program = installed_program("nav2_lifecycle_manager", "lifecycle_manager")
    node = ros.start("stereo_depth_node", parameters={"autostart": False})
    manager = Manager(ros, "/stereo_depth_node")
    assert manager.state() == State.PRIMARY_STATE_UNCONFIGURED
    names = {"autostart": True, "bond_timeout": 0.0, "node_names": ["stereo_depth_node"]}
    nav2 = ros.start_program(program, *ros_args(names, {}))
    ros.wait_for(lambda: "The system is active" in nav2.log or "Managed nodes are active" in nav2.log, "the bring-up")
    assert manager.state() == State.PRIMARY_STATE_ACTIVE and "ready (" in node.log


def test_its_voxel_layer_marks_the_drawn_boxes_and_nothing_before_them(ros: RosHarness) -> None:
    program = installed_program("nav2_costmap_2d", "nav2_costmap_2d")
    tf = pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs is not installed")
    from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
    from nav_msgs.msg import OccupancyGrid
    from std_msgs.msg import Header

    # The camera looks along x of the robot from 1 m above the floor, as the scene is drawn.
    camera = Transform(translation=Vector3(z=1.0), rotation=Quaternion(x=-0.5, y=0.5, z=-0.5, w=0.5))
    frames = [("map", "base_link", Transform()), ("base_link", "stereo_left_optical", camera)]
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    ros.node.create_publisher(tf.TFMessage, "/tf_static", latched).publish(
        tf.TFMessage(
            transforms=[
                TransformStamped(header=Header(frame_id=parent), child_frame_id=child, transform=transform)
                for parent, child, transform in frames
            ]
        )
    )
    ros.start("demo.synthetic_camera_node", parameters={"width": 320, "height": 240, "focal_length": 260.0, "rate": 2.0})
    ros.start_stereo_node(cloud_voxel=0.05, z_far=6.0)
    layer = {
        "plugin": "nav2_costmap_2d::VoxelLayer",
        "z_resolution": 0.125,
        "z_voxels": 16,
        "observation_sources": "depth",
        "depth.topic": "/points2",
        "depth.data_type": "PointCloud2",
        "depth.min_obstacle_height": 0.15,
        "depth.max_obstacle_height": 2.0,
        "depth.obstacle_max_range": 4.0,
        "depth.raytrace_max_range": 5.0,
        "depth.marking": True,
        "depth.clearing": True,
    }
    grid = {"width": 8, "height": 8, "origin_x": -1.0, "origin_y": -4.0, "resolution": 0.1, "always_send_full_costmap": True}
    layers = {"plugins": ["voxel_layer"], **{f"voxel_layer.{name}": value for name, value in layer.items()}}
    nav2 = ros.start_program(program, *ros_args({**grid, **layers}, {}))
    manager = Manager(ros, "/costmap/costmap")
    assert manager.bring_up(), nav2.log
    maps = ros.listen("/costmap/costmap", OccupancyGrid)

    def is_marked(x_m: tuple[float, float], y_m: tuple[float, float]) -> bool:
        """Whether a cell of the newest map is an obstacle, in a rectangle before and beside the robot."""
        newest: OccupancyGrid = maps[-1]
        cells = np.array(newest.data).reshape(newest.info.height, newest.info.width)
        corner, size_m = newest.info.origin.position, newest.info.resolution
        (left, right), (low, high) = (
            [math.floor((side - start) / size_m) for side in sides] for sides, start in ((x_m, corner.x), (y_m, corner.y))
        )
        return bool((cells[low:high, left:right] == LETHAL).any())

    # The two boxes that stand on each other's place at the left, and the one at the right with a ball on it.
    ros.wait_for(lambda: maps and is_marked((2.3, 3.0), (0.9, 1.5)) and is_marked((2.1, 2.9), (-1.5, -0.8)), "the boxes")
    assert not is_marked((0.5, 2.0), (0.0, 0.3))
