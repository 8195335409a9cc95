# SPDX-License-Identifier: Apache-2.0
"""Match messages of several topics by their stamps. Plain Python: no rclpy, no clock, no lock held by anybody's callback.

No rule here compares a stamp with "the newest so far": queues are bounded in order of *arrival*. A bag that loops, a
restarted bag or a clock that jumps back is therefore nothing special: the new pass pushes out what the old one left.
"""

from __future__ import annotations

import bisect
import statistics
from collections import Counter, OrderedDict, deque
from collections.abc import Sequence
from typing import Any, NamedTuple

_RECENT = 256  # stamps of a topic that are remembered, to tell what is wrong
_STEPS = 32  # from stamp to stamp, to know the frame period by


class Skew(NamedTuple):
    """How the stamps of a topic stand to those of the first one, by what was seen of both."""

    topic: str
    delay_ns: int | None
    """The same stamps do pass, but later by this (sooner if negative); None if they do not."""
    offset_ns: int
    """Its stamps are this much after the nearest of the first topic; 0 if the same stamps pass."""


class Pairing:
    """Collects one message a topic into a tuple as soon as all have the same stamp.

    Args:
        topics: the topics to match; the tuple has their order.
        tolerance_ns: stamps that differ by no more than this from the first topic's count as the same; 0 is exact. What is
            above half a frame period is not used, for it would match neighbouring frames.
        queue_size: messages a topic may have waiting.
        queue_ns: stamps of one topic that are farther apart than this do not wait together: how late a partner may be.

    Attributes:
        received: messages so far, by topic.
        matched: tuples so far.
        dropped: messages that found no partners, by the reason.
        jumps_back: how often a topic's stamp was smaller than the one before.
    """

    def __init__(
        self, topics: Sequence[str], tolerance_ns: int = 0, queue_size: int = 100, queue_ns: int = 1_000_000_000
    ) -> None:
        self.topics = tuple(topics)
        self.tolerance_ns = tolerance_ns
        self.queue_size = queue_size
        self.queue_ns = queue_ns
        self.received: Counter[str] = Counter()
        self.matched = 0
        self.dropped: Counter[str] = Counter()
        self.jumps_back = 0
        self._recent: dict[str, deque[int]] = {topic: deque(maxlen=_RECENT) for topic in self.topics}
        self._steps_ns: dict[str, deque[int]] = {topic: deque(maxlen=_STEPS) for topic in self.topics}
        self._waiting: dict[str, OrderedDict[int, Any]] = {topic: OrderedDict() for topic in self.topics}

    def add(self, topic: str, stamp_ns: int, message: Any) -> tuple[Any, ...] | None:
        """Take a message; give the tuple that it completes, or None.

        What arrived on a topic before its part of the tuple can no longer be matched in order and is dropped.
        """
        self.received[topic] += 1
        self._watch(topic, stamp_ns)
        queue = self._waiting[topic]
        if queue.pop(stamp_ns, None) is not None:  # a repeated stamp takes its place at the end
            self.dropped[f"{topic} with the stamp of the next"] += 1
        queue[stamp_ns] = message
        stamps = self._match(topic, stamp_ns)
        if stamps is None:
            while len(queue) > self.queue_size or abs(stamp_ns - next(iter(queue))) > self.queue_ns:
                self._drop_oldest(topic)
            return None
        self.matched += 1
        messages = tuple(self._waiting[name][stamp] for name, stamp in stamps.items())
        for name, stamp in stamps.items():
            while next(iter(self._waiting[name])) != stamp:
                self._drop_oldest(name)
            del self._waiting[name][stamp]
        return messages

    def clear(self) -> None:
        """Drop the waiting messages."""
        for topic, queue in self._waiting.items():
            if queue:
                self.dropped[f"{topic} that waited when nobody listened any more"] += len(queue)
            queue.clear()

    @property
    def used_tolerance_ns(self) -> int:
        """The tolerance, or what is just below half a frame period if that is smaller."""
        period_ns = self.period_ns()
        return self.tolerance_ns if period_ns is None else min(self.tolerance_ns, (period_ns - 1) // 2)

    def period_ns(self) -> int | None:
        """From frame to frame on the fastest topic, by the stamps; None before two have come.

        The lower quartile, for frames get lost.
        """
        steps = [sorted(steps) for steps in self._steps_ns.values() if steps]
        return min((one[len(one) // 4] for one in steps), default=None)

    def are_zero(self) -> list[str]:
        """The topics with nothing but stamps of 0, by at least two messages."""
        return [topic for topic, stamps in self._recent.items() if len(stamps) > 1 and not any(stamps)]

    def skew(self) -> Skew | None:
        """How the topic whose stamps are farthest off stands to the first one; None if all go together."""
        own = self._recent[self.topics[0]]
        if not own:
            return None
        skews = [self._skew(topic, own) for topic in self.topics[1:] if self._recent[topic]]
        worst = max(skews, key=lambda skew: (abs(skew.offset_ns), abs(skew.delay_ns or 0)), default=None)
        return worst if worst and (worst.offset_ns or worst.delay_ns) else None

    def _skew(self, topic: str, own: deque[int]) -> Skew:
        others = self._recent[topic]
        if set(own) & set(others):
            return Skew(topic, own[-1] - others[-1], 0)
        ordered = sorted(own)

        def offset(stamp_ns: int) -> int:
            at = bisect.bisect(ordered, stamp_ns)
            return min((stamp_ns - near for near in ordered[max(0, at - 1) : at + 1]), key=abs)

        return Skew(topic, None, round(statistics.median(map(offset, others))))

    def _watch(self, topic: str, stamp_ns: int) -> None:
        recent = self._recent[topic]
        if recent:
            step_ns = stamp_ns - recent[-1]
            self.jumps_back += step_ns < 0
            if step_ns > 0:
                self._steps_ns[topic].append(step_ns)
        recent.append(stamp_ns)

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
        tolerance_ns = self.used_tolerance_ns
        nearest = min(queue, key=lambda other: abs(other - stamp_ns))
        return nearest if abs(nearest - stamp_ns) <= tolerance_ns else None

    def _drop_oldest(self, topic: str) -> None:
        stamp_ns, _ = self._waiting[topic].popitem(last=False)
        missing = [name for name in self.topics if name != topic and self._nearest(name, stamp_ns) is None]
        self.dropped[f"{topic} without {', '.join(missing) or 'partner in time'}"] += 1
