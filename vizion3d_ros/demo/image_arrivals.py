# SPDX-License-Identifier: Apache-2.0
"""Which image a depth image was made from, where a looped bag brings the same stamps again and again. Plain Python."""

from __future__ import annotations

from collections import deque
from itertools import chain
from typing import Any, NamedTuple

_KEPT = 30


class Arrival(NamedTuple):
    """An image as it came."""

    time_s: float
    stamp_ns: int
    image: Any


class ImageArrivals:
    """The images on their way through a depth node, seen from outside.

    A node that is busy takes the newest image when it is done, one that is idle takes the next. So the image of an answer is
    the newest one of its stamp that came before the previous answer and after the image of that; else the first one after it.
    """

    def __init__(self) -> None:
        self._before: list[Arrival] = []  # the last ones before the previous answer
        self._first: list[Arrival] = []  # the first ones since then
        self._latest: deque[Arrival] = deque(maxlen=_KEPT)
        self._taken_s = float("-inf")

    def add(self, stamp_ns: int, image: Any, time_s: float) -> None:
        """An image came."""
        arrival = Arrival(time_s, stamp_ns, image)
        self._latest.append(arrival)
        if len(self._first) < _KEPT:
            self._first.append(arrival)

    def take(self, stamp_ns: int) -> Arrival | None:
        """An answer with this stamp came: the image that it is of, None if that was not seen."""
        waiting = (arrival for arrival in reversed(self._before) if arrival.time_s > self._taken_s)
        candidates = chain(waiting, self._first, self._latest)
        found = next((arrival for arrival in candidates if arrival.stamp_ns == stamp_ns), None)
        if found is not None:
            self._taken_s = found.time_s
        self._before, self._first = list(self._latest), []
        return found
