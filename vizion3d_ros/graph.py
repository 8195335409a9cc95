# SPDX-License-Identifier: Apache-2.0
"""What the ROS graph knows about a topic: who publishes it and how, and what else there is that may be meant."""

from __future__ import annotations

import difflib
import importlib

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from vizion3d_ros.messages import type_name

LATCHED_QOS = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""Of who publishes, or listens to, what is kept for those who come later."""
_RAW, _COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
_ALIKE = {Image: (_RAW, _COMPRESSED), CompressedImage: (_RAW, _COMPRESSED), CameraInfo: ("sensor_msgs/msg/CameraInfo",)}


def is_latched(node: Node, topic: str) -> bool:
    """Whether all publishers of a topic keep their messages for those who come later."""
    offers = [one.qos_profile for one in node.get_publishers_info_by_topic(topic)]
    return bool(offers) and all(
        offer.durability == DurabilityPolicy.TRANSIENT_LOCAL and offer.reliability == ReliabilityPolicy.RELIABLE
        for offer in offers
    )


def misfit(node: Node, topic: str, kind: type, asked: QoSProfile) -> str:
    """What keeps the messages of a topic from a subscription; "" if nothing is known.

    Args:
        node: that asks.
        topic: full name.
        kind: message type of the subscription.
        asked: its QoS.
    """
    for publisher in node.get_publishers_info_by_topic(topic):
        if found := _type_misfit(publisher, kind) or _qos_misfit(publisher, asked):
            return f"{topic} of {publisher.node_name} is {found}"
    return ""


def _type_misfit(publisher: TopicEndpointInfo, kind: type) -> str:
    wanted = type_name(kind)
    if publisher.topic_type == wanted:
        return ""
    advice = _transport(wanted, publisher.topic_type)
    fix = f"set image_transport to {advice}" if advice else "remap to a topic of that type"
    return f"a {publisher.topic_type}, not a {wanted}: {fix}"


def _qos_misfit(publisher: TopicEndpointInfo, asked: QoSProfile) -> str:
    offer = publisher.qos_profile
    if asked.reliability == ReliabilityPolicy.RELIABLE and offer.reliability == ReliabilityPolicy.BEST_EFFORT:
        return "published best effort but subscribed reliable: set reliability in qos_overrides to best_effort"
    if asked.durability == DurabilityPolicy.TRANSIENT_LOCAL and offer.durability == DurabilityPolicy.VOLATILE:
        return "published volatile but subscribed transient_local: set durability in qos_overrides to volatile"
    return ""


def nearest_topic(node: Node, topic: str, kind: type) -> tuple[str, str] | None:
    """The published topic with images, or with CameraInfo, whose name says more than this one; None without one.

    "/left/image_rect/compressed", "/left/image_rect_raw" and "/camera/left/image_rect" do for "/left/image_rect". Nothing else
    is suggested: another camera, or a depth image, would be worse than none.

    Returns:
        Its name, and the image_transport that it needs; "" if that is the one in use.
    """
    own = {publisher.topic_name for publisher in node.publishers}
    alike = _ALIKE.get(kind, (type_name(kind),))
    known = {
        name: types[0]
        for name, types in node.get_topic_names_and_types()
        if types[0] in alike
        and name != topic
        and (name.startswith(topic) or name.endswith(topic))
        and name not in own
        and node.count_publishers(name)
    }
    near = difflib.get_close_matches(topic, known, n=1, cutoff=0.0)
    return (near[0], _transport(type_name(kind), known[near[0]])) if near else None


def _transport(wanted: str, there: str) -> str:
    """The image_transport for a topic of type `there` where one of type `wanted` was expected; "" if that is not it."""
    return {(_RAW, _COMPRESSED): "compressed", (_COMPRESSED, _RAW): "raw"}.get((wanted, there), "")


def find_message_type(type_name: str) -> type | None:
    """The Python class of a ROS type such as "sensor_msgs/msg/Image"; None where its package is not installed."""
    package, _, name = type_name.partition("/msg/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError):
        return None
