# SPDX-License-Identifier: Apache-2.0
"""Read a rosbag2 recording without ROS: its topics, and its messages as raw CDR bytes in the order of log time."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vizion3d.errors import DependencyError, InputError


@dataclass(frozen=True)
class BagTopic:
    """A recorded topic; `is_latched` if a publisher offered transient-local durability, as that of /tf_static does."""

    type_name: str
    message_count: int
    is_latched: bool


class BagReader:
    """An open rosbag2 recording: sqlite3 or mcap, compressed or not. `close` it after use.

    Attributes:
        path: What is read.
        topics: The recorded topics by name.

    Args:
        path: The bag's directory, or a .db3 or .mcap file. A file beside a metadata.yaml stands for that whole bag,
            because only the metadata tell whether the messages in the file are compressed.

    Raises:
        InputError: There is no rosbag2 recording at `path`, or it is damaged.
        DependencyError: The package `rosbags` is missing.
    """

    def __init__(self, path: Path) -> None:
        try:
            from rosbags.rosbag2 import Reader
        except ImportError as error:
            raise DependencyError('reading bags needs the package rosbags: pip install "vizion3d[bag]"') from error
        if path.suffix == ".bag":
            raise InputError(f"{path} is a ROS 1 bag; convert it first: rosbags-convert --src {path} --dst {path.stem}")
        self.path = path.parent if path.is_file() and (path.parent / "metadata.yaml").is_file() else path
        with self._damage_reported():
            self._reader = Reader(self.path)
            self._reader.open()
        self.topics = {name: _describe(info) for name, info in self._reader.topics.items()}

    def messages(self, topics: Collection[str]) -> Iterator[tuple[str, int, bytes]]:
        """Yield (topic, log stamp in ns, CDR bytes) of the named topics; the stamps never decrease.

        The files of a split bag may overlap a little: a message older than the one before it gets that one's stamp.

        Raises:
            InputError: The recording is damaged.
        """
        connections = [connection for connection in self._reader.connections if connection.topic in topics]
        latest_ns = 0
        with self._damage_reported():
            for connection, stamp_ns, cdr in self._reader.messages(connections):
                latest_ns = max(latest_ns, stamp_ns)
                yield connection.topic, latest_ns, cdr

    def close(self) -> None:
        """Close the files."""
        self._reader.close()

    @contextmanager
    def _damage_reported(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # of every kind: damaged files fail anywhere in the parsers
            raise InputError(
                f"{self.path} cannot be read as a rosbag2 recording ({error}); "
                "give the directory with its metadata.yaml, or a .db3 or .mcap file"
            ) from error


def _describe(info: Any) -> BagTopic:
    """Summarise what rosbags knows of a topic, which may have had several publishers (its connections)."""
    profiles = [profile for connection in info.connections for profile in connection.ext.offered_qos_profiles]
    return BagTopic(
        type_name=" and ".join(sorted({connection.msgtype for connection in info.connections})),
        message_count=info.msgcount,
        is_latched=any(profile.durability.name == "TRANSIENT_LOCAL" for profile in profiles),
    )
