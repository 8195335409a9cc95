# SPDX-License-Identifier: Apache-2.0
"""Tell the user how far a download is."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[int, int | None], None]
"""Called with the bytes had so far and the bytes in all, None if the server does not say."""

_REDRAW_S = 0.1


def megabytes(count: int) -> str:
    """A byte count for people, in decimal units as download pages have them."""
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


@contextmanager
def reporting(progress: Progress | None, label: str) -> Iterator[Progress]:
    """The caller's function, or a bar on standard error where that is a terminal, or nothing."""
    if progress is not None:
        yield progress
    elif sys.stderr is None or not sys.stderr.isatty():  # None under pythonw and some services
        yield lambda done, total: None
    else:
        try:
            yield _bar(label)
        finally:
            sys.stderr.write("\n")


def _bar(label: str) -> Progress:
    next_draw_s = 0.0

    def draw(done: int, total: int | None) -> None:
        nonlocal next_draw_s
        now_s = time.monotonic()
        if now_s < next_draw_s and done != total:
            return
        next_draw_s = now_s + _REDRAW_S
        share = f" {100 * done // total:3d} % of {megabytes(total)}" if total else f" {megabytes(done)}"
        sys.stderr.write(f"\r{label}{share}")
        sys.stderr.flush()

    return draw
