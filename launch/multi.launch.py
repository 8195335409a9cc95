# SPDX-License-Identifier: Apache-2.0
"""Start multi_depth_node: ros2 launch vizion3d multi.launch.py config:=rigs.yaml"""

from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchDescription

_ARGUMENTS = {
    "config": (None, "YAML file of the rigs; config/rigs.yaml of this package is an example"),
    "autostart": ("true", "load the models and begin at once; false: wait for a lifecycle manager, docs/lifecycle.md"),
    "use_sim_time": ("false", "take the time from /clock, for bags"),
    "log_level": ("info", "debug, info, warn, error or fatal"),
    "respawn": ("false", "start the process again when it ends"),
}


def generate_launch_description() -> LaunchDescription:
    """One process; names, topics and parameters of its nodes are in the file."""
    declared = [DeclareLaunchArgument(key, default_value=value, description=text) for key, (value, text) in _ARGUMENTS.items()]
    node = Node(
        package="vizion3d",
        executable="multi_depth_node",
        output="screen",
        parameters=[{name: LaunchConfiguration(name) for name in ("autostart", "use_sim_time")}],
        arguments=[LaunchConfiguration("config"), "--ros-args", "--log-level", LaunchConfiguration("log_level")],
        respawn=LaunchConfiguration("respawn"),
        respawn_delay=2.0,
    )
    return LaunchDescription([*declared, node])
