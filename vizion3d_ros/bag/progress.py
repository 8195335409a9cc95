# SPDX-License-Identifier: Apache-2.0
"""Tell the user how far the work on a recording is: frames, rate and time left, on standard error where that is a terminal."""

from __future__ import annotations

import sys
import time

_REDRAW_S = 0.2


class Progress:
    """Counts frames.

    Args:
        total: frames in all.
        done: of these, before.
    """

    def __init__(self, total: int, done: int = 0) -> None:
        self._total, self._before, self._done = total, done, 0
        self._since_s = self._next_s = time.monotonic()
        self._is_shown = sys.stderr is not None and sys.stderr.isatty()
        self._seconds = 0.0

    def add(self, frames: int) -> None:
        """Some frames more."""
        self._done += frames
        now_s = time.monotonic()
        self._seconds = now_s - self._since_s
        if self._is_shown and now_s >= self._next_s:
            self._next_s = now_s + _REDRAW_S
            sys.stderr.write(f"\r{self._text()}   ")
            sys.stderr.flush()

    def rate_text(self) -> str:
        """How fast it went."""
        return f"{self._done} of them in {self._seconds:.1f} s, {self._done / max(self._seconds, 1e-9):.2f} a second"

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_shown:
            sys.stderr.write(f"\r{self._text()}   \n")

    def _text(self) -> str:
        at, rate = self._before + self._done, self._done / max(self._seconds, 1e-9)
        left_s = round((self._total - at) / rate) if rate else 0
        return f"{at} of {self._total} frames, {rate:.2f} a second, {left_s // 60}:{left_s % 60:02d} left"
