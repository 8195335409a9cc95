# SPDX-License-Identifier: Apache-2.0
"""Folders of pictures and films, read as if they were recordings: compressed images, CameraInfo of a calibration, stamps."""

from __future__ import annotations

import logging
import mimetypes
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from vizion3d.calibration_files import load_calibration, load_calibrations
from vizion3d.camera import Calibration
from vizion3d.cli.pair import PICTURES, named_pairs
from vizion3d.errors import InputError
from vizion3d_ros import conversions
from vizion3d_ros.bag.reader import BagReader, BagTopic
from vizion3d_ros.bag.serialized import serialize
from vizion3d_ros.camera_topics import COMPRESSED_TYPE, IMAGE_TYPE, INFO_TYPE
from vizion3d_ros.messages import CompressedImage, Header, Time

_BEGIN_NS = 1_000_000_000  # a stamp of 0 is none
_STAMP_DIGITS = 18  # of names that are stamps in nanoseconds, as those of EuRoC
_DEFAULT_HZ = 10.0
_NAMED = 5  # of what is left out
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pictures:
    """What is to be read.

    Attributes:
        place: a folder, or a film.
        is_stereo: the folder holds pairs.
        calib: calibration files.
        numbers: of the cameras in a file of more than two.
        rate_hz: of the pictures; 0 is that of the film, or 10.
    """

    place: Path
    is_stereo: bool
    calib: tuple[str, ...] = ()
    numbers: tuple[int, int] | None = None
    rate_hz: float = 0.0


def is_pictures(inputs: Sequence[Path]) -> bool:
    """Whether an input is a film or a folder of pictures, and so no recording."""
    place = inputs[0]
    if len(inputs) > 1 or not place.is_dir():
        return len(inputs) == 1 and _is_film(place)
    return bool(named_pairs(place)) or any(path.suffix.lower() in PICTURES for path in place.iterdir())


def _is_film(place: Path) -> bool:
    return place.is_file() and (mimetypes.guess_type(place.name)[0] or "").startswith("video/")


def recognise(inputs: Sequence[Path], calib: Sequence[str], numbers: Sequence[int] | None, rate_hz: float) -> Pictures | None:
    """The pictures that an input is; None if it is a recording.

    Raises:
        InputError: pairs without a calibration.
    """
    if not is_pictures(inputs):
        return None
    place = inputs[0]
    pairs = named_pairs(place) if place.is_dir() else []
    if pairs and not calib:
        raise InputError(f"{place} holds pairs of pictures, and there is no depth without a calibration: give --calib FILE")
    if pairs:
        rest = {*place.rglob("*")} - {file for pair in pairs for file in pair}
        if alone := sorted(file for file in rest if file.suffix.lower() in PICTURES):
            names = ", ".join(str(file.relative_to(place)) for file in alone[:_NAMED]) + " ..." * (len(alone) > _NAMED)
            _LOG.warning(f"pictures without a partner, {len(alone)}, are left out: {names}")
    return Pictures(place, bool(pairs), tuple(calib), None if numbers is None else (numbers[0], numbers[1]), rate_hz)


def open_recording(inputs: Sequence[Path], pictures: Pictures | None) -> Any:
    """What reads the input: a `BagReader`, or what does the same of pictures."""
    if pictures is None:
        return BagReader(*inputs)
    return PictureReader(pictures) if pictures.place.is_dir() else FilmReader(pictures)


class _Reader:
    """What is common: topics, and CameraInfo with each image.

    Attributes: see `BagReader`.
    """

    def __init__(self, place: Path, topics: dict[str, str], calibrations: Sequence[Calibration]) -> None:
        self.path = place
        self.connections: dict[str, Any] = {}
        self.topics = {name: BagTopic(kind, 0, False) for name, kind in topics.items()}
        self.begin_ns = _BEGIN_NS
        self._infos = [name for name, kind in topics.items() if kind == INFO_TYPE]
        self._calibrations = calibrations

    def close(self) -> None:
        """Nothing is open."""

    def _info(self, topic: str, stamp_ns: int) -> bytes:
        calibration = self._calibrations[self._infos.index(topic)]
        return bytes(
            serialize(conversions.camera_info_from_calibration(calibration, _header(stamp_ns, topic.split("/")[1])), INFO_TYPE)
        )


class PictureReader(_Reader):
    """Pictures of a folder, or pairs of them."""

    def __init__(self, pictures: Pictures) -> None:
        if pictures.is_stereo:
            pairs = named_pairs(pictures.place)
            self._files = {"/left": [left for left, _ in pairs], "/right": [right for _, right in pairs]}
        else:
            self._files = {"/camera": sorted(path for path in pictures.place.iterdir() if path.suffix.lower() in PICTURES)}
        names = next(iter(self._files.values()))
        first = {space: files[0] for space, files in self._files.items()}
        topics = {f"{space}/image/compressed": COMPRESSED_TYPE for space in self._files}
        calibrations = _calibrations(pictures, list(first.values()))
        if calibrations:
            topics |= {f"{space}/camera_info": INFO_TYPE for space in self._files}
        super().__init__(pictures.place, topics, calibrations)
        self._stamps_ns = _stamps(names, pictures.rate_hz or _DEFAULT_HZ)
        self.begin_ns = self._stamps_ns[0]
        self._names = dict(zip(self._stamps_ns, (path.stem for path in names), strict=True))

    def recorded(
        self, topics: Collection[str], start_ns: int | None = None, stop_ns: int | None = None
    ) -> Iterator[tuple[str, int, bytes]]:
        """See `BagReader.recorded`."""
        for index, stamp_ns in enumerate(self._stamps_ns):
            if (start_ns is not None and stamp_ns < start_ns) or (stop_ns is not None and stamp_ns >= stop_ns):
                continue
            for space, files in self._files.items():
                if (info := f"{space}/camera_info") in self.topics and info in topics:
                    yield info, stamp_ns, self._info(info, stamp_ns)
                if (image := f"{space}/image/compressed") in topics:
                    kind, data = files[index].suffix[1:].lower(), files[index].read_bytes()
                    message = CompressedImage(header=_header(stamp_ns, space[1:]), format=kind, data=data)
                    yield image, stamp_ns, bytes(serialize(message, COMPRESSED_TYPE))

    def name_of(self, log_ns: int) -> str:
        """See `BagReader.name_of`."""
        return self._names[log_ns]


class FilmReader(_Reader):
    """The pictures of a film, at a steady rate."""

    def __init__(self, pictures: Pictures) -> None:
        film = self._open(pictures.place)
        size_wh = tuple(round(film.get(what)) for what in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        self._rate_hz = pictures.rate_hz or film.get(cv2.CAP_PROP_FPS) or _DEFAULT_HZ
        film.release()
        topics = {"/camera/image": IMAGE_TYPE} | ({"/camera/camera_info": INFO_TYPE} if pictures.calib else {})
        calibrations = [load_calibration(pictures.calib[0], (size_wh[0], size_wh[1]))] if pictures.calib else []
        super().__init__(pictures.place, topics, calibrations)

    def recorded(
        self, topics: Collection[str], start_ns: int | None = None, stop_ns: int | None = None
    ) -> Iterator[tuple[str, int, bytes]]:
        """See `BagReader.recorded`."""
        index = 0 if start_ns is None else max(0, round((start_ns - _BEGIN_NS) * self._rate_hz / 1e9))
        film = self._at(index)
        while stop_ns is None or self._stamp(index) < stop_ns:
            found, pixels = film.read()
            if not found:
                break
            stamp_ns = self._stamp(index)
            if "/camera/camera_info" in self.topics and "/camera/camera_info" in topics:
                yield "/camera/camera_info", stamp_ns, self._info("/camera/camera_info", stamp_ns)
            if "/camera/image" in topics:
                image = conversions.image_from_array(pixels, "bgr8", _header(stamp_ns, "camera"))
                yield "/camera/image", stamp_ns, bytes(serialize(image, IMAGE_TYPE))
            index += 1
        film.release()

    def name_of(self, log_ns: int) -> str:
        """See `BagReader.name_of`."""
        return f"{round((log_ns - _BEGIN_NS) * self._rate_hz / 1e9):06d}"

    def _stamp(self, index: int) -> int:
        return _BEGIN_NS + round(index * 1e9 / self._rate_hz)

    def _at(self, index: int) -> Any:
        """The film at one of its pictures."""
        film = self._open(self.path)
        film.set(cv2.CAP_PROP_POS_FRAMES, index)
        if round(film.get(cv2.CAP_PROP_POS_FRAMES)) != index:  # of a film that cannot be entered anywhere
            film = self._open(self.path)
            for _ in range(index):
                film.grab()
        return film

    @staticmethod
    def _open(path: Path) -> Any:
        film = cv2.VideoCapture(str(path))
        if not film.isOpened():
            raise InputError(f"OpenCV cannot read the film {path}; convert it, for example: ffmpeg -i {path} film.mp4")
        return film


def _calibrations(pictures: Pictures, images: list[Path]) -> list[Calibration]:
    if not pictures.calib:
        return []
    pixels = cv2.imread(str(images[0]), cv2.IMREAD_UNCHANGED)
    size_wh = None if pixels is None else (pixels.shape[1], pixels.shape[0])
    paths: list[Any] = list(pictures.calib)
    if not pictures.is_stereo:
        return [load_calibration(paths[0], size_wh)]
    return list(load_calibrations(paths, size_wh, images=(images[0], images[1]), cameras=pictures.numbers))


def _stamps(files: Sequence[Path], rate_hz: float) -> list[int]:
    """By the names of the files where these are stamps, else at a steady rate."""
    stems = [path.stem for path in files]
    if all(stem.isdigit() and len(stem) >= _STAMP_DIGITS for stem in stems):
        return [int(stem) for stem in stems]
    return [_BEGIN_NS + round(index * 1e9 / rate_hz) for index in range(len(files))]


def _header(stamp_ns: int, frame_id: str = "") -> Any:
    sec, nanosec = divmod(stamp_ns, 1_000_000_000)
    return Header(stamp=Time(sec=sec, nanosec=nanosec), frame_id=frame_id)
