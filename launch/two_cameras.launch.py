# SPDX-License-Identifier: Apache-2.0
"""An example: two stereo cameras, /front and /rear, each with a depth node in its own namespace.

Each include is in a scope of its own. Without it the arguments of the first would be defaults of the second.
"""

from launch.actions import GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

_CAMERAS = ("front", "rear")


def generate_launch_description() -> LaunchDescription:
    """One `stereo.launch.py` for each camera."""
    stereo = PathJoinSubstitution([FindPackageShare("vizion3d"), "launch", "stereo.launch.py"])

    def include(camera: str) -> GroupAction:
        arguments = {
            "namespace": camera,
            "left_namespace": f"/{camera}/left",
            "right_namespace": f"/{camera}/right",
            "frame_id": f"{camera}_left_optical",
        }
        one = IncludeLaunchDescription(PythonLaunchDescriptionSource(stereo), launch_arguments=arguments.items())
        return GroupAction([one], scoped=True, forwarding=False)

    return LaunchDescription([include(camera) for camera in _CAMERAS])
