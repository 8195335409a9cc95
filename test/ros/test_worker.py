# SPDX-License-Identifier: Apache-2.0
"""One thread; a slot a camera, in which the newest wins; fair between them; a bad item costs itself only."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from vizion3d_ros.worker import Worker


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert condition()


class Gate:
    """Work that waits for permission."""

    def __init__(self) -> None:
        self.started, self.go_on = threading.Event(), threading.Event()
        self.done: list[object] = []

    def __call__(self, item: object) -> None:
        self.started.set()
        self.go_on.wait(20)
        self.done.append(item)


def no_error(error: Exception) -> None:
    raise AssertionError from error


def test_the_newest_item_waits_and_the_others_are_counted():
    worker, work = Worker(), Gate()
    slot = worker.open_slot(work, no_error)
    slot.submit(0)
    assert work.started.wait(5)
    for item in range(1, 6):
        slot.submit(item)
    work.go_on.set()
    wait_for(lambda: len(work.done) == 2)
    assert work.done == [0, 5]
    assert slot.replaced == 4
    assert worker.stop(timeout_s=5)


def test_who_discards_what_waits_hears_of_it():
    worker, work = Worker(), Gate()
    slot = worker.open_slot(work, no_error)
    assert not slot.discard()
    slot.submit(0)
    assert work.started.wait(5)
    slot.submit(1)
    assert slot.pending == 2 and slot.discard() and not slot.discard() and slot.pending == 1
    work.go_on.set()
    assert slot.empty(5) and work.done == [0] and slot.replaced == 0
    assert worker.stop(timeout_s=5)


def test_a_slot_says_how_long_its_item_has_been_in_work():
    worker, work = Worker(), Gate()
    slot, other = worker.open_slot(work, no_error), worker.open_slot(work, no_error)
    assert slot.busy_s == 0
    slot.submit(0)
    assert work.started.wait(5)
    wait_for(lambda: slot.busy_s > 0.05)
    assert other.busy_s == 0
    work.go_on.set()
    wait_for(lambda: slot.busy_s == 0)
    assert worker.stop(timeout_s=5)


def test_an_exception_goes_to_the_handler_and_the_next_item_runs():
    errors, done = [], threading.Event()

    def process(item):
        if item is None:
            raise ValueError("bad item")
        done.set()

    worker = Worker()
    slot = worker.open_slot(process, errors.append)
    slot.submit(None)
    wait_for(lambda: bool(errors))
    slot.submit(1)
    assert done.wait(5)
    assert str(errors[0]) == "bad item"
    assert worker.stop(timeout_s=5)


def test_stop_says_whether_the_item_in_work_outlasted_it():
    worker, work = Worker(), Gate()
    worker.open_slot(work, no_error).submit(1)
    assert work.started.wait(5)
    assert not worker.stop(timeout_s=0.05)
    work.go_on.set()
    assert worker.stop(timeout_s=5)


def test_a_fast_camera_does_not_starve_a_slow_one():
    order: list[str] = []
    worker, first = Worker(), Gate()
    worker.open_slot(first, no_error).submit(0)
    assert first.started.wait(5)

    def process_fast(item: int) -> None:
        order.append("fast")
        if item < 5:
            fast.submit(item + 1)  # there is always a newer one

    fast = worker.open_slot(process_fast, no_error)
    slow = worker.open_slot(lambda item: order.append("slow"), no_error)
    fast.submit(0)
    slow.submit(0)
    first.go_on.set()
    wait_for(lambda: len(order) == 7)
    assert order.index("slow") == 1
    assert worker.stop(timeout_s=5)


def test_of_a_60_hz_and_a_5_hz_camera_the_slow_one_loses_nothing():
    """Of the pictures of ten seconds; work on one takes as long as the fast camera needs for three."""
    worker, go_on = Worker(), threading.Semaphore(0)
    done: dict[str, list[int]] = {"fast": [], "slow": []}

    def work(item: tuple[str, int]) -> None:
        go_on.acquire()
        done[item[0]].append(item[1])

    slots = {name: worker.open_slot(work, no_error) for name in done}
    finished = 0
    for tick in range(600):
        slots["fast"].submit(("fast", tick))
        if tick % 12 == 0:
            slots["slow"].submit(("slow", tick))
        if tick % 3 == 2:
            go_on.release()
            finished += 1
            wait_for(lambda: sum(map(len, done.values())) == finished)  # noqa: B023, it is called at once
    assert slots["slow"].replaced == 0 and done["slow"] == list(range(0, 600, 12))
    assert len(done["fast"]) == 200 - 50 and done["fast"] == sorted(done["fast"])
    go_on.release(2)
    assert worker.stop(timeout_s=5)


def test_closing_a_slot_waits_for_its_own_item_only_and_drops_what_waits():
    worker, work = Worker(), Gate()
    busy, other = worker.open_slot(work, no_error), worker.open_slot(work, no_error)
    busy.submit("busy")
    assert work.started.wait(5)
    other.submit("never")
    assert other.close(timeout_s=0)
    assert not busy.close(timeout_s=0.05)
    work.go_on.set()
    assert busy.close(timeout_s=5)
    third = worker.open_slot(work, no_error)
    third.submit("third")
    wait_for(lambda: "third" in work.done)
    assert work.done == ["busy", "third"]
    assert worker.stop(timeout_s=5)
