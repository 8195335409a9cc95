# SPDX-License-Identifier: Apache-2.0
"""A lock between processes (and threads) that the operating system drops when its holder dies."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOG = logging.getLogger(__name__)
_POLL_S = 0.1

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock on that file, waiting as long as another one has it. The file stays behind, empty.

    Raises:
        OSError: the file cannot be created or the file system has no locks.
    """
    with path.open("wb") as file:
        if not _try_lock(file.fileno()):
            _LOG.info("waiting for another process that holds %s", path)
            while not _try_lock(file.fileno()):
                time.sleep(_POLL_S)
        try:
            yield
        finally:
            # Closing would not do: a child forked meanwhile shares the descriptor and would keep the lock.
            _unlock(file.fileno())
