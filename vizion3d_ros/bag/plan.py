# SPDX-License-Identifier: Apache-2.0
"""Which frames a recording has: its messages read once, before anything is computed, and nothing kept of them but numbers.

What a live node decides as messages arrive is decided here for the whole recording: which images belong together, which
CameraInfo is whose, what cannot be used and why. So every stretch of it can be computed by itself.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from vizion3d.errors import CalibrationError, InputError
from vizion3d_ros.bag.reader import BagReader
from vizion3d_ros.bag.serialized import deserialize, image_size_of, read_message, stamp_of
from vizion3d_ros.camera_infos import CameraInfos
from vizion3d_ros.camera_topics import COMPRESSED_TYPE, INFO_TYPE, CameraTopics
from vizion3d_ros.conversions import image_size_wh
from vizion3d_ros.pairing import Pairing

_SHORTEST_CDR = 12  # with a stamp in it
# How late a partner may be; more than any driver takes, less than a loop.
_QUEUE_NS = 10_000_000_000
_QUEUE_SIZE = 10_000
_LATE_INFO_NS = 1_000_000_000
LOG, STAMP, INFO = range(3)


class Skipped(NamedTuple):
    """A message or frame that comes to nothing."""

    at_s: float
    """From the beginning of the recording."""
    why: str

    def __str__(self) -> str:
        return f"{self.at_s:.3f} s: {self.why}"


@dataclass(frozen=True, eq=False)
class Plan:
    """The frames of a recording.

    Attributes:
        frames: (frames, cameras, 3) int64: log stamp and stamp of the image, and which of `infos` is its CameraInfo, or -1.
        infos: every CameraInfo that differs by more than its stamp, in CDR.
        begin_ns: log stamp of the beginning of the recording.
        skipped: what comes to nothing, in the order of time.
        span_ns: between which log stamps the recording was asked for, the last one excluded; None is without end.
        damage: why the recording cannot be read beyond these frames; "" if it can.
    """

    frames: np.ndarray
    infos: tuple[bytes, ...]
    begin_ns: int
    skipped: tuple[Skipped, ...] = ()
    damage: str = ""
    span_ns: tuple[int | None, int | None] = (None, None)

    @cached_property
    def digest(self) -> str:
        """Equal for equal frames."""
        return hashlib.sha256(b"".join((np.ascontiguousarray(self.frames).tobytes(), *self.infos))).hexdigest()

    def require_infos(self, cameras: Sequence[CameraTopics], where: object) -> None:
        """Raise InputError if there is no CameraInfo of one of the cameras."""
        for camera, which in zip(cameras, self.frames[0, :, INFO].tolist(), strict=False):
            if which < 0:
                raise InputError(f"{where} has no CameraInfo of {camera.image}: nothing came on {camera.info}")

    def info_messages(self) -> list[Any]:
        """`infos` as messages."""
        return [deserialize(cdr, INFO_TYPE) for cdr in self.infos]


def make_plan(
    bag: BagReader,
    cameras: Sequence[CameraTopics],
    *,
    tolerance_ns: int = 0,
    start_s: float = 0.0,
    end_s: float | None = None,
    every: int = 1,
) -> Plan:
    """Look through a recording.

    Args:
        bag: the recording.
        cameras: whose images belong together.
        tolerance_ns: stamps that differ by no more count as the same.
        start_s, end_s: what of it counts, in seconds from its beginning; None is to its end.
        every: only every so many-th frame.

    Raises:
        InputError: there is no frame; the message says why.
    """
    start_ns = bag.begin_ns + round(start_s * 1e9)
    stop_ns = None if end_s is None else bag.begin_ns + round(end_s * 1e9)
    seen = _look_through(bag, cameras, tolerance_ns, start_ns, stop_ns)
    if not seen.rows:
        if seen.damage:
            raise InputError(seen.damage)
        raise InputError(_no_frame(bag, cameras, seen))
    # Per frame and camera: log stamp, stamp, width, height.
    found = np.frombuffer(seen.rows, np.int64).reshape(-1, len(cameras), 4)
    skipped = [*seen.skipped, *_without_partner(seen, found, cameras, bag.begin_ns)]
    found = found[::every]
    infos = tuple(seen.distinct_infos.values())
    messages = [deserialize(cdr, INFO_TYPE) for cdr in infos]
    frames = np.concatenate((found[..., :2], np.full((*found.shape[:2], 1), -1)), axis=2)
    kept = np.ones(len(frames), bool)
    for index in range(len(cameras)):
        told = seen.infos[index]
        frames[:, index, INFO] = [told.find(stamp, log) for log, stamp in frames[:, index, :INFO].tolist()]
        sizes = CameraInfos()
        for row, (_, stamp_ns, width, height) in enumerate(found[:, index].tolist()):
            if (at := int(frames[row, index, INFO])) < 0:
                continue
            frames[row, index, INFO] = which = told.ids[at]
            if told.stamps_ns[at] == stamp_ns:
                sizes.add(stamp_ns, messages[which])
            try:
                if width:
                    sizes.check_size(messages[which], stamp_ns, (width, height))
            except CalibrationError as error:
                kept[row] = False
                skipped.append(Skipped((int(frames[row, index, LOG]) - bag.begin_ns) / 1e9, str(error)))
    frames = frames[kept]
    span_ns = (start_ns if start_s else None, stop_ns)
    return Plan(frames, infos, bag.begin_ns, tuple(sorted(skipped)), seen.damage, span_ns)


def images_of(bag: BagReader, cameras: Sequence[CameraTopics], frames: np.ndarray) -> Iterator[tuple[int, list[bytes]]]:
    """(index, CDR of the image of each camera) of some frames of a plan, in their order.

    Raises:
        InputError: the recording is damaged.
    """
    finder = FrameFinder(cameras, frames)
    topics = {camera.image for camera in cameras}
    for topic, log_ns, cdr in bag.recorded(topics, finder.begin_ns, finder.end_ns):
        yield from finder.add(topic, log_ns, cdr)


class FrameFinder:
    """Finds the images of some frames of a plan among messages, in whatever order these come.

    Attributes:
        begin_ns, end_ns: between which log stamps they are, the last one excluded.
    """

    def __init__(self, cameras: Sequence[CameraTopics], frames: np.ndarray) -> None:
        self.begin_ns, self.end_ns = int(frames[..., LOG].min()), int(frames[..., LOG].max()) + 1
        # Several places are waiting for one kind of message where even the log stamps of images are equal.
        self._wanted: dict[tuple[str, int, int], list[tuple[int, int]]] = {}
        for row, frame in reversed([*enumerate(frames[..., :INFO].tolist())]):
            for index, (camera, (log_ns, stamp_ns)) in enumerate(zip(cameras, frame, strict=True)):
                self._wanted.setdefault((camera.image, log_ns, stamp_ns), []).append((row, index))
        self._found: dict[int, list[bytes | None]] = {}
        self._cameras = len(cameras)
        self._next = 0

    @property
    def is_waiting(self) -> bool:
        """Whether images are missing yet."""
        return bool(self._wanted)

    def add(self, topic: str, log_ns: int, cdr: bytes) -> Iterator[tuple[int, list[bytes]]]:
        """Take a message; the frames that are complete now and whose turn it is."""
        key = (topic, log_ns, stamp_of(cdr)) if len(cdr) >= _SHORTEST_CDR else None
        if key not in self._wanted:
            return
        row, index = self._wanted[key].pop()
        if not self._wanted[key]:
            del self._wanted[key]
        self._found.setdefault(row, [None] * self._cameras)[index] = cdr
        while None not in (images := self._found.get(self._next, [None])):
            del self._found[self._next]
            self._next += 1
            yield self._next - 1, images  # type: ignore[misc]


class _ToldInfos:
    """The CameraInfo of one camera as numbers, in the order in which they were recorded."""

    def __init__(self) -> None:
        self.logs_ns, self.stamps_ns, self.ids = array("q"), array("q"), array("q")

    def add(self, log_ns: int, stamp_ns: int, id_: int) -> None:
        """Take one."""
        for values, value in ((self.logs_ns, log_ns), (self.stamps_ns, stamp_ns), (self.ids, id_)):
            values.append(value)

    @cached_property
    def _by_stamp(self) -> np.ndarray:
        return np.argsort(np.frombuffer(self.stamps_ns, np.int64), kind="stable")

    def find(self, stamp_ns: int, log_ns: int) -> int:
        """Where the one of an image is; -1 if there is none.

        It is the one with its stamp, however late; else what `CameraInfos.find` says of those that were there with the image;
        else the first that came.
        """
        if not self.ids:
            return -1
        stamps = np.frombuffer(self.stamps_ns, np.int64)
        first, last = (int(np.searchsorted(stamps, stamp_ns, side, sorter=self._by_stamp)) for side in ("left", "right"))
        if first < last:
            return min(map(int, self._by_stamp[first:last]), key=lambda at: abs(self.logs_ns[at] - log_ns))
        arrived = int(np.searchsorted(np.frombuffer(self.logs_ns, np.int64), log_ns, "right"))
        older = next((at for at in range(arrived - 1, -1, -1) if self.stamps_ns[at] < stamp_ns), None)
        return max(0, arrived - 1) if older is None else older


@dataclass
class _Seen:
    """What the pass over a recording leaves."""

    rows: array = field(default_factory=lambda: array("q"))
    images: list[array] = field(default_factory=list)  # per camera: log stamp, stamp, ...
    infos: list[_ToldInfos] = field(default_factory=list)
    distinct_infos: dict[bytes, bytes] = field(default_factory=dict)  # without stamp -> whole
    skipped: list[Skipped] = field(default_factory=list)
    damage: str = ""
    tolerance_ns: int = 0


def _look_through(
    bag: BagReader, cameras: Sequence[CameraTopics], tolerance_ns: int, start_ns: int, stop_ns: int | None
) -> _Seen:
    image_of = {camera.image: index for index, camera in enumerate(cameras)}
    infos_of: dict[str, list[int]] = {}
    for index, camera in enumerate(cameras):
        if camera.info:
            infos_of.setdefault(camera.info, []).append(index)
    seen = _Seen(images=[array("q") for _ in cameras], infos=[_ToldInfos() for _ in cameras])
    pairing = Pairing(list(image_of), tolerance_ns, _QUEUE_SIZE, _QUEUE_NS)
    is_compressed = {name: bag.topics[name].type_name == COMPRESSED_TYPE for name in image_of}
    ids: dict[bytes, int] = {}
    try:
        last_ns = None if stop_ns is None else stop_ns + _LATE_INFO_NS
        for topic, log_ns, cdr in bag.recorded({*image_of, *infos_of}, None, last_ns):
            if len(cdr) < _SHORTEST_CDR:
                why = f"{topic}: {len(cdr)} bytes are no message"
                seen.skipped.append(Skipped((log_ns - bag.begin_ns) / 1e9, why))
                continue
            stamp_ns = stamp_of(cdr)
            for index in infos_of.get(topic, ()):
                content = bytes(cdr[:4]) + bytes(cdr[12:])
                if content not in seen.distinct_infos:
                    try:
                        read_message(cdr, INFO_TYPE, "a CameraInfo")
                    except InputError as error:
                        seen.skipped.append(Skipped((log_ns - bag.begin_ns) / 1e9, f"{topic}: {error}"))
                        continue
                    seen.distinct_infos[content] = bytes(cdr)
                seen.infos[index].add(log_ns, stamp_ns, ids.setdefault(content, len(ids)))
            if topic in image_of and start_ns <= log_ns and (stop_ns is None or log_ns < stop_ns):
                seen.images[image_of[topic]].extend((log_ns, stamp_ns))
                value = (log_ns, stamp_ns, *_size_of(cdr, is_compressed[topic]))
                if (match := pairing.add(topic, stamp_ns, value)) is not None:
                    for one in match:
                        seen.rows.extend(one)
    except InputError as error:
        seen.damage = str(error)
    seen.tolerance_ns = pairing.used_tolerance_ns
    return seen


def _size_of(cdr: bytes, is_compressed: bool) -> tuple[int, int]:
    """(width, height) of an image; zeros if that cannot be read."""
    try:
        if not is_compressed:
            return image_size_of(cdr)
        return image_size_wh(deserialize(cdr, COMPRESSED_TYPE)) or (0, 0)
    except Exception:  # of every kind: damaged bytes; said where the image is decoded
        return 0, 0


def _without_partner(seen: _Seen, found: np.ndarray, cameras: Sequence[CameraTopics], begin_ns: int) -> Iterator[Skipped]:
    """Images that belong to no frame, with the reason."""
    stamps = [np.sort(np.frombuffer(images, np.int64)[1::2]) for images in seen.images]
    for index, (camera, images) in enumerate(zip(cameras, seen.images, strict=True)):
        used = {*map(tuple, found[:, index, :INFO].tolist())}
        for log_ns, stamp_ns in np.frombuffer(images, np.int64).reshape(-1, 2).tolist():
            for other, others in zip(cameras, stamps, strict=True):
                if other is not camera and (log_ns, stamp_ns) not in used:
                    why = f"{camera.image} has no partner on {other.image}: {_nearest(others, stamp_ns, seen.tolerance_ns)}"
                    yield Skipped((log_ns - begin_ns) / 1e9, why)


def _nearest(stamps_ns: np.ndarray, stamp_ns: int, tolerance_ns: int) -> str:
    """How far off the nearest of some sorted stamps is, in words."""
    if not len(stamps_ns):
        return "nothing came there"
    place = int(np.searchsorted(stamps_ns, stamp_ns))
    off_ns = min((int(near) - stamp_ns for near in stamps_ns[max(0, place - 1) : place + 1]), key=abs)
    if abs(off_ns) <= tolerance_ns:
        return "the one near it belongs to another image"
    allowed = f", and --tolerance allows {tolerance_ns / 1e6:g} ms" if tolerance_ns else ""
    return f"the nearest stamp is {abs(off_ns) / 1e6:.4g} ms {'later' if off_ns > 0 else 'earlier'}{allowed}"


def _no_frame(bag: BagReader, cameras: Sequence[CameraTopics], seen: _Seen) -> str:
    counts = [len(images) // 2 for images in seen.images]
    images = ", ".join(f"{count} on {camera.image}" for camera, count in zip(cameras, counts, strict=True))
    if not all(counts):
        return f"{bag.path} has no frame to work on in this time: images are {images}"
    stamps = [np.frombuffer(images, np.int64)[1::2] for images in seen.images]
    first, other = int(stamps[0][0]), min(stamps[1:], key=lambda others: len(np.intersect1d(stamps[0], others)))
    off = _nearest(np.sort(other), first, seen.tolerance_ns)
    return f"{bag.path} has no pair of equal stamps (images are {images}; of the first {off}): give --tolerance SECONDS"
