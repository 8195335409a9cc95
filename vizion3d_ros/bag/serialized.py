# SPDX-License-Identifier: Apache-2.0
"""Messages as they travel and lie in recordings, in CDR: some fields at a glance, and whole messages without ROS."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any

import numpy as np

from vizion3d.errors import InputError


def stamp_of(cdr: bytes) -> int:
    """The stamp, in nanoseconds, of a message that begins with a header."""
    sec, nanosec = struct.unpack_from("<iI" if cdr[1] & 1 else ">iI", cdr, 4)
    return sec * 1_000_000_000 + nanosec


def image_size_of(cdr: bytes) -> tuple[int, int]:
    """(width, height) of a sensor_msgs/msg/Image."""
    order = "<" if cdr[1] & 1 else ">"
    (name_bytes,) = struct.unpack_from(f"{order}I", cdr, 12)
    height, width = struct.unpack_from(f"{order}II", cdr, 4 + (12 + name_bytes + 3 & ~3))
    return width, height


def deserialize(cdr: bytes, type_name: str) -> Any:
    """The message, with the fields that it has in ROS and numbers in arrays that may be written to.

    Raises:
        SerdeError: of rosbags, which is needed: the bytes are no such message.
    """
    return typestore().deserialize_cdr(memoryview(bytearray(cdr)), type_name)


def read_message(cdr: bytes, type_name: str, what: str) -> Any:
    """`deserialize` of bytes that may be damaged.

    Raises:
        InputError: they are no message, named as ``what`` they are of.
    """
    try:
        return deserialize(cdr, type_name)
    except Exception as error:  # of every kind: damaged bytes fail anywhere
        raise InputError(f"the bytes of {what} are no message ({error})") from error


def serialize(message: Any, type_name: str) -> memoryview:
    """CDR of a message of whatever class; the same bytes with and without ROS."""
    return typestore().serialize_cdr(_stored(message, type_name), type_name, little_endian=True)


@lru_cache(maxsize=1)
def typestore() -> Any:
    """What rosbags knows of the types of ROS."""
    from rosbags.typesys import Stores, get_typestore

    return get_typestore(Stores.LATEST)


def _stored(message: Any, type_name: str) -> Any:
    """The message as rosbags takes it, its numbers in numpy's arrays."""
    store = typestore()
    fields = store.fielddefs[type_name][1]
    return store.types[type_name](*(_stored_value(getattr(message, name), *kind) for name, kind in fields))


def _stored_value(value: Any, node: Any, detail: Any) -> Any:
    if node.name == "NAME":
        return _stored(value, detail)
    if node.name == "BASE":
        return value
    (element, name), _ = detail
    if element.name == "NAME":
        return [_stored(one, name) for one in value]
    return value if name[0] == "string" else np.asarray(value, np.dtype(name[0]))
