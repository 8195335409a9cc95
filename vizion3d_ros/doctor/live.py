# SPDX-License-Identifier: Apache-2.0
"""Facts about a rig from a running robot: its topics are found, listened to for some seconds, and let go."""

from __future__ import annotations

import os
import time
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, Image

from vizion3d.errors import InputError
from vizion3d_ros import fast_dds, graph
from vizion3d_ros.camera_topics import IMAGE_TYPE, INFO_TYPE, CameraTopics, find_camera
from vizion3d_ros.doctor.facts import RigFacts, Traffic
from vizion3d_ros.program import end

_MESSAGE_TYPES = {IMAGE_TYPE: Image, INFO_TYPE: CameraInfo}
_DISCOVERY_S = 5.0
# After the images of both cameras are found, for their CameraInfo to be found as well.
_SETTLE_S = 1.0
_POLL_S = 0.1


def collect(left: str, right: str, seconds: float) -> RigFacts:
    """Find the topics and listen.

    Args:
        left, right: namespaces, or image topics, of the cameras.
        seconds: how long to listen.

    Raises:
        InputError: after some seconds there is no such topic.
    """
    fast_dds.use()
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = None
    try:
        node = Node("vizion3d_doctor", start_parameter_services=False)
        return _collect(node, left, right, seconds)
    finally:
        end(node)


def _collect(node: Node, left: str, right: str, seconds: float) -> RigFacts:
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    domain = os.environ.get("ROS_DOMAIN_ID") or "0"
    types, cameras = _find(node, executor, (left, right), f"ROS domain {domain}")
    traffic = Traffic(*cameras)
    qos = {name: _publisher_qos(node, name) for name in traffic.names}
    for name in traffic.names:
        node.create_subscription(
            _MESSAGE_TYPES[types[name]],
            name,
            lambda cdr, name=name: traffic.add(name, time.time_ns(), cdr),
            _listening_qos(node, name),
            raw=True,
        )
    _spin(executor, seconds)
    executor.shutdown()
    source = f"ROS domain {domain}, {seconds:g} s"
    return traffic.facts(source, True, types, qos, lambda cdr, kind: deserialize_message(cdr, _MESSAGE_TYPES[kind]))


def _find(
    node: Node, executor: SingleThreadedExecutor, namespaces: tuple[str, str], where: str
) -> tuple[dict[str, str], list[CameraTopics]]:
    """Types of all topics, and the topics of the cameras, as soon as they are known."""
    deadline_s = time.monotonic() + _DISCOVERY_S
    found_s = None
    while True:
        _spin(executor, _POLL_S)
        types = {name: kinds[0] for name, kinds in node.get_topic_names_and_types() if node.count_publishers(name)}
        try:
            cameras = [find_camera(types, namespace, where) for namespace in namespaces]
        except InputError:
            if time.monotonic() > deadline_s:
                raise
            continue
        found_s = found_s or time.monotonic()
        if all(camera.info for camera in cameras) or time.monotonic() - found_s > _SETTLE_S:
            return types, cameras


def _spin(executor: SingleThreadedExecutor, seconds: float) -> None:
    end_s = time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0:
        executor.spin_once(timeout_sec=min(left_s, _POLL_S))


def _publisher_qos(node: Node, name: str) -> tuple[str, int]:
    """QoS of the publishers of a topic in words, and how many there are."""
    profiles: list[Any] = [publisher.qos_profile for publisher in node.get_publishers_info_by_topic(name)]
    texts = {f"{profile.reliability.name}, {profile.durability.name}".lower() for profile in profiles}
    return " and ".join(sorted(texts)), len(profiles)


def _listening_qos(node: Node, name: str) -> QoSProfile:
    """As images are listened to; what is latched is asked for."""
    if graph.is_latched(node, name):
        return graph.LATCHED_QOS
    return QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
