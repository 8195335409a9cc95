# SPDX-License-Identifier: Apache-2.0
"""The launch files, where launch_ros is installed: every argument is declared, every parameter of the node exists."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("launch_ros", reason="launch_ros is not installed")

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch_ros.actions import Node
from launch_ros.utilities import evaluate_parameters

from launch import LaunchContext, LaunchDescription
from vizion3d.option_records import walk
from vizion3d_ros import mono_frames, stereo_frames
from vizion3d_ros.settings import MonoSettings, StereoSettings

LAUNCH = Path(__file__).parents[2] / "launch"
COMMON = {"namespace", "params_file", "use_sim_time", "log_level", "respawn", "rviz"}


def describe(name: str) -> LaunchDescription:
    spec = importlib.util.spec_from_file_location(name, LAUNCH / f"{name}.launch.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description()


def nodes_of(name: str, **arguments: str) -> list[Node]:
    """RViz and the depth node as they are made from the default arguments and these."""
    context = LaunchContext()
    entities = describe(name).entities
    for entity in entities:
        if isinstance(entity, DeclareLaunchArgument) and entity.name != "params_file":
            entity.execute(context)
    context.launch_configurations.update(arguments)
    return next(entity for entity in entities if isinstance(entity, OpaqueFunction)).execute(context)


def node_of(name: str, **arguments: str) -> Node:
    return nodes_of(name, **arguments)[1]


def test_only_given_arguments_override_the_parameter_file():
    assert overrides(node_of("stereo")) == {}
    changed = node_of("stereo", model="sgbm", approximate_sync="true", use_sim_time="true", z_far="7", frame_id="12")
    expected = {"model": "sgbm", "approximate_sync": True, "use_sim_time": True, "z_far": 7.0, "frame_id": "12"}
    assert overrides(changed) == expected
    rviz = nodes_of("stereo", use_sim_time="true")[0]
    assert overrides(rviz, 0) == {"use_sim_time": True}


def test_the_rigs_of_a_file_start_by_themselves_or_wait_for_a_manager():
    for given, expected in (({}, True), ({"autostart": "false"}, False)):
        context = LaunchContext()
        context.launch_configurations.update({"config": "rigs.yaml"} | given)
        *declared, node = describe("multi").entities
        for argument in declared:
            argument.execute(context)
        parameters = evaluate_parameters(context, node._Node__parameters)
        assert parameters[0] == {"autostart": expected, "use_sim_time": False}


def test_without_rviz_the_launch_ends_before_a_node_starts(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError, match="rviz:=true needs RViz"):
        nodes_of("stereo", rviz="true")


def overrides(node: Node, index: int = 1) -> dict[str, object]:
    """What the node is given besides its parameter file."""
    context = LaunchContext()
    return evaluate_parameters(context, [node._Node__parameters[index]])[0] if node._Node__parameters[index] else {}


@pytest.mark.parametrize(
    ("name", "own", "settings"),
    [
        ("stereo", {f"{side}_{word}" for side in ("left", "right") for word in ("namespace", "image", "info")}, StereoSettings),
        ("mono", {"image", "camera_info"}, MonoSettings),
    ],
)
def test_arguments_and_nodes(name, own, settings):
    entities = describe(name).entities
    arguments = {entity.name for entity in entities if isinstance(entity, DeclareLaunchArgument)}
    assert arguments == COMMON | own | {option for option, _ in walk(settings)}
    assert all(entity.description for entity in entities if isinstance(entity, DeclareLaunchArgument))
    assert node_of(name).node_executable == f"{name}_depth_node"


@pytest.mark.parametrize(
    ("name", "inputs"), [("stereo", stereo_frames.INPUTS | stereo_frames.RAW_INPUTS), ("mono", mono_frames.INPUTS)]
)
def test_remappings_name_inputs_of_the_node(name, inputs):
    remapped = {"".join(part.text for part in source) for source, _ in node_of(name)._Node__remappings}
    assert remapped == set(inputs)


@pytest.mark.parametrize("namespace", ["/cam/left", "/cam/left/"])
def test_topics_of_a_namespace_and_single_ones(namespace):
    node = node_of("stereo", left_namespace=namespace, right_image="/cam/right/image", respawn="true")
    remapped = {text(source): text(target) for source, target in node._Node__remappings}
    assert remapped == {
        "left/image_rect": "/cam/left/image_rect",
        "left/image_raw": "/cam/left/image_raw",
        "left/camera_info": "/cam/left/camera_info",
        "right/image_rect": "/cam/right/image",
        "right/image_raw": "/cam/right/image",
        "right/camera_info": "right/camera_info",
    }


def text(parts) -> str:
    return "".join(part.text for part in parts)
