# SPDX-License-Identifier: Apache-2.0
"""One thread that works on one item at a time and takes the newest next. Plain Python."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class Worker:
    """Runs `process` on its own thread. An item that waits is replaced by a newer one; an exception costs that item only.

    Args:
        process: called with each item.
        on_error: called with what `process` raised.

    Attributes:
        replaced: items that never ran because a newer one came.
    """

    def __init__(self, process: Callable[[Any], None], on_error: Callable[[Exception], None]) -> None:
        self.replaced = 0
        self._process = process
        self._on_error = on_error
        self._condition = threading.Condition()
        self._waiting: list[Any] = []  # at most one item
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="vizion3d-worker", daemon=True)
        self._thread.start()

    def submit(self, item: Any) -> None:
        """Hand over an item; returns at once."""
        with self._condition:
            self.replaced += len(self._waiting)
            self._waiting = [item]
            self._condition.notify()

    def stop(self, timeout_s: float) -> bool:
        """Take no more items and wait for the one in work; False if it outlasts the timeout."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._waiting or self._stopping)
                if self._stopping:
                    return
                item = self._waiting.pop()
            try:
                self._process(item)
            except Exception as error:
                self._on_error(error)
