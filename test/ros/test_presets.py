# SPDX-License-Identifier: Apache-2.0
"""docs/presets.md against a real node: what packages behind it subscribe to is what it publishes, and its arguments exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

pytest.importorskip("rclpy")
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from ros_harness import RosHarness

from vizion3d.option_records import walk
from vizion3d_ros import stereo_frames
from vizion3d_ros.demo.domains import reserved_domain
from vizion3d_ros.settings import StereoSettings

PAGE = (Path(__file__).parents[2] / "docs/presets.md").read_text(encoding="utf-8")
LINES = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
# What is subscribed to, by the sources that the page cites; the topics are those that the page gives.
SUBSCRIBED = {
    "voxel layer": [("topic: ", "sensor_msgs/msg/PointCloud2")],
    "depthimage_to_laserscan": [("depth:=", "sensor_msgs/msg/Image"), ("depth_camera_info:=", "sensor_msgs/msg/CameraInfo")],
    "RTAB-Map": [("depth_topic:=", "sensor_msgs/msg/Image")],
    "OctoMap": [("cloud_in:=", "sensor_msgs/msg/PointCloud2")],
}


def test_consumers_find_their_topics_at_a_real_node():
    with reserved_domain() as domain, RosHarness(domain) as ros:
        ros.start_stereo_node()
        for consumer, wanted in SUBSCRIBED.items():
            section = PAGE.partition(consumer + "\n")[2].partition("\n### ")[0]
            for words, kind in wanted:
                topic = re.search(rf"(?:^|\s){re.escape(words)}(/\S+)", section)[1]
                (offer,) = ros.wait_for(lambda topic=topic: ros.node.get_publishers_info_by_topic(topic), topic)
                assert offer.topic_type == kind
                assert offer.qos_profile.reliability == ReliabilityPolicy.RELIABLE
                assert offer.qos_profile.durability == DurabilityPolicy.VOLATILE


def test_arguments_of_our_launch_file_exist():
    own = {f"{side}_{word}" for side in ("left", "right") for word in ("namespace", "image", "info")}
    launches = [shlex.split(line)[4:] for line in LINES if line.startswith("ros2 launch vizion3d stereo.launch.py")]
    assert len(launches) == 5
    for words in launches:
        given = dict(word.split(":=") for word in words)
        assert given.keys() <= own | {name for name, _ in walk(StereoSettings)}
        if "left_image" in given:  # the right camera's topics are the left one's with another name in them
            for word in ("image", "info"):
                left, right = given[f"left_{word}"], given[f"right_{word}"]
                assert right in (left.replace("left", "right"), left.replace("infra1", "infra2")) and right != left


def test_parameters_are_yaml_and_name_our_cloud():
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
    layer = blocks[-1]["local_costmap"]["local_costmap"]["ros__parameters"]["voxel_layer"]
    source = layer[layer["observation_sources"]]
    assert source["topic"].lstrip("/") in stereo_frames.OUTPUTS and source["data_type"] == "PointCloud2"
    assert "inf_is_valid" not in source
