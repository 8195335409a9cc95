# SPDX-License-Identifier: Apache-2.0
"""Start mono_depth_node: ros2 launch vizion3d mono.launch.py image:=/camera/image_raw camera_info:=/camera/camera_info"""

from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription
from vizion3d_ros.launching import depth_launch


def generate_launch_description() -> LaunchDescription:
    """See `depth_launch`."""
    return depth_launch(
        "mono",
        executable="mono_depth_node",
        model="name, path or address of weights; depth is relative unless they are metric",
        arguments={
            "image": ("image_raw", "topic of the image"),
            "camera_info": ("camera_info", "topic of its CameraInfo"),
        },
        remappings=[
            (name, [LaunchConfiguration(argument)])
            for name, argument in (("image_raw", "image"), ("camera_info", "camera_info"))
        ],
    )
