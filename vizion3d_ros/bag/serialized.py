# SPDX-License-Identifier: Apache-2.0
"""Messages as they travel and lie in recordings, in CDR: the stamp at a glance, and the whole message without ROS."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any


def stamp_of(cdr: bytes) -> int:
    """The stamp, in nanoseconds, of a message that begins with a header."""
    sec, nanosec = struct.unpack_from("<iI" if cdr[1] & 1 else ">iI", cdr, 4)
    return sec * 1_000_000_000 + nanosec


def deserialize(cdr: bytes, type_name: str) -> Any:
    """The message, with the fields that it has in ROS; needs the package rosbags."""
    return _typestore().deserialize_cdr(cdr, type_name)


@lru_cache(maxsize=1)
def _typestore() -> Any:
    from rosbags.typesys import Stores, get_typestore

    return get_typestore(Stores.LATEST)
