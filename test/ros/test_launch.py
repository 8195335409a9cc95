# SPDX-License-Identifier: Apache-2.0
"""The launch files, where launch_ros is installed: every argument is declared, every parameter of the node exists."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import yaml

pytest.importorskip("launch_ros", reason="launch_ros is not installed")

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription
from vizion3d_ros import mono_frames, stereo_frames

LAUNCH = Path(__file__).parents[2] / "launch"
COMMON = {"namespace", "params_file", "use_sim_time", "log_level", "model", "device", "approximate_sync", "rviz"}


def describe(name: str) -> LaunchDescription:
    spec = importlib.util.spec_from_file_location(name, LAUNCH / f"{name}.launch.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description()


def node_of(name: str, **arguments: str) -> Node:
    """The depth node as it is made from the default arguments and these."""
    context = LaunchContext()
    entities = describe(name).entities
    for entity in entities:
        if isinstance(entity, DeclareLaunchArgument) and entity.name != "params_file":
            entity.execute(context)
    context.launch_configurations.update(arguments)
    return next(entity for entity in entities if isinstance(entity, OpaqueFunction)).execute(context)[0]


def test_only_given_arguments_override_the_parameter_file():
    assert overrides(node_of("stereo")) == {"use_sim_time": False}
    changed = node_of("stereo", model="sgbm", approximate_sync="true")
    assert overrides(changed) == {"model": "sgbm", "approximate_sync": True, "use_sim_time": False}


def overrides(node: Node) -> dict[str, object]:
    """What the node is given besides its parameter file."""
    plain = {}
    for name, value in node._Node__parameters[1].items():
        text = value if isinstance(value, bool) else yaml.safe_load("".join(part.text for part in value))
        plain["".join(part.text for part in name)] = text
    return plain


@pytest.mark.parametrize(
    ("name", "own"), [("stereo", {"left_namespace", "right_namespace", "rectify"}), ("mono", {"image", "camera_info"})]
)
def test_arguments_and_nodes(name, own):
    entities = describe(name).entities
    arguments = {entity.name for entity in entities if isinstance(entity, DeclareLaunchArgument)}
    assert arguments == COMMON | own
    assert all(entity.description for entity in entities if isinstance(entity, DeclareLaunchArgument))
    assert node_of(name).node_executable == f"{name}_depth_node"


@pytest.mark.parametrize(
    ("name", "inputs"), [("stereo", stereo_frames.INPUTS | stereo_frames.RAW_INPUTS), ("mono", mono_frames.INPUTS)]
)
def test_remappings_name_inputs_of_the_node(name, inputs):
    remapped = {"".join(part.text for part in source) for source, _ in node_of(name)._Node__remappings}
    assert remapped == set(inputs)
