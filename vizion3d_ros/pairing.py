# SPDX-License-Identifier: Apache-2.0
"""Match messages of several topics by their stamps. Plain Python: no rclpy, no clock, no lock held by anybody's callback.

No rule here compares a stamp with "the newest so far": queues are bounded in order of *arrival*. A bag that loops, a
restarted bag or a clock that jumps back is therefore nothing special: the new pass pushes out what the old one left.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import Any


class Pairing:
    """Collects one message a topic into a tuple as soon as all have the same stamp.

    Args:
        topics: the topics to match; the tuple has their order.
        tolerance_ns: stamps that differ by no more than this from the first topic's count as the same; 0 is exact. Keep it
            below half a frame period, or neighbouring frames are matched.
        queue_size: messages a topic may have waiting.

    Attributes:
        received: messages so far, by topic.
        matched: tuples so far.
        dropped: messages that found no partners, by the reason.
        jumps_back: how often a topic's stamp was smaller than the one before.
    """

    def __init__(self, topics: Sequence[str], tolerance_ns: int = 0, queue_size: int = 10) -> None:
        self.topics = tuple(topics)
        self.tolerance_ns = tolerance_ns
        self.queue_size = queue_size
        self.received: Counter[str] = Counter()
        self.matched = 0
        self.dropped: Counter[str] = Counter()
        self.jumps_back = 0
        self._last_stamp_ns: dict[str, int] = {}
        self._waiting: dict[str, OrderedDict[int, Any]] = {topic: OrderedDict() for topic in self.topics}

    def add(self, topic: str, stamp_ns: int, message: Any) -> tuple[Any, ...] | None:
        """Take a message; give the tuple that it completes, or None.

        What arrived on a topic before its part of the tuple can no longer be matched in order and is dropped.
        """
        self.received[topic] += 1
        if stamp_ns < self._last_stamp_ns.get(topic, stamp_ns):
            self.jumps_back += 1
        self._last_stamp_ns[topic] = stamp_ns
        queue = self._waiting[topic]
        queue.pop(stamp_ns, None)  # a repeated stamp takes its place at the end
        queue[stamp_ns] = message
        stamps = self._match(topic, stamp_ns)
        if stamps is None:
            while len(queue) > self.queue_size:
                self._drop_oldest(topic)
            return None
        self.matched += 1
        messages = tuple(self._waiting[name][stamp] for name, stamp in stamps.items())
        for name, stamp in stamps.items():
            while next(iter(self._waiting[name])) != stamp:
                self._drop_oldest(name)
            del self._waiting[name][stamp]
        return messages

    def take_newest(self, topic: str) -> tuple[int, Any] | None:
        """Remove what waits on a topic; give its newest (stamp, message), or None."""
        queue = self._waiting[topic]
        if not queue:
            return None
        newest = queue.popitem()
        while queue:
            self._drop_oldest(topic)
        return newest

    def clear(self) -> None:
        """Forget the waiting messages, not the counts."""
        for queue in self._waiting.values():
            queue.clear()

    def offset_ns(self) -> tuple[str, int] | None:
        """The topic whose latest stamp is farthest from the first topic's, and by how much; None if they are the same."""
        reference = self._last_stamp_ns.get(self.topics[0])
        if reference is None:
            return None
        offsets = {topic: stamp - reference for topic, stamp in self._last_stamp_ns.items()}
        topic = max(offsets, key=lambda name: abs(offsets[name]))
        return (topic, offsets[topic]) if offsets[topic] else None

    def _match(self, topic: str, stamp_ns: int) -> dict[str, int] | None:
        """The stamp to take from each topic so that `topic`'s newest message is part of a tuple, or None."""
        first = self.topics[0]
        anchor = stamp_ns if topic == first else self._nearest(first, stamp_ns)
        if anchor is None:
            return None
        stamps = {first: anchor}
        for name in self.topics[1:]:
            nearest = stamp_ns if name == topic else self._nearest(name, anchor)
            if nearest is None:
                return None
            stamps[name] = nearest
        return stamps

    def _nearest(self, topic: str, stamp_ns: int) -> int | None:
        queue = self._waiting[topic]
        if stamp_ns in queue:
            return stamp_ns
        if not (self.tolerance_ns and queue):
            return None
        nearest = min(queue, key=lambda other: abs(other - stamp_ns))
        return nearest if abs(nearest - stamp_ns) <= self.tolerance_ns else None

    def _drop_oldest(self, topic: str) -> None:
        stamp_ns, _ = self._waiting[topic].popitem(last=False)
        missing = [name for name in self.topics if name != topic and self._nearest(name, stamp_ns) is None]
        self.dropped[f"{topic} without {', '.join(missing) or 'partner in time'}"] += 1
