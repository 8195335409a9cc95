# SPDX-License-Identifier: Apache-2.0
"""Why no frames come: of what arrives on the inputs of a node, and of what the graph knows about them, in words."""

from __future__ import annotations

import posixpath
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping

from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo

from vizion3d_ros import graph
from vizion3d_ros.arrivals import Arrivals
from vizion3d_ros.camera_topics import COMPRESSED
from vizion3d_ros.pairing import Pairing

_LOSS_ADVICE = 'if the sender runs on Fast DDS, start it after: eval "$(python -m vizion3d_ros.fast_dds)"'
_FEWEST_SENT = 5  # in a period; CameraInfo that is fewer need not go with images

Warn = Callable[[str, str], object]


class InputWatch:
    """Watches the inputs and says what is wrong with them.

    Args:
        node: whose inputs they are.
        types: relative topic -> message type.
        full_name: gives the name under which a topic is subscribed.
        pairing: of the images among them.
        warn: gets (what it is about, text).

    Attributes:
        arrivals: of messages.
    """

    def __init__(
        self, node: Node, types: Mapping[str, type], full_name: Callable[[str], str], pairing: Pairing, warn: Warn
    ) -> None:
        self.arrivals = Arrivals()
        self._node = node
        self._types = types
        self._full_name = full_name
        self._pairing = pairing
        self._warn = warn
        self._counts_before: Counter[str] = Counter()
        self._unmatched: Counter[str] = Counter()
        self._told_idle: list[str] = []

    def start(self) -> None:
        """The inputs are subscribed now."""
        self.arrivals.start(time.monotonic())
        self._unmatched.clear()
        self._told_idle = []
        self._counts_before = self.arrivals.counts.copy()

    def arrived(self, topic: str, now_s: float) -> None:
        """A message has arrived."""
        self.arrivals.add(topic, now_s)

    def matched(self, topic: str, is_match: bool) -> None:
        """An image has arrived and was the last of its moment, or was not."""
        if is_match:
            self._unmatched.clear()
        else:
            self._unmatched[topic] += 1

    def report_idle(self) -> None:
        """While nobody listens, say once what will be missing."""
        unpublished = self._unpublished()
        if unpublished and unpublished != self._told_idle:
            self._warn(f"unpublished {unpublished}", self._unpublished_text(unpublished))
        self._told_idle = unpublished

    def report(self, profiles: Mapping[str, QoSProfile], known_once: Collection[str]) -> None:
        """Say what keeps frames from coming.

        Args:
            profiles: with which the topics are subscribed.
            known_once: topics of which one message is enough, and has come.
        """
        if unpublished := self._unpublished():
            self._warn(f"unpublished {unpublished}", self._unpublished_text(unpublished))
        else:
            arrived = self.arrivals.counts - self._counts_before
            self._report_traffic(arrived, profiles, known_once)
        self._counts_before = self.arrivals.counts.copy()

    def _report_traffic(self, arrived: Counter[str], profiles: Mapping[str, QoSProfile], known_once: Collection[str]) -> None:
        misfits = [
            graph.misfit(self._node, self._full_name(topic), kind, profiles[topic])
            for topic, kind in self._types.items()
            if not arrived[topic]
        ]
        now_s = time.monotonic()
        waited = [topic for topic in self._types if topic not in known_once]
        silent = {topic: seconds for topic in waited if (seconds := self.arrivals.silent_s(topic, now_s))}
        if text := "; ".join(filter(None, misfits)):
            self._warn(f"misfit {text}", text)
        elif silent:
            self._warn(
                f"silent {list(silent)}",
                f"nothing arrives on {self._names(silent)} for {max(silent.values()):.0f} s although it has a publisher: it "
                f"may be paused, or its messages are too large for the transport ({_LOSS_ADVICE})",
            )
        elif lost := self._lossy_images(arrived):
            self._warn(f"lossy {lost}", f"images get lost in the transport: {lost}. {_LOSS_ADVICE}")
        else:
            self._report_stamps()

    def _report_stamps(self) -> None:
        pairing = self._pairing
        if zero := pairing.are_zero():
            self._warn("zero", f"all stamps on {self._names(zero)} are 0: let the driver stamp its images")
        elif all(self._unmatched[topic] > 1 for topic in pairing.topics):
            self._warn("unmatched", f"all images arrive but none match: {self._skew_text()}")
        elif (period_ns := pairing.period_ns()) and pairing.used_tolerance_ns < pairing.tolerance_ns:
            self._warn(
                "tolerance",
                f"approximate_sync_tolerance_seconds is {pairing.tolerance_ns / 1e9:g} but a frame lasts {period_ns / 1e9:.4f} "
                f"s: {pairing.used_tolerance_ns / 1e9:.4f} is used, for neighbouring frames not to be mixed",
            )

    def _unpublished(self) -> list[str]:
        return [topic for topic in self._types if not self._node.count_publishers(self._full_name(topic))]

    def _unpublished_text(self, topics: list[str]) -> str:
        hints = "; ".join(filter(None, map(self._did_you_mean, topics)))
        return f"nobody publishes {self._names(topics)}. {hints or 'Start the camera, or remap the topic'}"

    def _did_you_mean(self, topic: str) -> str:
        near = graph.nearest_topic(self._node, self._full_name(topic), self._types[topic])
        if near is None:
            return ""
        name, transport = near
        base = name.removesuffix(COMPRESSED)
        wanted = self._full_name(topic).removesuffix(COMPRESSED)
        fixes = [f"image_transport:={transport}" if transport else "", f"-r {topic}:={base}" if base != wanted else ""]
        return f"Did you mean {name}? Then set {' and '.join(filter(None, fixes))}"

    def _lossy_images(self, arrived: Counter[str]) -> str:
        """Image topics of which less than half arrives, measured by the CameraInfo that is sent with each image."""
        sent = {topic: arrived[posixpath.join(posixpath.dirname(topic), "camera_info")] for topic in self._types}
        sent = {topic: count for topic, count in sent.items() if count >= _FEWEST_SENT}
        lossy = [topic for topic in sent if self._types[topic] is not CameraInfo and 2 * arrived[topic] < sent[topic]]
        return ", ".join(f"{arrived[topic]} of {sent[topic]} arrived on {self._full_name(topic)}" for topic in lossy)

    def _skew_text(self) -> str:
        pairing, skew = self._pairing, self._pairing.skew()
        first = pairing.topics[0]
        if skew is None:
            return "they get lost before they pair"
        if skew.delay_ns is not None:
            late, early = (skew.topic, first) if skew.delay_ns > 0 else (first, skew.topic)
            return (
                f"the same stamps do pass, but on {late} {abs(skew.delay_ns) / 1e9:.2f} s later than on {early}. Set "
                f"sync_queue_seconds, now {pairing.queue_ns / 1e9:g}, above that"
            )
        direction = "behind" if skew.offset_ns < 0 else "ahead of"
        text = f"{skew.topic} is {abs(skew.offset_ns) / 1e6:.3f} ms {direction} {first}"
        if 2 * abs(skew.offset_ns) >= (pairing.period_ns() or 0) > 0:
            return f"{text}, more than half a frame period: their clocks differ, or they do not belong together"
        return (
            f"{text}. If the cameras are triggered together, set approximate_sync and approximate_sync_tolerance_seconds "
            "(above that, below half a frame period)"
        )

    def _names(self, topics: Collection[str]) -> str:
        return ", ".join(map(self._full_name, topics))
