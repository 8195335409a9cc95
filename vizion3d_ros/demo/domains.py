# SPDX-License-Identifier: Apache-2.0
"""ROS domains that nobody on this machine uses, for demos and tests that must not meet others."""

from __future__ import annotations

import fcntl
import random
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_DOMAINS = range(1, 100)  # the ports of higher ones may be taken by outgoing connections


@contextmanager
def reserved_domain() -> Iterator[int]:
    """A free domain, which nobody else gets from here until the end of the block or of this process.

    Raises:
        RuntimeError: all are in use.
    """
    for domain in random.sample(_DOMAINS, len(_DOMAINS)):
        try:
            lock = (Path(tempfile.gettempdir()) / f"vizion3d_ros_domain_{domain}.lock").open("w")
        except OSError:  # of another user
            continue
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            if not _has_participants(domain):
                yield domain
                return
    raise RuntimeError(f"ROS domains {_DOMAINS[0]} to {_DOMAINS[-1]} are all in use on this machine")


def _has_participants(domain: int) -> bool:
    """Whether somebody listens at one of the ports where participants of the domain hear of each other, by DDSI-RTPS 9.6.1.

    Those that keep to this host do not listen at the common one, and of several the first may be gone.
    """
    first = 7400 + 250 * domain
    for port in (first, *range(first + 10, first + 250, 2)):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("", port))
            except OSError:
                return True
    return False
