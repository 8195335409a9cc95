# SPDX-License-Identifier: Apache-2.0
"""Why a listener of a depth node gets no frames, by what that says of itself: not there, failing, lost on the way, or slow."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node

from vizion3d_ros.pairing import Pairing

_LOST_FRAMES = 2  # of so many frames nothing came
_ADVICE = 'start the sender after: eval "$(python -m vizion3d_ros.fast_dds)" (docs/transport.md)'


class OutputWatch:
    """Looks at the topics of a depth node and at its diagnostics.

    Args:
        node: which listens.
        outputs: relative names of the topics of the depth node, the depth first.
        others: of what else a frame needs.
        pairing: which counts what came on them all.

    Attributes:
        reason: of the last report; "" if frames come.
    """

    def __init__(self, node: Node, outputs: Collection[str], others: Collection[str], pairing: Pairing) -> None:
        self.reason = ""
        self._node = node
        self._outputs = tuple(outputs)
        self._topics = {topic: node.resolve_topic_name(topic) for topic in (*outputs, *others)}
        self._pairing = pairing
        self._received = pairing.received.copy()
        self._matched = 0
        self._statuses: dict[str, DiagnosticStatus] = {}
        self._published: int | None = None
        self._silent = 0
        self._told = {""}
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    def report(self) -> None:
        """Say why no frame came since this was called before, each reason once."""
        came, matched = self._pairing.received - self._received, self._pairing.matched - self._matched
        self._received, self._matched = self._pairing.received.copy(), self._pairing.matched
        published = self._count_published()
        sent = published - self._published if published and self._published else 0
        self._published = published
        self._silent = 0 if matched else self._silent + 1
        self.reason, wrong = ("", False) if matched else self._reason(came, sent)
        kind = re.sub(r"\d+", "#", self.reason)
        if kind in self._told:
            return
        self._told.add(kind)
        if wrong:
            self._node.get_logger().warning(self.reason)
        else:
            self._node.get_logger().info(self.reason)

    def values(self) -> dict[str, str]:
        """What the depth node told last in its diagnostics, by name; empty if it told nothing."""
        status = self._status()
        return {} if status is None else {value.key: value.value for value in status.values}

    def _reason(self, came: Counter[str], sent: int) -> tuple[str, bool]:
        """A sentence, and whether something is wrong. `came`: messages by topic; `sent`: frames by the node's own count."""
        if unpublished := [name for name in self._topics.values() if not self._node.count_publishers(name)]:
            return f"waiting for {', '.join(unpublished)}, which nobody publishes yet", False
        status = self._status()
        if status is not None and status.level == DiagnosticStatus.ERROR:
            return f"the depth node says: {status.message}", True
        frames = max(sent, *(came[topic] for topic in self._outputs))
        lost = [name for topic, name in self._topics.items() if not came[topic]]
        # What the node counts is some time old: only in the second period without a frame it is of this one.
        if lost and frames > _LOST_FRAMES and self._silent > 1:
            return f"{frames} frames were published but nothing arrived on {', '.join(lost)}: {_ADVICE}", True
        if frames > _LOST_FRAMES and self._silent > 1:
            return f"no frame is complete: {', '.join(self._pairing.dropped) or 'stamps differ'}", True
        return ("", False) if frames else ("waiting for the depth node, which has published no frame meanwhile", False)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self._statuses |= {status.name: status for status in message.status}

    def _status(self) -> DiagnosticStatus | None:
        """The latest of the node that publishes the depth."""
        depth = next(iter(self._topics.values()))
        for info in self._node.get_publishers_info_by_topic(depth):
            name = f"{info.node_namespace.strip('/')}/{info.node_name}: depth".lstrip("/")
            if name in self._statuses:
                return self._statuses[name]
        return None

    def _count_published(self) -> int | None:
        status = self._status()
        return None if status is None else int(next(v.value for v in status.values if v.key == "frames published"))
