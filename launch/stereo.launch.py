# SPDX-License-Identifier: Apache-2.0
"""Start stereo_depth_node on a rectified pair: ros2 launch vizion3d stereo.launch.py left_namespace:=/camera/left ..."""

from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription
from vizion3d_ros import fast_dds

ARGUMENTS = {
    "namespace": ("", "namespace of the node and its outputs"),
    "left_namespace": ("left", "where image_rect and camera_info of the left camera are"),
    "right_namespace": ("right", "where image_rect and camera_info of the right camera are"),
    "params_file": (None, "YAML file of parameters; the arguments below win over it"),
    "use_sim_time": ("false", "take the time from /clock, for bags"),
    "log_level": ("info", "debug, info, warn, error or fatal"),
    "model": ("sgbm", "stereo matcher"),
    "device": ("auto", "auto, cpu, mps, cuda or cuda:N"),
    "approximate_sync": ("false", "match stamps that are close instead of equal"),
    "rviz": ("false", "open RViz with a ready view"),
}


def generate_launch_description() -> LaunchDescription:
    """Arguments, one node, and RViz if it is wanted."""
    share = FindPackageShare("vizion3d")
    argument = {name: LaunchConfiguration(name) for name in ARGUMENTS}
    defaults = {name: default for name, (default, _) in ARGUMENTS.items()}
    defaults["params_file"] = PathJoinSubstitution([share, "config", "stereo.yaml"])
    node = Node(
        package="vizion3d",
        executable="stereo_depth_node",
        namespace=argument["namespace"],
        output="screen",
        parameters=[
            argument["params_file"],
            {
                "use_sim_time": ParameterValue(argument["use_sim_time"], value_type=bool),
                "model": argument["model"],
                "device": argument["device"],
                "approximate_sync": ParameterValue(argument["approximate_sync"], value_type=bool),
            },
        ],
        remappings=[
            (f"{side}/{topic}", [argument[f"{side}_namespace"], f"/{topic}"])
            for side in ("left", "right")
            for topic in ("image_rect", "camera_info")
        ],
        arguments=["--ros-args", "--log-level", argument["log_level"]],
    )
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        namespace=argument["namespace"],
        arguments=["-d", PathJoinSubstitution([share, "rviz", "stereo.rviz"])],
        condition=IfCondition(argument["rviz"]),
    )
    profiles = [
        # Large images get lost without it; a profile that is set already stays.
        SetEnvironmentVariable(name, EnvironmentVariable(name, default_value=path))
        for name, path in fast_dds.environment().items()
    ]
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=defaults[name], description=description)
                for name, (_, description) in ARGUMENTS.items()
            ),
            *profiles,
            node,
            rviz,
        ]
    )
