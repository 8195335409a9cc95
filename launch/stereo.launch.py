# SPDX-License-Identifier: Apache-2.0
"""Start stereo_depth_node: ros2 launch vizion3d stereo.launch.py left_namespace:=/camera/left right_namespace:=/camera/right"""

from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription
from vizion3d_ros.launching import depth_launch


def generate_launch_description() -> LaunchDescription:
    """See `depth_launch`."""
    return depth_launch(
        "stereo",
        executable="stereo_depth_node",
        model="sgbm, or S2M2 weights: s2m2-s to s2m2-xl, a path or an address",
        arguments={
            "left_namespace": ("left", "where image_rect or image_raw and camera_info of the left camera are"),
            "right_namespace": ("right", "where image_rect or image_raw and camera_info of the right camera are"),
        },
        remappings=[
            (f"{side}/{topic}", [LaunchConfiguration(f"{side}_namespace"), f"/{topic}"])
            for side in ("left", "right")
            for topic in ("image_rect", "image_raw", "camera_info")
        ],
        own_parameters={"rectify": "true: take image_raw and rectify it in the node; false: take image_rect"},
    )
