# SPDX-License-Identifier: Apache-2.0
"""When the messages of each topic came, so that a slow topic is told from a silent one. Plain Python: no rclpy, no clock."""

from __future__ import annotations

import statistics
from collections import Counter, deque

from vizion3d_ros.event_rate import EventRate

_STEPS = 8
_PATIENCE = 3  # periods without a message that mean that something is wrong


class Arrivals:
    """Counts, and times since the start, by topic.

    Args:
        shortest_s: no silence shorter than this is one.
        first_s: how long the first message of a topic may take; nothing is known of its rate before two have come.

    Attributes:
        counts: messages so far.
    """

    def __init__(self, shortest_s: float = 3.0, first_s: float = 10.0) -> None:
        self.counts: Counter[str] = Counter()
        self._shortest_s = shortest_s
        self._first_s = first_s
        self._started_s = 0.0
        self._last_s: dict[str, float] = {}
        self._steps_s: dict[str, deque[float]] = {}
        self._rates: dict[str, EventRate] = {}

    def start(self, now_s: float) -> None:
        """Begin to wait; what the rates were is still known."""
        self._started_s = now_s
        self._last_s = {}

    def add(self, topic: str, now_s: float) -> None:
        """A message has come."""
        self.counts[topic] += 1
        self._rates.setdefault(topic, EventRate()).add(now_s)
        if topic in self._last_s:
            self._steps_s.setdefault(topic, deque(maxlen=_STEPS)).append(now_s - self._last_s[topic])
        self._last_s[topic] = now_s

    def rate_hz(self, topic: str, now_s: float) -> float:
        """Messages a second now."""
        return self._rates[topic].hz(now_s) if topic in self._rates else 0.0

    def patience_s(self, topic: str) -> float:
        """How long the next message may take."""
        steps = self._steps_s.get(topic)
        return max(self._shortest_s, _PATIENCE * statistics.median(steps)) if steps else self._first_s

    def silent_s(self, topic: str, now_s: float) -> float:
        """For how long nothing has come; 0 as long as that is no wonder."""
        waited_s = now_s - self._last_s.get(topic, self._started_s)
        return waited_s if waited_s >= self.patience_s(topic) else 0.0
