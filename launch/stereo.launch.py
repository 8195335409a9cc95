# SPDX-License-Identifier: Apache-2.0
"""Start stereo_depth_node: ros2 launch vizion3d stereo.launch.py left_namespace:=/camera/left right_namespace:=/camera/right"""

from launch import LaunchDescription
from vizion3d_ros.launching import depth_launch, topic_in
from vizion3d_ros.settings import StereoSettings

_SIDES = ("left", "right")


def generate_launch_description() -> LaunchDescription:
    """See `depth_launch`."""
    arguments = {
        **{f"{side}_namespace": (side, f"where image_rect or image_raw and camera_info of {side} are") for side in _SIDES},
        **{f"{side}_image": ("", f"topic of the {side} image; empty: as {side}_namespace says") for side in _SIDES},
        **{f"{side}_info": ("", f"topic of the {side} CameraInfo; empty: as {side}_namespace says") for side in _SIDES},
    }
    chosen_by = {"image_rect": "image", "image_raw": "image", "camera_info": "info"}
    return depth_launch(
        "stereo",
        executable="stereo_depth_node",
        settings=StereoSettings,
        arguments=arguments,
        remappings=lambda given: {
            f"{side}/{name}": given[f"{side}_{word}"] or topic_in(given[f"{side}_namespace"], name)
            for side in _SIDES
            for name, word in chosen_by.items()
        },
    )
