# SPDX-License-Identifier: Apache-2.0
"""What the launch files share. Imports launch and launch_ros, so only launch files import this."""

from __future__ import annotations

import yaml
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from launch import LaunchContext, LaunchDescription

# argument: (default, description)
_COMMON_ARGUMENTS = {
    "namespace": ("", "namespace of the node and its outputs"),
    "use_sim_time": ("false", "take the time from /clock, for bags"),
    "log_level": ("info", "debug, info, warn, error or fatal"),
    "rviz": ("false", "open RViz with a ready view"),
}
# Arguments that are parameters of the node too. Empty leaves the choice to params_file.
_PARAMETERS = {
    "device": "auto, cpu, mps, cuda or cuda:N",
    "approximate_sync": "true: match stamps that are close instead of equal",
}


def depth_launch(
    name: str,
    executable: str,
    model: str,
    arguments: dict[str, tuple[str, str]],
    remappings: list[tuple[str, list[LaunchConfiguration | str]]],
    own_parameters: dict[str, str] | None = None,
) -> LaunchDescription:
    """One depth node with its arguments, and RViz if it is wanted.

    Args:
        name: of the files config/NAME.yaml and rviz/NAME.rviz.
        executable: of the node.
        model: what the argument `model` may be.
        arguments: further arguments: (default, description).
        remappings: of the node's inputs.
        own_parameters: further arguments that are parameters of the node: description.
    """
    share = FindPackageShare("vizion3d")
    texts = {"model": model, **(own_parameters or {}), **_PARAMETERS}
    parameters = {key: f"{text}; empty: as params_file says" for key, text in texts.items()}
    described = {**arguments, **_COMMON_ARGUMENTS, **{key: ("", text) for key, text in parameters.items()}}
    params_file = DeclareLaunchArgument(
        "params_file",
        default_value=PathJoinSubstitution([share, "config", f"{name}.yaml"]),
        description="YAML file of parameters; the other arguments win over it",
    )

    def make_node(context: LaunchContext) -> list[Node]:
        given = {key: LaunchConfiguration(key).perform(context) for key in (*parameters, "use_sim_time")}
        overrides = {key: yaml.safe_load(text) for key, text in given.items() if text}
        return [
            Node(
                package="vizion3d",
                executable=executable,
                name=executable,  # so that the overrides win over a params_file that names the node
                namespace=LaunchConfiguration("namespace"),
                output="screen",
                parameters=[LaunchConfiguration("params_file"), overrides],
                remappings=remappings,
                arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
            )
        ]

    rviz = Node(
        package="rviz2",
        executable="rviz2",
        namespace=LaunchConfiguration("namespace"),
        arguments=["-d", PathJoinSubstitution([share, "rviz", f"{name}.rviz"])],
        condition=IfCondition(LaunchConfiguration("rviz")),
    )
    declared = [
        DeclareLaunchArgument(key, default_value=default, description=text) for key, (default, text) in described.items()
    ]
    # RViz first: where it is not installed the launch ends there, and no node is left behind.
    return LaunchDescription([params_file, *declared, rviz, OpaqueFunction(function=make_node)])
