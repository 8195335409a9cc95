# SPDX-License-Identifier: Apache-2.0
"""Start mono_depth_node: ros2 launch vizion3d mono.launch.py image:=/camera/image_raw camera_info:=/camera/camera_info"""

from launch import LaunchDescription
from vizion3d_ros.launching import depth_launch
from vizion3d_ros.settings import MonoSettings


def generate_launch_description() -> LaunchDescription:
    """See `depth_launch`."""
    return depth_launch(
        "mono",
        executable="mono_depth_node",
        settings=MonoSettings,
        arguments={
            "image": ("image_raw", "topic of the image"),
            "camera_info": ("camera_info", "topic of its CameraInfo"),
        },
        remappings=lambda given: {"image_raw": given["image"], "camera_info": given["camera_info"]},
    )
