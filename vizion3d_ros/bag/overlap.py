# SPDX-License-Identifier: Apache-2.0
"""Stages of work that overlap: each in a thread of its own, a few items ahead of the next. Plain Python."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from typing import Any, TypeVar

T = TypeVar("T")
_LOOK_S = 0.1  # how soon a thread sees that nobody wants more


def ahead(items: Generator[T, None, None], depth: int = 2) -> Iterator[T]:
    """The same items in the same order, made in a thread of its own, `depth` of them ahead.

    What is raised there is raised here. Who stops early closes this iterator, which ends the thread and closes `items`.
    """
    ready: queue.Queue[tuple[bool, Any]] = queue.Queue(depth)
    ending = threading.Event()

    def put(is_item: bool, value: Any) -> None:
        while not ending.is_set():
            try:
                return ready.put((is_item, value), timeout=_LOOK_S)
            except queue.Full:
                pass

    def make() -> None:
        error = None
        try:
            for item in items:
                put(True, item)
                if ending.is_set():
                    break
        except BaseException as caught:
            error = caught
        finally:
            items.close()
            put(False, error)

    thread = threading.Thread(target=make, name="vizion3d-ahead", daemon=True)
    thread.start()
    try:
        while True:
            is_item, value = ready.get()
            if is_item:
                yield value
            elif value is not None:
                raise value
            else:
                return
    finally:
        ending.set()
        thread.join()
