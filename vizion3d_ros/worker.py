# SPDX-License-Identifier: Apache-2.0
"""One thread that works for one or several cameras, each with a slot in which the newest item waits. Plain Python."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any


class Worker:
    """Works on one item at a time, of the slot that was served longest ago. An exception costs its item only."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._slots: list[Slot] = []  # the one served longest ago first
        self._busy: Slot | None = None
        self._busy_since_s = 0.0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="vizion3d-worker", daemon=True)
        self._thread.start()

    def open_slot(self, work_on: Callable[[Any], None], on_error: Callable[[Exception], None]) -> Slot:
        """A slot for one camera.

        Args:
            work_on: called with each item, on the worker's thread.
            on_error: called with what `work_on` raised.
        """
        slot = Slot(self, work_on, on_error)
        with self._condition:
            self._slots.append(slot)
        return slot

    def stop(self, timeout_s: float) -> bool:
        """Take no more items and wait for the one in work; False if it outlasts the timeout."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._busy = None
                self._condition.notify_all()
                self._condition.wait_for(lambda: self._stopping or any(slot.waiting for slot in self._slots))
                if self._stopping:
                    return
                slot = next(slot for slot in self._slots if slot.waiting)
                item = slot.waiting.pop()
                self._slots.remove(slot)
                self._slots.append(slot)
                self._busy, self._busy_since_s = slot, time.monotonic()
            try:
                slot.work_on(item)
            except Exception as error:
                slot.on_error(error)


class Slot:
    """Where the items of one camera wait for a worker; a newer item replaces an older one.

    Attributes:
        replaced: items that were never worked on because a newer one came.
        waiting: at most one item; the worker's, as `work_on` and `on_error` are.
    """

    def __init__(self, worker: Worker, work_on: Callable[[Any], None], on_error: Callable[[Exception], None]) -> None:
        self.replaced = 0
        self.waiting: list[Any] = []
        self.work_on = work_on
        self.on_error = on_error
        self._worker = worker

    def submit(self, item: Any) -> None:
        """Hand over an item; returns at once."""
        condition = self._worker._condition
        with condition:
            self.replaced += len(self.waiting)
            self.waiting = [item]
            condition.notify_all()

    @property
    def item_waits(self) -> bool:
        """Whether an item waits for the worker, in this slot or in another one."""
        with self._worker._condition:
            return any(slot.waiting for slot in self._worker._slots)

    @property
    def pending(self) -> int:
        """Items of this slot that wait or are in work."""
        with self._worker._condition:
            return len(self.waiting) + (self._worker._busy is self)

    @property
    def busy_s(self) -> float:
        """For how long the worker has been at an item of this slot; 0 if it is not."""
        with self._worker._condition:
            return time.monotonic() - self._worker._busy_since_s if self._worker._busy is self else 0.0

    def discard(self) -> bool:
        """Give up the item that waits; whether one did."""
        with self._worker._condition:
            waited, self.waiting = bool(self.waiting), []
        return waited

    def empty(self, timeout_s: float) -> bool:
        """Give up what waits, and wait for the item in work; False if it outlasts the timeout."""
        worker = self._worker
        with worker._condition:
            self.discard()
            return worker._condition.wait_for(lambda: worker._busy is not self, timeout_s)

    def close(self, timeout_s: float) -> bool:
        """Give the slot up, and wait for its item in work; False if it outlasts the timeout."""
        worker = self._worker
        with worker._condition:
            worker._slots = [slot for slot in worker._slots if slot is not self]
        return self.empty(timeout_s)
