# SPDX-License-Identifier: Apache-2.0
"""Write a rosbag2 recording in segments: one file each, whole as soon as it has its name, and metadata.yaml of all there are.

So what was written can be read whatever ends the work, and segments of several processes go together.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml

from vizion3d.errors import InputError, Vizion3dError
from vizion3d_ros.bag.serialized import serialize, typestore

STORAGES = ("mcap", "sqlite3")
UNFINISHED = ".unfinished"
# Every distribution reads this version of metadata.yaml; that of the next one begins with Jazzy.
_VERSION: Literal[8] = 8


class RecordedTopic(NamedTuple):
    """A topic of the recording that is written."""

    name: str
    type_name: str
    definition: str
    type_hash: str
    qos: Sequence[Any] = ()
    """As rosbags has it."""


def output_topic(name: str, type_name: str) -> RecordedTopic:
    """A topic of a known type, offered as the nodes offer their outputs: reliable, the last one."""
    from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

    qos = Qos(
        QosHistory.KEEP_LAST,
        1,
        QosReliability.RELIABLE,
        QosDurability.VOLATILE,
        QosTime(0, 0),
        QosTime(0, 0),
        QosLiveliness.AUTOMATIC,
        QosTime(0, 0),
        False,
    )
    store = typestore()
    return RecordedTopic(
        name, type_name, store.generate_msgdef(type_name, ros_version=2)[0], store.hash_rihs01(type_name), [qos]
    )


def copied_topic(connection: Any) -> RecordedTopic | None:
    """A topic as it was recorded; None if nobody knows how its messages are defined."""
    from rosbags.typesys import get_types_from_msg

    kind, definition, type_hash = connection.msgtype, connection.msgdef.data, connection.digest
    if not (definition and type_hash):
        try:
            store = typestore()
            if definition and kind not in store.fielddefs:
                store.register(get_types_from_msg(definition, kind))
            definition = definition or store.generate_msgdef(kind, ros_version=2)[0]
            type_hash = store.hash_rihs01(kind)
        except Exception:  # of every kind: types that rosbags does not understand
            return None
    return RecordedTopic(connection.topic, kind, definition, type_hash, connection.ext.offered_qos_profiles)


class SegmentWriter:
    """One segment. What is not finished leaves no file behind that looks like one.

    Args:
        folder: of the recording.
        index: of the segment.
        topics: all of the recording, whether this segment has messages of them or not.
        storage: one of `STORAGES`.
        compress: with zstd.
    """

    def __init__(self, folder: Path, index: int, topics: Sequence[RecordedTopic], storage: str, compress: bool) -> None:
        from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

        self.name = f"depth_{index:05d}"
        self._folder = folder
        self._place = folder / UNFINISHED / self.name
        shutil.rmtree(self._place, ignore_errors=True)
        plugin = StoragePlugin[storage.upper()]
        self._writer = Writer(self._place, version=_VERSION, storage_plugin=plugin)
        if compress:
            mode = CompressionMode.STORAGE if plugin is StoragePlugin.MCAP else CompressionMode.MESSAGE
            self._writer.set_compression(mode, CompressionFormat.ZSTD)
        self._writer.open()
        self._kinds = {topic.name: topic.type_name for topic in topics}
        self._connections = {
            topic.name: self._writer.add_connection(
                topic.name,
                topic.type_name,
                msgdef=topic.definition,
                rihs01=topic.type_hash,
                offered_qos_profiles=topic.qos,
            )
            for topic in topics
        }

    def put(self, _topic: str, full_name: str, _name: str, log_ns: int, message: Any) -> None:
        """Add an output."""
        self.write(full_name, log_ns, serialize(message, self._kinds[full_name]))

    def write(self, topic: str, log_ns: int, cdr: bytes | memoryview) -> None:
        """Add a message."""
        self._writer.write(self._connections[topic], log_ns, cdr)

    def finish(self) -> dict[str, Any]:
        """Give the file its name; what is to be said of it in metadata.yaml."""
        self._writer.close()
        text = (self._place / "metadata.yaml").read_text(encoding="utf-8")
        metadata = yaml.safe_load(text)["rosbag2_bagfile_information"]
        (name,) = metadata["relative_file_paths"]
        os.replace(self._place / name, self._folder / name)
        shutil.rmtree(self._place)
        return metadata

    def abort(self) -> None:
        """Leave nothing behind."""
        with suppress(OSError):  # of a full disc, which has been told
            self._writer.abort()
        shutil.rmtree(self._place, ignore_errors=True)


@contextmanager
def told(folder: Path) -> Iterator[None]:
    """What the disc says, in one sentence."""
    try:
        yield
    except Vizion3dError:
        raise
    except (OSError, sqlite3.Error) as error:
        raise InputError(
            f"cannot write to {folder}: {error}; the files that are there are whole: make room and go on with --resume"
        ) from error


def write_metadata(folder: Path, segments: Sequence[Mapping[str, Any]]) -> None:
    """Write metadata.yaml for the segments that there are, by what `SegmentWriter.finish` said of each, in their order."""
    recorded = [one for one in segments if "message_count" in one]
    if not recorded:  # but files of another kind
        return
    filled = [one for one in recorded if one["message_count"]] or recorded[:1]
    whole = dict(deepcopy(filled[0]))
    for topic in whole["topics_with_message_count"]:
        topic["message_count"] = sum(_counts(one)[topic["topic_metadata"]["name"]] for one in filled)
    begins = [one["starting_time"]["nanoseconds_since_epoch"] for one in filled]
    ends = [begin + one["duration"]["nanoseconds"] for begin, one in zip(begins, filled, strict=True)]
    whole["starting_time"] = {"nanoseconds_since_epoch": min(begins)}
    whole["duration"] = {"nanoseconds": max(ends) - min(begins)}
    whole["message_count"] = sum(one["message_count"] for one in filled)
    for key in ("relative_file_paths", "files"):
        whole[key] = [entry for one in filled for entry in one[key]]
    text = yaml.safe_dump({"rosbag2_bagfile_information": whole}, sort_keys=False)
    write_whole(folder / "metadata.yaml", text)


def write_whole(path: Path, text: str) -> None:
    """Write a file that is never seen half written."""
    draft = path.with_name(f"{path.name}.new")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)


def check_new(folder: Path) -> None:
    """Raise InputError if something is there already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"--out {folder} is there already; give another folder, or --resume to go on with what is in it")


def _counts(metadata: Mapping[str, Any]) -> dict[str, int]:
    return {topic["topic_metadata"]["name"]: topic["message_count"] for topic in metadata["topics_with_message_count"]}
