# SPDX-License-Identifier: Apache-2.0
"""A ROS 1 recording as if it were one of ROS 2: types, definitions and bytes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from vizion3d_ros.bag.serialized import typestore


class Rosbag1Reader:
    """What `rosbags.rosbag2.Reader` is for a .bag file. What ROS 2 cannot express is left out."""

    def __init__(self, path: Path) -> None:
        from rosbags.rosbag1 import Reader

        self._reader = Reader(path)
        self._stores: dict[str, Any] = {}
        self._originals: dict[int, Any] = {}
        self.connections: list[Any] = []

    def open(self) -> None:
        """See `Reader.open`."""
        self._reader.open()
        for original in self._reader.connections:
            if (store := self._store_for(original)) is not None:
                self._originals[original.id] = original
                self.connections.append(_as_ros2(original, store, self))

    @property
    def start_time(self) -> int:
        """See `Reader.start_time`."""
        return self._reader.start_time

    @property
    def end_time(self) -> int:
        """See `Reader.end_time`."""
        return self._reader.end_time

    def messages(
        self, connections: Collection[Any], start: int | None = None, stop: int | None = None
    ) -> Iterator[tuple[Any, int, memoryview]]:
        """See `Reader.messages`."""
        by_id = {connection.id: connection for connection in connections}
        for original, log_ns, raw in self._reader.messages([self._originals[id_] for id_ in by_id], start, stop):
            yield by_id[original.id], log_ns, self._stores[original.msgtype].ros1_to_cdr(raw, original.msgtype)

    def close(self) -> None:
        """See `Reader.close`."""
        self._reader.close()

    def _store_for(self, original: Any) -> Any:
        """A store with the type of a connection as ROS 2 would have it; None if there is none."""
        from rosbags.convert.converter import is_same_wireformat
        from rosbags.typesys import Stores, get_types_from_msg, get_typestore

        kind = original.msgtype
        if kind not in self._stores:
            store: Any = get_typestore(Stores.EMPTY)
            try:
                types = get_types_from_msg(original.msgdef.data, kind)
                header = typestore().fielddefs["std_msgs/msg/Header"]  # without `seq`
                store.register({**types, "std_msgs/msg/Header": header})
                if kind in typestore().fielddefs and is_same_wireformat(store, typestore(), kind, kind):
                    store = typestore()  # whose fields have the names of ROS 2
                store.hash_rihs01(kind)
            except Exception:  # of every kind: names and types that ROS 2 does not allow
                store = None
            self._stores[kind] = store
        return self._stores[kind]


def _as_ros2(original: Any, store: Any, owner: Rosbag1Reader) -> Any:
    from rosbags.convert.converter import LATCH
    from rosbags.interfaces import ConnectionExtRosbag2, MessageDefinition, MessageDefinitionFormat

    definition, _ = store.generate_msgdef(original.msgtype, ros_version=2)
    return original._replace(
        msgdef=MessageDefinition(MessageDefinitionFormat.MSG, definition),
        digest=store.hash_rihs01(original.msgtype),
        ext=ConnectionExtRosbag2("cdr", list(LATCH) if original.ext.latching else []),
        owner=owner,
    )
