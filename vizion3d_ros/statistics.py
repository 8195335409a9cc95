# SPDX-License-Identifier: Apache-2.0
"""Rates and latencies of the last frames, for diagnostics."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager

_WINDOW = 200
_MAX_FINISHED = 5000  # more than a camera gives in the seconds over which the rate is taken


class FrameStatistics:
    """Durations by stage and the rate of finished frames, over the last 200. Thread-safe."""

    def __init__(self) -> None:
        self.frames = 0
        self._lock = threading.Lock()
        self._seconds: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_WINDOW))
        self._finished: deque[float] = deque(maxlen=_MAX_FINISHED)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a block."""
        start = time.perf_counter()
        yield
        self.add(name, time.perf_counter() - start)

    def add(self, name: str, seconds: float) -> None:
        """Record one duration."""
        with self._lock:
            self._seconds[name].append(seconds)

    def frame_done(self) -> None:
        """Count a finished frame."""
        with self._lock:
            self.frames += 1
            self._finished.append(time.monotonic())

    def rate_hz(self, window_s: float = 5.0) -> float:
        """Frames a second over the last `window_s` seconds."""
        now = time.monotonic()
        with self._lock:
            return sum(now - finished < window_s for finished in self._finished) / window_s

    def percentiles_ms(self) -> dict[str, tuple[float, float]]:
        """(p50, p95) milliseconds by stage."""
        with self._lock:
            ordered = {name: sorted(values) for name, values in self._seconds.items()}
        return {name: (1e3 * v[len(v) // 2], 1e3 * v[int(0.95 * (len(v) - 1))]) for name, v in ordered.items()}
