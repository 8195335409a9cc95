# SPDX-License-Identifier: Apache-2.0
"""Read a recording without ROS: its topics, and its messages as raw CDR bytes in the order of log time."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml

from vizion3d.errors import DependencyError, InputError
from vizion3d_ros.bag.cut_mcap import CutMcapReader, NothingWholeError, is_cut
from vizion3d_ros.bag.rosbag1 import Rosbag1Reader

_ZSTD = b"\x28\xb5\x2f\xfd"  # how its data begins, and no CDR


@dataclass(frozen=True)
class BagTopic:
    """A recorded topic; `is_latched` if a publisher offered transient-local durability, as that of /tf_static does.

    `qos` is what its publishers offered, as far as that was recorded: "reliable, volatile".
    """

    type_name: str
    message_count: int
    is_latched: bool
    qos: str = ""


class BagReader:
    """An open recording: rosbag2 in sqlite3 or mcap, compressed or not, or a .bag file of ROS 1. `close` it after use.

    Attributes:
        path: what is read.
        topics: the recorded topics by name.
        connections: what rosbags knows of each topic, of the first of its publishers: definition, hash and QoS.
        begin_ns, end_ns: log stamps of its first message, and after its last one.

    Args:
        path: the bag's directory, or a .db3, .mcap or .bag file. A file beside a metadata.yaml stands for that whole bag,
            because only the metadata tell whether the messages in the file are compressed. Of a directory without
            metadata.yaml, or whose metadata name no storage (a recording that was cut off), all such files are read. An
            mcap file that was cut off is read up to there, where reading it raises InputError.
        further: more of them, read as one recording.

    Raises:
        InputError: there is no recording at a path, or it is damaged.
        DependencyError: the package `rosbags` is missing.
    """

    def __init__(self, path: Path, *further: Path) -> None:
        try:
            from rosbags.rosbag2 import Reader
        except ImportError as error:
            raise DependencyError("reading bags needs the package rosbags: pip install rosbags") from error
        paths = list({one.resolve(): one for one in map(_whole, (path, *further))}.values())
        self.path = paths[0]
        self._readers: list[Any] = []
        self._lost: NothingWholeError | None = None
        for one in paths:
            with _damage_reported(one):
                for part in _parts(one):
                    reader = _kind(part, Reader)(part)
                    try:
                        reader.open()
                        self._readers.append(reader)
                    except NothingWholeError as error:  # of which the other files know nothing
                        self._lost = error
        if self._lost and not self._readers:
            raise self._lost
        connections = sorted((c for reader in self._readers for c in reader.connections), key=lambda c: c.topic)
        self.connections = {connection.topic: connection for connection in reversed(connections)}
        starts, ends = zip(*((reader.start_time, reader.end_time) for reader in self._readers), strict=True)
        self.begin_ns, self.end_ns = min(starts), max(ends)
        self.topics = {name: _describe(list(same)) for name, same in groupby(connections, key=lambda c: c.topic)}

    def messages(self, topics: Collection[str]) -> Iterator[tuple[str, int, bytes]]:
        """Yield (topic, log stamp in ns, CDR bytes) of the named topics; the stamps never decrease.

        The files of a split bag may overlap a little: a message older than the one before it gets that one's stamp.

        Raises:
            InputError: the recording is damaged.
        """
        latest_ns = 0
        for topic, log_ns, cdr in self.recorded(topics):
            latest_ns = max(latest_ns, log_ns)
            yield topic, latest_ns, cdr

    def recorded(
        self, topics: Collection[str], start_ns: int | None = None, stop_ns: int | None = None
    ) -> Iterator[tuple[str, int, bytes]]:
        """Yield (topic, log stamp in ns, CDR bytes) as recorded, of log stamps from `start_ns` up to before `stop_ns`.

        Raises:
            InputError: the recording is damaged.
        """
        with _damage_reported(self.path):
            parts = [
                reader.messages(connections, start_ns, stop_ns)
                for reader in self._readers
                if (connections := [connection for connection in reader.connections if connection.topic in topics])
            ]
            for connection, log_ns, cdr in heapq.merge(*parts, key=lambda message: message[1]):
                if cdr[:4] == _ZSTD:
                    raise InputError(
                        f"the messages of {self.path} are compressed, as only its metadata.yaml can say; bring that back, with "
                        "compression_mode: MESSAGE and compression_format: zstd"
                    )
                yield connection.topic, log_ns, cdr
        if self._lost and (stop_ns is None or stop_ns > self.end_ns):
            raise self._lost

    def name_of(self, log_ns: int) -> str:
        """What files of a frame are called."""
        return "{}.{:09d}".format(*divmod(log_ns, 1_000_000_000))

    def close(self) -> None:
        """Close the files."""
        for reader in self._readers:
            reader.close()


@contextmanager
def _damage_reported(path: Path) -> Iterator[None]:
    try:
        yield
    except (InputError, DependencyError):
        raise
    except Exception as error:  # of every kind: damaged files fail anywhere in the parsers
        advice = "give the directory with its metadata.yaml, or a .db3, .mcap or .bag file"
        why = " ".join(str(error).split())  # of YAML in several lines
        raise InputError(f"{path} cannot be read as a recording ({why}); {advice}") from error


def _whole(path: Path) -> Path:
    """The bag that a file is part of."""
    return path.parent if path.is_file() and path.suffix != ".bag" and (path.parent / "metadata.yaml").is_file() else path


def _kind(path: Path, usual: type[Any]) -> type[Any]:
    """What reads it."""
    if path.is_file() and path.suffix == ".bag":
        return Rosbag1Reader
    return CutMcapReader if path.is_file() and path.suffix == ".mcap" and is_cut(path) else usual


def _parts(path: Path) -> list[Path]:
    """What can be opened: the path itself, or the files of a directory without metadata that are true of them.

    Those are missing, or name no storage, or one of its files was cut off.
    """
    if not path.is_dir():
        return [path]
    metadata = path / "metadata.yaml"
    files = sorted(file for file in path.iterdir() if file.suffix in (".db3", ".mcap") and file.stat().st_size)
    if metadata.is_file():
        known = yaml.safe_load(metadata.read_text(encoding="utf-8"))["rosbag2_bagfile_information"]
        is_compressed = known.get("compression_mode", "").lower() not in ("", "none")
        if known["storage_identifier"] and (
            is_compressed or not any(file.suffix == ".mcap" and is_cut(file) for file in files)
        ):
            return [path]
        if is_compressed:
            raise InputError(
                f'{metadata} has no storage_identifier although the bag is compressed; write "mcap" or "sqlite3" there'
            )
    if not files:
        packed = next(path.glob("*.zstd"), None)
        advice = f"; unpack {packed.name} with zstd -d" if packed else ""
        raise InputError(
            f"{path} holds no rosbag2 recording; give the directory with its metadata.yaml, or a .db3 or .mcap file{advice}"
        )
    return files


def _describe(connections: list[Any]) -> BagTopic:
    """Summarise what rosbags knows of a topic, which may have had several publishers and files (its connections)."""
    profiles = [profile for connection in connections for profile in connection.ext.offered_qos_profiles]
    return BagTopic(
        type_name=" and ".join(sorted({connection.msgtype for connection in connections})),
        message_count=sum(connection.msgcount for connection in connections),
        is_latched=any(profile.durability.name == "TRANSIENT_LOCAL" for profile in profiles),
        qos=" and ".join(sorted({f"{profile.reliability.name}, {profile.durability.name}".lower() for profile in profiles})),
    )
