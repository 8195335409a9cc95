# SPDX-License-Identifier: Apache-2.0
"""What happened to the frames of a node. The one home of state that both the executor's and the worker's thread write."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager

from vizion3d_ros.event_rate import EventRate

_WINDOW = 200
# Durations are told until so long after the last one, or so many times their usual distance; of the first one: so long.
_TOLD_S = 10.0
_TOLD_PERIODS = 3
_TOLD_FIRST_S = 60.0
_REPEAT_WARNING_S = 10.0


class FrameDiagnostics:
    """Counts, durations and the current trouble; one lock guards it all.

    Attributes:
        frames: how many were finished.
        failed: how many were not.
        skipped: how many were given up without need of a newer one, by the reason.
        clouds_skipped: how many point clouds were left out of finished frames.
        error: what is wrong with the last frame; "" if nothing is.
    """

    def __init__(self) -> None:
        self.frames = 0
        self.failed = 0
        self.skipped: Counter[str] = Counter()
        self.clouds_skipped = 0
        self.error = ""
        self._lock = threading.Lock()
        self._durations: dict[str, deque[tuple[float, float]]] = defaultdict(lambda: deque(maxlen=_WINDOW))
        self._rate = EventRate()
        self._last_warned_s: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a block."""
        start = time.perf_counter()
        yield
        self.add(name, time.perf_counter() - start)

    def add(self, name: str, seconds: float) -> None:
        """Record one duration."""
        now = time.monotonic()
        with self._lock:
            durations = self._durations[name]
            if not _is_current(durations, now):
                durations.clear()  # the camera paused; what was before tells nothing of now
            durations.append((now, seconds))

    def frame_done(self) -> None:
        """Count a finished frame; nothing is wrong now."""
        with self._lock:
            self.frames += 1
            self.error = ""
            self._rate.add(time.monotonic())

    def frame_failed(self, error: str) -> None:
        """Count a frame that was not finished."""
        with self._lock:
            self.failed += 1
            self.error = error

    def frame_skipped(self, reason: str) -> None:
        """Count a frame that was given up before it was worked on."""
        with self._lock:
            self.skipped[reason] += 1

    def forget_error(self) -> None:
        """Nobody waits for frames any more, so nothing is wrong."""
        with self._lock:
            self.error = ""

    def may_warn(self, about: str) -> bool:
        """Whether it is time to warn about something: again after ten seconds at the earliest."""
        now = time.monotonic()
        with self._lock:
            due = now - self._last_warned_s.get(about, -_REPEAT_WARNING_S) >= _REPEAT_WARNING_S
            if due:
                self._last_warned_s[about] = now
        return due

    def rate_hz(self) -> float:
        """Frames a second now."""
        with self._lock:
            return self._rate.hz(time.monotonic())

    def percentiles_ms(self) -> dict[str, tuple[float, float, float]]:
        """(p50, p95, largest) milliseconds by stage, over the last 200 frames; none of stages that nothing goes through now."""
        now = time.monotonic()
        with self._lock:
            current = {name: list(durations) for name, durations in self._durations.items() if _is_current(durations, now)}
        ordered = {name: sorted(seconds for _, seconds in durations) for name, durations in current.items()}
        return {name: (_rank(values, 0.5), _rank(values, 0.95), 1e3 * values[-1]) for name, values in ordered.items()}


def _is_current(durations: deque[tuple[float, float]], now: float) -> bool:
    """Whether the stream of (time, seconds) goes on, by its own period."""
    if not durations:
        return False
    first, last = durations[0][0], durations[-1][0]
    usual = _TOLD_PERIODS * (last - first) / (len(durations) - 1) if len(durations) > 1 else _TOLD_FIRST_S
    return now - last <= max(_TOLD_S, usual)


def _rank(ordered: list[float], part: float) -> float:
    """The smallest value, in milliseconds, that this part of the values does not exceed."""
    return 1e3 * ordered[math.ceil(part * len(ordered)) - 1]
