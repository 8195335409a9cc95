# SPDX-License-Identifier: Apache-2.0
"""Drawn messages with faults that drivers, bridges and damaged recordings have; the same seed draws the same ones.

Everything drawn can be sent: no field is beyond its type.
"""

from __future__ import annotations

import array
import copy
import math
import struct
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

import cv2
import numpy as np

from vizion3d.camera import StereoRig
from vizion3d.synthetic import StereoFrame
from vizion3d_ros import conversions, encodings, mono_frames, stereo_frames
from vizion3d_ros.messages import CameraInfo, CompressedImage, Header, Time

LARGEST = 2**32 - 1
SIZES = (0, 1, 2, 3, 31, 33, 4096, 2**16, 2**31, LARGEST)
NUMBERS = (math.nan, math.inf, -math.inf, 0.0, -0.0, -1.0, 1.0, 1e-300, 1e300, 5e-324, 1e9, -1e9)
TEXTS = (
    "",
    " ",
    "rgb",
    "RGB8",
    "mono8 ",
    "8UC2",
    "64FC1",
    "32SC1",
    "yuv420",
    "jpeg",
    "rgb8; jpeg compressed bgr8",
    "\u00e9\u4e2d" * 9,
)
ENCODINGS = (*encodings._BYTES, *encodings._DEEP, *encodings._PLANES)
MODELS = ("", "plumb_bob", "rational_polynomial", "equidistant", "fisheye", "thin prism", "\u4e2d")


class StrangeMessages:
    """Frames of one kind, good and strange ones.

    Args:
        kind: "stereo" or "mono".
        frame: what the cameras see.
        rig: the cameras.
        seed: of the draw.
        compressed: the images are CompressedImage.
        raw: the names of the topics are those of raw images.
    """

    def __init__(
        self, kind: str, frame: StereoFrame, rig: StereoRig, seed: int, *, compressed: bool = False, raw: bool = False
    ) -> None:
        self.random = Random(seed)
        self._compressed = compressed
        self._frame, self._rig = frame, rig
        names = (stereo_frames.RAW_INPUTS if raw else stereo_frames.INPUTS) if kind == "stereo" else mono_frames.INPUTS
        self.topics = tuple(names)

    def good(self, stamp_ns: int) -> dict[str, Any]:
        """A frame that becomes depth, the CameraInfo first."""
        header = Header(stamp=Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9), frame_id="left_optical")
        made = {}
        for topic in sorted(self.topics, key=lambda topic: "info" not in topic):
            right = topic.startswith("right")
            if "info" in topic:
                camera, baseline_m = (self._rig.right, self._rig.baseline_m) if right else (self._rig.left, 0.0)
                made[topic] = conversions.camera_info(camera, copy.deepcopy(header), baseline_m)
            else:
                made[topic] = self._image(self._frame.right if right else self._frame.left, copy.deepcopy(header))
        return made

    def strange(self, stamp_ns: int) -> tuple[list[tuple[str, Any]], list[str]]:
        """(topic, message) in some order with one to three faults, and what the faults are."""
        frame, faults = list(self.good(stamp_ns).items()), []
        for _ in range(self.random.choice((1, 1, 2, 3))):
            _, message = self.random.choice(frame)
            fault = self.random.choice((*self._faults_of(message), *_STAMPS, *_SETS))
            faults.append(f"{fault.__name__.strip('_')} of {type(message).__name__}")
            if fault in _SETS:
                fault(self.random, frame)
            else:
                fault(self.random, message)
            if not frame:
                break
        return frame, faults

    def _image(self, rgb: np.ndarray, header: Any) -> Any:
        if not self._compressed:
            return conversions.image_from_array(rgb, "rgb8", header)
        return CompressedImage(header=header, format="rgb8; png compressed bgr8", data=_bytes(_encoded(".png", rgb)))

    def _faults_of(self, message: Any) -> tuple[Callable[[Random, Any], None], ...]:
        if isinstance(message, CameraInfo):
            return _OF_INFOS
        return _OF_COMPRESSED if isinstance(message, CompressedImage) else _OF_IMAGES


# Of an Image


def _other_encoding(random: Random, image: Any) -> None:
    image.encoding = random.choice((*TEXTS, *ENCODINGS))


def _other_step(random: Random, image: Any) -> None:
    image.step = random.choice((*SIZES, image.step - 1, image.step + 1))


def _other_size(random: Random, image: Any) -> None:
    setattr(image, random.choice(("width", "height")), random.choice(SIZES))


def _data_cut(random: Random, image: Any) -> None:
    image.data = _bytes(bytes(image.data)[: random.choice((0, 1, len(image.data) // 2, len(image.data) - 1))])


def _data_appended(random: Random, image: Any) -> None:
    image.data = _bytes(bytes(image.data) + random.randbytes(random.choice((1, 1000))))


def _other_byte_order(random: Random, image: Any) -> None:
    image.is_bigendian = random.choice((1, 2, 255))


def _whole_image_of_another_kind(random: Random, image: Any) -> None:
    """All fits together, but size, encoding, padding and byte order are any."""
    image.encoding = random.choice(ENCODINGS)
    image.width, image.height = random.choice((1, 2, 31, 64, 65)), random.choice((1, 2, 30, 33, 48))
    image.step = image.width * 16 + random.choice((0, 0, 1, 7))
    image.is_bigendian = random.choice((0, 1))
    values = random.randbytes(image.step * image.height * 3)
    if image.encoding.startswith("32FC") and random.random() < 0.5:
        values = struct.pack("<f", random.choice((math.nan, math.inf, -1.0, 0.0, 3e38))) * (len(values) // 4)
    image.data = _bytes(values)


# Of a CompressedImage


def _other_format(random: Random, image: Any) -> None:
    image.format = random.choice((*TEXTS, *(f"{name}; png compressed " for name in ENCODINGS), "16UC1; compressedDepth png"))


def _data_damaged(random: Random, image: Any) -> None:
    data = bytearray(image.data)
    for _ in range(random.choice((1, 3, 30))):
        if data:
            data[random.randrange(len(data))] = random.randrange(256)
    image.data = _bytes(bytes(data))


def _data_of_another_kind(random: Random, image: Any) -> None:
    deep, size = random.random() < 0.3, (random.choice((1, 2, 48)), random.choice((1, 3, 64)))
    kind = random.choice((".png", ".tiff")) if deep else random.choice((".jpg", ".png", ".bmp", ".webp", ".tiff"))
    channels = random.choice((1, 3) if kind in (".jpg", ".bmp") else (1, 3, 4))
    values = np.frombuffer(random.randbytes(math.prod(size) * channels * (1 + deep)), np.uint16 if deep else np.uint8)
    image.data = _bytes(_encoded(kind, values.reshape(*size, channels), as_is=True))


def _head_of_a_huge_image(random: Random, image: Any) -> None:
    head = struct.pack(">IIBBBBB", random.choice((40_000, 2**31 - 1)), random.choice((40_000, 2**31 - 1)), 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")]
    image.data = _bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
        )
    )


# Of a CameraInfo


def _numbers(random: Random, info: Any) -> None:
    field = random.choice("krpp")
    values = list(getattr(info, field))
    for _ in range(random.choice((1, 2, len(values)))):
        values[random.randrange(len(values))] = random.choice(NUMBERS)
    setattr(info, field, values)


def _no_numbers(random: Random, info: Any) -> None:
    for field in random.choice(("k", "p", "kp", "krp")):
        setattr(info, field, [0.0] * len(getattr(info, field)))


def _distortion(random: Random, info: Any) -> None:
    info.distortion_model = random.choice(MODELS)
    info.d = [random.choice((*NUMBERS, random.gauss(0, 0.3))) for _ in range(random.choice((0, 1, 4, 5, 8, 12, 14, 100)))]


def _some_distortion(random: Random, info: Any) -> None:
    info.distortion_model = random.choice(("plumb_bob", "rational_polynomial", "equidistant"))
    info.d = [random.gauss(0, 0.5) for _ in range(random.choice((4, 5, 8)))]


def _baseline(random: Random, info: Any) -> None:
    info.p[3] = random.choice((0.0, 1.0, 100.0, -1e-6, -1e12, -info.p[3]))


def _binning(random: Random, info: Any) -> None:
    info.binning_x, info.binning_y = random.choice((0, 1, 2, 3, LARGEST)), random.choice((0, 1, 2, 3, LARGEST))


def _region(random: Random, info: Any) -> None:
    roi = info.roi
    roi.x_offset, roi.y_offset, roi.width, roi.height = (random.choice((0, 1, 20, *SIZES)) for _ in range(4))
    roi.do_rectify = random.random() < 0.5


def _of_another_size(random: Random, info: Any) -> None:
    info.width, info.height = random.choice((info.width, *SIZES)), random.choice((info.height, *SIZES))


# Of headers, and of what comes when


def _stamp(random: Random, message: Any) -> None:
    stamp = message.header.stamp
    stamp.sec = random.choice((0, -1, -(2**31), 2**31 - 1, stamp.sec, stamp.sec + 1))
    stamp.nanosec = random.choice((0, 1, 10**9, LARGEST, stamp.nanosec, (stamp.nanosec + 1) % 10**9))


def _frame_id(random: Random, message: Any) -> None:
    message.header.frame_id = random.choice((*TEXTS, "/left", "x" * 5000))


def _lost(random: Random, frame: list[tuple[str, Any]]) -> None:
    frame.pop(random.randrange(len(frame)))


def _sent_twice(random: Random, frame: list[tuple[str, Any]]) -> None:
    frame.insert(random.randrange(len(frame) + 1), random.choice(frame))


def _in_another_order(random: Random, frame: list[tuple[str, Any]]) -> None:
    random.shuffle(frame)


_OF_IMAGES = (
    *(_other_encoding, _other_step, _other_size, _data_cut, _data_appended, _other_byte_order),
    *(_whole_image_of_another_kind,) * 4,
)
_OF_COMPRESSED = (_other_format, _data_cut, _data_damaged, _data_damaged, *(_data_of_another_kind,) * 3, _head_of_a_huge_image)
_OF_INFOS = (_numbers, _numbers, _no_numbers, _distortion, _some_distortion, _baseline, _binning, _region, _of_another_size)
_STAMPS = (_stamp, _frame_id)
_SETS = (_lost, _sent_twice, _in_another_order)


def _bytes(data: bytes) -> array.array[int]:
    return array.array("B", data)


def _encoded(kind: str, values: np.ndarray, as_is: bool = False) -> bytes:
    return cv2.imencode(kind, values if as_is else values[..., ::-1])[1].tobytes()
