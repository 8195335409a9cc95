# SPDX-License-Identifier: Apache-2.0
"""One thread, one slot, newest wins, a bad item costs itself only."""

from __future__ import annotations

import threading
import time

from vizion3d_ros.worker import Worker


def test_the_newest_item_waits_and_the_others_are_counted():
    started, go_on, done = threading.Event(), threading.Event(), []

    def process(item):
        started.set()
        go_on.wait(5)
        done.append(item)

    worker = Worker(process, on_error=lambda error: None)
    worker.submit(0)
    assert started.wait(5)
    for item in range(1, 6):
        worker.submit(item)
    go_on.set()
    deadline = time.monotonic() + 5
    while len(done) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert done == [0, 5]
    assert worker.replaced == 4
    assert worker.stop(timeout_s=5)


def test_an_exception_goes_to_the_handler_and_the_next_item_runs():
    errors, done = [], threading.Event()

    def process(item):
        if item is None:
            raise ValueError("bad item")
        done.set()

    worker = Worker(process, errors.append)
    worker.submit(None)
    while not errors:
        time.sleep(0.01)
    worker.submit(1)
    assert done.wait(5)
    assert str(errors[0]) == "bad item"
    assert worker.stop(timeout_s=5)


def test_stop_says_whether_the_item_in_work_outlasted_it():
    started, go_on = threading.Event(), threading.Event()
    worker = Worker(lambda item: (started.set(), go_on.wait(5)), on_error=lambda error: None)
    worker.submit(1)
    assert started.wait(5)
    assert not worker.stop(timeout_s=0.05)
    go_on.set()
    assert worker.stop(timeout_s=5)
