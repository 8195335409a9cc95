# SPDX-License-Identifier: Apache-2.0
"""`Pairing` as a filter among those of message_filters, which need not be installed for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from vizion3d_ros.conversions import stamp_ns
from vizion3d_ros.pairing import Pairing


class Filter(Protocol):
    """What has output, such as a message_filters.Subscriber."""

    def registerCallback(self, callback: Callable[..., object], *args: Any) -> object:
        """Have a function called with each output, and with `args` after it."""
        ...


class PairingFilter:
    """Messages of several filters, matched by stamp: in place of TimeSynchronizer and ApproximateTimeSynchronizer.

    Theirs keep the latest stamps. After a bag loop, or a clock that jumps back, everything new is older and they are silent
    until they are made anew; this one goes on. Theirs hold a lock during callbacks; this one does not.

    Example:
        >>> depth = message_filters.Subscriber(node, Image, "depth/image_rect")
        >>> cloud = message_filters.Subscriber(node, PointCloud2, "points2")
        >>> pairs = PairingFilter([depth, cloud])
        >>> pairs.registerCallback(lambda depth, cloud: ...)

    Args:
        filters: whose messages belong together, with headers.
        queue_size: messages a filter may have waiting.
        slop_s: seconds by which stamps may differ from that of the first filter; 0 is exact. Keep it below half a frame period.

    Attributes:
        pairing: what it matches with, its counts and reasons of drops.
    """

    def __init__(self, filters: Sequence[Filter], queue_size: int = 10, slop_s: float = 0.0) -> None:
        names = [f"{number} ({getattr(one, 'topic', type(one).__name__)})" for number, one in enumerate(filters)]
        self.pairing = Pairing(names, round(slop_s * 1e9), queue_size)
        self._lock = threading.Lock()  # executors may call from several threads
        self._callbacks: list[tuple[Callable[..., object], tuple[Any, ...]]] = []
        for name, one in zip(names, filters, strict=True):
            one.registerCallback(self._add, name)

    def registerCallback(self, callback: Callable[..., object], *args: Any) -> int:
        """Have a function called with one message of each filter, and with `args` after them; the number of its connection."""
        self._callbacks.append((callback, args))
        return len(self._callbacks) - 1

    def _add(self, message: Any, name: str) -> None:
        with self._lock:
            matched = self.pairing.add(name, stamp_ns(message.header.stamp), message)
        if matched is not None:
            for callback, args in self._callbacks:
                callback(*matched, *args)
