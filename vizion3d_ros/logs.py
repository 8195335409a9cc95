# SPDX-License-Identifier: Apache-2.0
"""Lets the core's plain `logging` come out of a node's logger: of the node whose frame is in work, and once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_CORE = logging.getLogger("vizion3d")
_speaker: ContextVar[RosLogHandler | None] = ContextVar("speaker", default=None)


class RosLogHandler(logging.Handler):
    """Forwards the core's records to an rclpy logger, from now until it is closed.

    Where several nodes share a process each has one. A record goes to the one in whose `speaking` it was made, one that was
    made elsewhere to the first.
    """

    def __init__(self, ros_logger: Any) -> None:
        super().__init__()
        self._ros_logger = ros_logger
        level = int(ros_logger.get_effective_level())  # rclpy counts levels as logging does
        if not _CORE.isEnabledFor(level):
            _CORE.setLevel(level)
        _CORE.addHandler(self)

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """What the core says in this block and thread is about this node."""
        token = _speaker.set(self)
        try:
            yield
        finally:
            _speaker.reset(token)

    def close(self) -> None:
        """Forward nothing any more."""
        _CORE.removeHandler(self)
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler.emit`."""
        speaker = _speaker.get()
        if self is not (speaker or next(h for h in _CORE.handlers if isinstance(h, RosLogHandler))):
            return
        text = self.format(record)
        # rclpy allows one severity per calling line, so each level needs its own.
        if record.levelno >= logging.ERROR:
            self._ros_logger.error(text)
        elif record.levelno >= logging.WARNING:
            self._ros_logger.warning(text)
        elif record.levelno >= logging.INFO:
            self._ros_logger.info(text)
        else:
            self._ros_logger.debug(text)
