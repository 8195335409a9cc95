# SPDX-License-Identifier: Apache-2.0
"""What the launch files share. Imports launch and launch_ros, so only launch files import this."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import Field
from typing import Any

import yaml
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchContext, LaunchDescription
from vizion3d.option_records import Options, walk
from vizion3d_ros.parameters import describe

# argument: (default, description)
_COMMON_ARGUMENTS = {
    "namespace": ("", "namespace of the node and its outputs"),
    "use_sim_time": ("", "take the time from /clock, for bags; empty: as params_file says"),
    "log_level": ("info", "debug, info, warn, error or fatal"),
    "respawn": ("false", "start the node again when it ends"),
    "rviz": ("false", "open RViz with a ready view"),
}
_RESPAWN_DELAY_S = 2.0


def depth_launch(
    name: str,
    executable: str,
    settings: type[Options],
    arguments: dict[str, tuple[str, str]],
    remappings: Callable[[dict[str, str]], dict[str, str]],
) -> LaunchDescription:
    """One depth node with its arguments, and RViz if it is wanted.

    Every parameter of the node is an argument too. What is not given is as params_file says.

    Args:
        name: of the files config/NAME.yaml and rviz/NAME.rviz.
        executable: of the node.
        settings: its parameters.
        arguments: further arguments: (default, description).
        remappings: input of the node -> topic, from the values of `arguments`.
    """
    share = FindPackageShare("vizion3d")
    parameters = dict(walk(settings))
    own = {**arguments, **_COMMON_ARGUMENTS}
    described = {**own, **{key: ("", f"{describe(field)}; empty: as params_file says") for key, field in parameters.items()}}
    params_file = DeclareLaunchArgument(
        "params_file",
        default_value=PathJoinSubstitution([share, "config", f"{name}.yaml"]),
        description="YAML file of parameters; the other arguments win over it where they are given",
    )

    def make_nodes(context: LaunchContext) -> list[Node]:
        given = {key: LaunchConfiguration(key).perform(context) for key in described}
        sim_time = {"use_sim_time": yaml.safe_load(given["use_sim_time"])} if given["use_sim_time"] else {}
        overrides = {key: _value(field, given[key]) for key, field in parameters.items() if given[key]}
        if yaml.safe_load(given["rviz"]) and shutil.which("rviz2") is None:
            raise RuntimeError("rviz:=true needs RViz, and there is no rviz2: apt install ros-$ROS_DISTRO-rviz2")
        rviz = Node(
            package="vizion3d",
            executable="rviz_in_camera_frame",
            namespace=given["namespace"],
            arguments=["-d", PathJoinSubstitution([share, "rviz", f"{name}.rviz"])],
            parameters=[sim_time],
            condition=IfCondition(given["rviz"]),
        )
        node = Node(
            package="vizion3d",
            executable=executable,
            name=executable,  # so that the overrides win over a params_file that names the node
            namespace=given["namespace"],
            output="screen",
            parameters=[LaunchConfiguration("params_file"), {**overrides, **sim_time}],
            remappings=list(remappings(given).items()),
            arguments=["--ros-args", "--log-level", given["log_level"]],
            respawn=yaml.safe_load(given["respawn"]),
            respawn_delay=_RESPAWN_DELAY_S,
        )
        return [rviz, node]

    declared = [
        DeclareLaunchArgument(key, default_value=default, description=text) for key, (default, text) in described.items()
    ]
    return LaunchDescription([params_file, *declared, OpaqueFunction(function=make_nodes)])


def topic_in(namespace: str, name: str) -> str:
    """The topic of this name in a namespace, which may end in a slash."""
    return f"{namespace.rstrip('/')}/{name}"


def _value(field: Field[Any], text: str) -> Any:
    """The text of an argument as the type that the parameter has."""
    kind = field.metadata["kind"]
    if kind is str:
        return ParameterValue(text, value_type=str)  # or it would become what YAML makes of it
    return float(text) if kind is float else yaml.safe_load(text)
