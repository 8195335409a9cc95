# SPDX-License-Identifier: Apache-2.0
"""The input topics of a node: subscribed on demand, matched by stamp, given their CameraInfo, and watched."""

from __future__ import annotations

import copy
import posixpath
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSPolicyKind, ReliabilityPolicy, qos_profile_sensor_data
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage

from vizion3d.errors import CalibrationError
from vizion3d_ros import graph
from vizion3d_ros.camera_infos import Frame, FrameCompleter
from vizion3d_ros.camera_topics import COMPRESSED
from vizion3d_ros.conversions import image_size_wh, stamp_ns
from vizion3d_ros.input_watch import InputWatch, Warn
from vizion3d_ros.pairing import Pairing

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

REPORT_PERIOD_S = 3.0
WAIT_FOR_PARTNERS_S = 0.25
_POLICIES = (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY, QoSPolicyKind.DURABILITY)


class SyncedInputs:
    """Several topics whose messages belong together: those with equal stamps, and the CameraInfo that is good for them.

    Args:
        node: whose topics they are.
        types: relative topic -> message type with a header. "x/camera_info" is that of the other topic in "x".
        on_frame: gets one message of each topic, in the order of `types`.
        warn: gets (what it is about, text).
        on_error: gets why a frame is refused.
        first_alone: images whose CameraInfo does not come, or does not fit, go on alone, with None for it.

    Attributes:
        frames: that were complete so far, those with a refused CameraInfo among them.
    """

    def __init__(
        self,
        node: Node,
        types: dict[str, type],
        on_frame: Callable[[tuple[Any, ...]], None],
        warn: Warn,
        on_error: Callable[[Exception], object] = lambda _: None,
        *,
        first_alone: bool = False,
    ) -> None:
        images = [topic for topic, kind in types.items() if kind is not CameraInfo]
        by_folder = {posixpath.dirname(topic): topic for topic in reversed(images)}
        self._image_of = {topic: by_folder[posixpath.dirname(topic)] for topic in types if topic not in images}
        self.pairing = Pairing(images)
        self._completer = FrameCompleter(list(self._image_of), may_lack_info=first_alone, wait_s=WAIT_FOR_PARTNERS_S)
        self._first_alone = first_alone
        self._node = node
        self._types = dict(types)
        self._compressed = False
        self._on_frame = on_frame
        self._warn = warn
        self._on_error = on_error
        self.frames = 0
        self._subscriptions: dict[str, Subscription] = {}
        self._watch = InputWatch(node, self._types, self.full_name, self.pairing, warn)

    def configure(self, tolerance_s: float, queue_size: int, queue_s: float = 1.0) -> None:
        """Set how stamps are matched; a tolerance of 0 is exact."""
        self.pairing.tolerance_ns = round(tolerance_s * 1e9)
        self.pairing.queue_size = queue_size
        self.pairing.queue_ns = round(queue_s * 1e9)

    def use_compressed(self) -> None:
        """Subscribe to images as image_transport compresses them. To be called before `subscribe`."""
        self._compressed = True
        self._types |= dict.fromkeys(self.pairing.topics, CompressedImage)

    @property
    def active(self) -> bool:
        """Whether the topics are subscribed."""
        return bool(self._subscriptions)

    @property
    def received(self) -> dict[str, int]:
        """Messages so far, by topic."""
        return {topic: self._watch.arrivals.counts[topic] for topic in self._types}

    def rates_hz(self) -> dict[str, float]:
        """Messages a second now, by topic."""
        now_s = time.monotonic()
        return {topic: self._watch.arrivals.rate_hz(topic, now_s) for topic in self._types}

    @property
    def dropped(self) -> Counter[str]:
        """Images that were given up, by the reason."""
        return self.pairing.dropped + self._completer.dropped

    # Subscriptions

    def subscribe(self) -> None:
        """Begin to receive: images best effort, as cameras publish; CameraInfo that is kept for later, with what was kept."""
        self._watch.start()
        for topic in self._types:
            self._subscribe(topic)

    def unsubscribe(self) -> None:
        """Stop receiving: images that nobody needs are not transported."""
        for subscription in self._subscriptions.values():
            self._node.destroy_subscription(subscription)
        self._subscriptions = {}
        self.pairing.clear()
        self._completer.clear()

    def _subscribe(self, topic: str) -> None:
        overridden = self._is_overridden(topic)
        profile = copy.copy(qos_profile_sensor_data)  # overrides are written into the profile, one topic each
        if not overridden and self._types[topic] is CameraInfo and graph.is_latched(self._node, self.full_name(topic)):
            profile.reliability, profile.durability = ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL
        self._subscriptions[topic] = self._node.create_subscription(
            self._types[topic],
            self.full_name(topic),
            lambda message: self._on_message(topic, message),
            profile,
            event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),  # the report says it, in our words
            # Read-only parameters; they would keep the first choice when a publisher that offers more comes later.
            qos_overriding_options=QoSOverridingOptions(_POLICIES) if overridden or topic not in self._image_of else None,
        )

    def _is_overridden(self, topic: str) -> bool:
        """Whether the user has chosen a QoS for a topic."""
        prefix = f"qos_overrides.{self.full_name(topic)}.subscription."
        return any(name.startswith(prefix) for name in self._node._parameter_overrides)  # told nowhere else

    def _follow_publishers(self) -> None:
        """Subscribe again to CameraInfo whose publishers now offer another QoS."""
        for topic in self._image_of:
            subscription = self._subscriptions[topic]
            if self._is_overridden(topic) or not self._node.count_publishers(self.full_name(topic)):
                continue
            latched = subscription.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
            if latched != graph.is_latched(self._node, self.full_name(topic)):
                self._node.destroy_subscription(subscription)
                self._subscribe(topic)

    # Messages

    def _on_message(self, topic: str, message: Any) -> None:
        now_s, stamp = time.monotonic(), stamp_ns(message.header.stamp)
        self._watch.arrived(topic, now_s)
        if topic in self._image_of:
            self._hand_on(self._completer.add_info(topic, stamp, message, now_s))
            return
        jumps_before = self.pairing.jumps_back
        images = self.pairing.add(topic, stamp, message)
        if self.pairing.jumps_back > jumps_before:
            self._warn("jump", f"stamps on {self.full_name(topic)} went back (bag loop or clock reset); continuing from there")
        self._watch.matched(topic, images is not None)
        if images is None:
            return
        by_topic = dict(zip(self.pairing.topics, images, strict=True))
        stamps = [stamp_ns(by_topic[image].header.stamp) for image in self._image_of.values()]
        self._hand_on(self._completer.add_images(stamps, images, now_s))

    def check_waiting(self) -> None:
        """Let images go on that have waited long enough. To be called every `WAIT_FOR_PARTNERS_S`."""
        if self.active:
            self._follow_publishers()
            self._hand_on(self._completer.check_waiting(time.monotonic()))

    def _hand_on(self, frames: Iterable[Frame]) -> None:
        for frame in frames:
            self.frames += 1
            by_topic = dict(zip(self.pairing.topics, frame.images, strict=True))
            try:
                for topic, stamp, info in zip(self._image_of, frame.stamps_ns, frame.infos, strict=True):
                    by_topic[topic] = self._fitting(topic, stamp, info, by_topic[self._image_of[topic]])
            except CalibrationError as error:
                self._on_error(error)
            else:
                self._on_frame(tuple(by_topic[topic] for topic in self._types))

    def _fitting(self, topic: str, stamp: int, info: Any, image: Any) -> Any:
        if info is None:
            return None
        size_wh = image_size_wh(image)
        try:
            if size_wh is not None:
                self._completer.infos[topic].check_size(info, stamp, size_wh)
        except CalibrationError as error:
            if not self._first_alone:
                raise
            self._warn("size", f"{error}; until then images go on without")
            return None
        return info

    def report(self) -> None:
        """Say why nothing comes in or nothing matches. To be called every `REPORT_PERIOD_S`."""
        if self.active:
            once = [topic for topic in self._image_of if self._completer.infos[topic].is_known]
            self._watch.report({topic: one.qos_profile for topic, one in self._subscriptions.items()}, once)
        else:
            self._watch.report_idle()

    def full_name(self, topic: str) -> str:
        """The name under which an input is subscribed: remapped, and with what image_transport appends to it."""
        name = self._node.resolve_topic_name(topic)
        if self._compressed and topic in self.pairing.topics and not name.endswith(COMPRESSED):
            name = self._node.resolve_topic_name(name + COMPRESSED)
        return name
