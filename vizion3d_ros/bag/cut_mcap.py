# SPDX-License-Identifier: Apache-2.0
"""An mcap file without an end, as a recorder leaves it that was killed or lost power: all that is whole, then the damage."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from vizion3d.errors import DependencyError, InputError

_MAGIC = b"\x89MCAP0\r\n"


def is_cut(path: Path) -> bool:
    """Whether a file begins like an mcap file and does not end like one."""
    with path.open("rb") as file:
        begins = file.read(len(_MAGIC)) == _MAGIC
        file.seek(max(0, path.stat().st_size - len(_MAGIC)))
        return begins and file.read() != _MAGIC


class NothingWholeError(InputError):
    """A file was cut off before the first message."""


class _Piece(NamedTuple):
    """A chunk, or a message outside of any, and between which log stamps its messages are, both included."""

    first_ns: int
    last_ns: int
    offset: int


class CutMcapReader:
    """What `rosbags.rosbag2.Reader` is for a whole file. `messages` raises InputError where the file is cut.

    Raises:
        DependencyError: the package `mcap` is missing.
    """

    def __init__(self, path: Path) -> None:
        try:
            import mcap.stream_reader  # noqa: F401
        except ImportError as error:
            raise DependencyError(
                f"{path} was cut off while it was recorded, and reading such a file needs the package mcap: pip install mcap; "
                f"or mend it with `mcap recover {path} -o NEW.mcap`"
            ) from error
        self._path = path
        self._file: BinaryIO | None = None
        self._pieces: list[_Piece] = []
        self._damage = ""
        self.connections: list[Any] = []

    def open(self) -> None:
        """Go through the file once, and note where its messages are."""
        from mcap.records import Channel, Message, Schema

        self._file = self._path.open("rb")
        schemas: dict[int, Any] = {}
        channels: dict[int, Any] = {}
        counts: Counter[int] = Counter()
        for offset, records in self._walk():
            stamps = []
            for record in records:
                if isinstance(record, Schema):
                    schemas[record.id] = record
                elif isinstance(record, Channel):
                    channels[record.id] = record
                elif isinstance(record, Message):
                    stamps.append(record.log_time)
                    counts[record.channel_id] += 1
            if stamps:
                self._pieces.append(_Piece(min(stamps), max(stamps), offset))
        if not self._pieces:
            raise NothingWholeError(f"{self._path} was cut off before the first message was whole ({self._damage})")
        self._pieces.sort()
        self.connections = [
            _connection(channel, schemas.get(channel.schema_id), counts[id_], self) for id_, channel in channels.items()
        ]

    @property
    def start_time(self) -> int:
        """See `Reader.start_time`."""
        return self._pieces[0].first_ns

    @property
    def end_time(self) -> int:
        """See `Reader.end_time`."""
        return max(piece.last_ns for piece in self._pieces) + 1

    def messages(
        self, connections: Collection[Any], start: int | None = None, stop: int | None = None
    ) -> Iterator[tuple[Any, int, bytes]]:
        """See `Reader.messages`; raises InputError at the cut, unless `stop` is before it."""
        by_id = {connection.id: connection for connection in connections}
        pieces = [
            piece
            for piece in self._pieces
            if (start is None or piece.last_ns >= start) and (stop is None or piece.first_ns < stop)
        ]
        read: list[Any] = []
        for piece, following in zip_longest(pieces, pieces[1:]):
            read = sorted((*read, *self._read(piece)), key=_log_time)
            ready = len(read) if following is None else bisect_left(read, following.first_ns, key=_log_time)
            for message in read[:ready]:
                log_ns = message.log_time
                if message.channel_id in by_id and (start is None or log_ns >= start) and (stop is None or log_ns < stop):
                    yield by_id[message.channel_id], log_ns, message.data
            del read[:ready]
        if stop is None or stop > self.end_time:
            seconds = (self.end_time - self.start_time) / 1e9
            raise InputError(
                f"{self._path} was cut off while it was recorded, {seconds:.3f} s from its beginning ({self._damage})"
            )

    def close(self) -> None:
        """See `Reader.close`."""
        if self._file is not None:
            self._file.close()

    def _walk(self) -> Iterator[tuple[int, list[Any]]]:
        """(where, records) of all chunks and records that are whole."""
        from mcap.stream_reader import StreamReader

        assert self._file is not None
        offset = len(_MAGIC)
        try:
            for record in StreamReader(self._file, emit_chunks=True).records:
                yield offset, _records_in(record)
                offset = self._file.tell()
        except Exception as error:  # of every kind: the end fails anywhere in the parser
            left = self._path.stat().st_size - offset
            self._damage = f"the last {left} bytes are no whole record: {type(error).__name__}"

    def _read(self, piece: _Piece) -> list[Any]:
        """The messages of a piece."""
        from mcap.records import Message
        from mcap.stream_reader import StreamReader

        assert self._file is not None
        self._file.seek(piece.offset)
        record = next(StreamReader(self._file, skip_magic=True, emit_chunks=True).records)
        return [one for one in _records_in(record) if isinstance(one, Message)]


def _log_time(message: Any) -> int:
    return message.log_time


def _records_in(record: Any) -> list[Any]:
    from mcap.records import Chunk
    from mcap.stream_reader import breakup_chunk

    return breakup_chunk(record, validate_crc=True) if isinstance(record, Chunk) else [record]


def _connection(channel: Any, schema: Any, count: int, owner: CutMcapReader) -> Any:
    from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinition, MessageDefinitionFormat
    from rosbags.rosbag2.metadata import parse_qos

    form = MessageDefinitionFormat.MSG if schema.encoding == "ros2msg" else MessageDefinitionFormat.IDL
    qos = parse_qos(channel.metadata["offered_qos_profiles"]) if channel.metadata.get("offered_qos_profiles") else []
    return Connection(
        channel.id,
        channel.topic,
        schema.name,
        MessageDefinition(form, schema.data.decode()),
        "",
        count,
        ConnectionExtRosbag2(channel.message_encoding, qos),
        owner,  # type: ignore[arg-type]
    )
