# SPDX-License-Identifier: Apache-2.0
"""The input topics of a node: subscribed on demand, matched by stamp, and watched, so that a missing one has a name."""

from __future__ import annotations

import copy
import posixpath
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import Image

from vizion3d_ros.conversions import stamp_ns
from vizion3d_ros.pairing import Pairing

REPORT_PERIOD_S = 3.0
WAIT_FOR_PARTNERS_S = 0.25
_LOSS_ADVICE = 'if the sender runs on Fast DDS, start it after: eval "$(python -m vizion3d_ros.fast_dds)"'

Warn = Callable[[str, str], object]


class SyncedInputs:
    """Several topics whose messages belong together.

    Args:
        node: whose topics they are.
        types: relative topic -> message type with a header.
        on_frame: gets one message of each topic, in the order of `types`, with equal stamps.
        warn: gets (what it is about, text).
        first_alone: a message of the first topic whose partners do not come goes on alone, with None for them.
    """

    def __init__(
        self,
        node: Node,
        types: dict[str, type],
        on_frame: Callable[[tuple[Any, ...]], None],
        warn: Warn,
        *,
        first_alone: bool = False,
    ) -> None:
        self.pairing = Pairing(list(types))
        self._first_alone = first_alone
        self._partners_absent = False
        self._last_alone_ns: int | None = None
        self._first_waits_since_s: float | None = None
        self._node = node
        self._types = types
        self._on_frame = on_frame
        self._warn = warn
        self._subscriptions: list[Subscription] = []
        self._received_before: Counter[str] = Counter()
        self._matched_before = 0

    def configure(self, tolerance_s: float, queue_size: int) -> None:
        """Set how stamps are matched; a tolerance of 0 is exact."""
        self.pairing.tolerance_ns = round(tolerance_s * 1e9)
        self.pairing.queue_size = queue_size

    @property
    def active(self) -> bool:
        """Whether the topics are subscribed."""
        return bool(self._subscriptions)

    def subscribe(self) -> None:
        """Begin to receive; best effort by default, as cameras publish."""
        self._start_report()
        self._subscriptions = [
            self._node.create_subscription(
                kind,
                topic,
                lambda message, topic=topic: self._on_message(topic, message),
                copy.copy(qos_profile_sensor_data),  # overrides are written into the profile, one topic each
                qos_overriding_options=QoSOverridingOptions.with_default_policies(),
            )
            for topic, kind in self._types.items()
        ]

    def unsubscribe(self) -> None:
        """Stop receiving: images that nobody needs are not transported."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []
        self.pairing.clear()

    def report(self) -> None:
        """Say why nothing comes in or nothing matches. To be called every `REPORT_PERIOD_S`."""
        unpublished = [topic for topic in self._types if not self._node.count_publishers(self._full_name(topic))]
        if unpublished:
            self._warn(
                f"unpublished {unpublished}",
                f"nobody publishes {', '.join(map(self._full_name, unpublished))}. Start the camera, or remap the topic",
            )
        elif self.active:
            self._report_traffic()
        self._start_report()

    def _report_traffic(self) -> None:
        silent = [topic for topic in self._types if self.pairing.received[topic] == self._received_before[topic]]
        if silent:
            self._warn(
                f"silent {silent}",
                f"nothing arrives on {', '.join(map(self._full_name, silent))} although it has a publisher: it may be paused, "
                f"its QoS may not fit (see qos_overrides), or its messages are too large for the transport ({_LOSS_ADVICE})",
            )
        elif lost := self._lossy_images():
            self._warn(f"lossy {lost}", f"images get lost in the transport: {lost}. {_LOSS_ADVICE}")
        elif self.pairing.matched == self._matched_before:
            self._warn(
                "unmatched",
                f"all inputs arrive but their stamps never match ({self._offset_text()}). If the cameras are triggered "
                "together, set approximate_sync and approximate_sync_tolerance_seconds (above that, below half a frame period)",
            )

    def _lossy_images(self) -> str:
        """Image topics of which less than half arrives, measured by the CameraInfo that is sent with each image."""
        arrived = self.pairing.received - self._received_before
        sent = {topic: arrived[posixpath.join(posixpath.dirname(topic), "camera_info")] for topic in self._types}
        lossy = [topic for topic, kind in self._types.items() if kind is Image and 2 * arrived[topic] < sent[topic]]
        return ", ".join(f"{arrived[topic]} of {sent[topic]} arrived on {self._full_name(topic)}" for topic in lossy)

    def _offset_text(self) -> str:
        topic, nanoseconds = self.pairing.offset_ns() or (self.pairing.topics[0], 0)
        direction = "behind" if nanoseconds < 0 else "ahead of"
        return f"{topic} is {abs(nanoseconds) / 1e6:.3f} ms {direction} {self.pairing.topics[0]}"

    def _start_report(self) -> None:
        self._received_before = self.pairing.received.copy()
        self._matched_before = self.pairing.matched

    def _on_message(self, topic: str, message: Any) -> None:
        jumps_before = self.pairing.jumps_back
        frame = self.pairing.add(topic, stamp_ns(message.header.stamp), message)
        if self.pairing.jumps_back > jumps_before:
            self._warn("jump", f"stamps on {self._full_name(topic)} went back (bag loop or clock reset); continuing from there")
        if frame is not None:
            self._first_waits_since_s = None
            self._partners_absent = False
            self._on_frame(frame)
        elif self._first_alone:
            self._handle_unmatched(topic, stamp_ns(message.header.stamp))

    def _handle_unmatched(self, topic: str, stamp: int) -> None:
        if topic != self.pairing.topics[0]:
            # The partner of what went on alone has come after all: from now on it is waited for again.
            if self._last_alone_ns is not None and abs(stamp - self._last_alone_ns) <= self.pairing.tolerance_ns:
                self._partners_absent = False
        elif self._partners_absent:
            self._go_on_alone()
        elif self._first_waits_since_s is None:
            self._first_waits_since_s = time.monotonic()

    def check_waiting(self) -> None:
        """Let the first topic go on alone if its partners do not come. To be called every `WAIT_FOR_PARTNERS_S`."""
        since = self._first_waits_since_s
        if self._first_alone and since is not None and time.monotonic() - since > WAIT_FOR_PARTNERS_S:
            self._partners_absent = True
            self._go_on_alone()

    def _go_on_alone(self) -> None:
        self._first_waits_since_s = None
        waiting = self.pairing.take_newest(self.pairing.topics[0])
        if waiting is not None:
            self._last_alone_ns, message = waiting
            self._on_frame((message, *(None for _ in self.pairing.topics[1:])))

    def _full_name(self, topic: str) -> str:
        return self._node.resolve_topic_name(topic)
