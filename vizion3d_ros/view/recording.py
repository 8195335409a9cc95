# SPDX-License-Identifier: Apache-2.0
"""Show a recording: at its own pace and again and again, from the moment somebody looks, and no more of it than that."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator

from vizion3d.errors import InputError
from vizion3d_ros.bag.reader import BagReader
from vizion3d_ros.bag.writer import copied_topic
from vizion3d_ros.view.server import ViewServer

_POLL_S = 0.1
_GAP_S = 1.0  # between two passes; of a recording of one frame this is the time that a new viewer waits


def show(server: ViewServer, bag: BagReader, on_change: Callable[[], None], rate: float = 1.0) -> None:
    """Show a recording until KeyboardInterrupt.

    Args:
        server: to its viewers.
        bag: what to show.
        on_change: called once the topics are offered.
        rate: seconds of the recording in a second.

    Raises:
        InputError: nothing in it can be shown, or it is damaged.
    """
    for connection in bag.connections.values():
        if known := copied_topic(connection):
            server.offer(known.name, known.type_name, known.definition)
    if not server.offered:
        raise InputError(f"{bag.path} has no topic whose messages are defined in it or known here")
    on_change()
    latched = {name for name, topic in bag.topics.items() if topic.is_latched}
    while True:
        for topic, log_ns, cdr in _at_pace(server, bag, rate, latched):
            server.send(topic, cdr, log_ns)
        time.sleep(_GAP_S)
        if bag.end_ns - bag.begin_ns > 1:  # of more than one moment
            server.forget()


def _at_pace(server: ViewServer, bag: BagReader, rate: float, latched: Collection[str]) -> Iterator[tuple[str, int, bytes]]:
    """One pass: the messages that somebody looks at, each when it is due; nothing moves on while nobody looks."""
    position_ns = bag.begin_ns
    while position_ns < bag.end_ns:
        wanted = _wanted(server)
        # What was latched before is what new viewers would have got from its publishers.
        if earlier := server.take_asked() & set(latched):
            yield from bag.recorded(earlier, None, position_ns)
        begin_s, begin_ns = time.monotonic(), position_ns
        for message in bag.recorded(wanted, position_ns):
            due_s = begin_s + (message[1] - begin_ns) / 1e9 / rate
            while time.monotonic() < due_s and server.wanted == wanted:
                time.sleep(min(_POLL_S, max(0.0, due_s - time.monotonic())))
            position_ns = message[1]
            if server.wanted != wanted:
                break
            yield message
        else:
            return


def _wanted(server: ViewServer) -> frozenset[str]:
    """What is looked at, once something is."""
    while not (wanted := server.wanted):
        time.sleep(_POLL_S)
    return wanted
