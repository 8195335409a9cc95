# SPDX-License-Identifier: Apache-2.0
"""Frames of a recording with the truth that is recorded beside them, as simulators and rigs with a second sensor do."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from vizion3d.bit_depth import Levels
from vizion3d.errors import InputError, Vizion3dError
from vizion3d.evaluate import MonoCase, StereoCase
from vizion3d.evaluate.maps import disparity_from_depth
from vizion3d_ros import conversions, mono_frames, stereo_frames
from vizion3d_ros.bag.plan import INFO, LOG, images_of, make_plan
from vizion3d_ros.bag.prepare import choose_cameras
from vizion3d_ros.bag.reader import BagReader
from vizion3d_ros.bag.serialized import read_message
from vizion3d_ros.camera_topics import IMAGE_TYPE, CameraTopics
from vizion3d_ros.settings import MonoFrameSettings

_LOG = logging.getLogger(__name__)
_DISPARITY_TYPE = "stereo_msgs/msg/DisparityImage"


def recorded_cases(
    path: Path, stereo: Sequence[str], truth: str, every: int = 1, tolerance_s: float = 0.0
) -> Iterator[StereoCase]:
    """Read the pairs whose left image has a truth of the same stamp, one at a time.

    Args:
        path: of the recording.
        stereo: topics of the cameras as for `choose_cameras`; nothing where only one pair can be meant. Raw images (by the
            names of their topics) are rectified.
        truth: topic of the truth of the rectified left image: depth as Image, 32FC1 in metres or 16UC1 in millimetres, or
            DisparityImage.
        every: only every so many-th.
        tolerance_s: stamps that differ by no more are one moment.

    What cannot be used (damaged, of another size, no depth known) is left out and told in a warning.

    Raises:
        InputError: there is no recording, no such topic, no pair with a truth, or none that can be used.
    """
    levels = Levels()

    def case(frame: _Frame) -> StereoCase:
        pair = stereo_frames.decode(frame.messages(), levels, rectify=frame.is_raw)
        depth_m = frame.depth_m(pair.left, "the rectified left image")
        truth_px = disparity_from_depth(np.where(np.isfinite(depth_m), depth_m, np.nan), pair.rig, truth)
        return StereoCase(frame.name, pair.left, pair.right, truth_px, None, pair.rig)

    yield from _usable(_frames(path, stereo, (), truth, every, tolerance_s), case)


def recorded_views(path: Path, mono: Sequence[str], truth: str, every: int = 1, tolerance_s: float = 0.0) -> Iterator[MonoCase]:
    """Read the images of one camera that have a truth of the same stamp, one at a time; arguments as of `recorded_cases`."""
    levels, settings = Levels(), MonoFrameSettings()

    def case(frame: _Frame) -> MonoCase:
        view = mono_frames.decode(frame.messages(), levels)
        depth_m = frame.depth_m(view.rgb, "the image")
        return MonoCase(frame.name, view.rgb, depth_m, view.camera(settings), view.trouble(settings))

    yield from _usable(_frames(path, (), mono, truth, every, tolerance_s), case)


@dataclass
class _Frame:
    """As it was recorded: bytes, which may be damaged."""

    name: str
    cdrs: list[bytes]
    """The image of each camera, and the truth."""
    kinds: list[str]
    infos: list[Any]
    is_raw: bool
    truth: str

    def messages(self) -> list[Any]:
        """Image and CameraInfo of each camera in turn. Raises InputError."""
        images = [self._image(at) for at in range(len(self.infos))]
        return [one for pair in zip(images, self.infos, strict=True) for one in pair]

    def depth_m(self, rgb: np.ndarray, what: str) -> np.ndarray:
        """(H, W) float64 true depth. Raises InputError if it is not of this picture's size, or unknown."""
        depth_m = _depth(self._image(-1))
        if depth_m.shape != rgb.shape[:2]:
            sizes = [f"{m.shape[1]}x{m.shape[0]}" for m in (depth_m, rgb)]
            raise InputError(f"{self.truth} is {sizes[0]} but {what} {sizes[1]}; they must be equal")
        if not (np.isfinite(depth_m) & (depth_m > 0)).any():
            raise InputError(f"{self.truth} has no known depth")
        return depth_m

    def _image(self, at: int) -> Any:
        return read_message(self.cdrs[at], self.kinds[at], "an image")


_Case = TypeVar("_Case")


def _usable(frames: Iterator[_Frame], case: Callable[[_Frame], _Case]) -> Iterator[_Case]:
    """The cases of those frames that can be used; what is wrong with the others is told, and raised if none can be."""
    trouble: dict[str, list[str]] = {}  # which frames each is of
    first: Vizion3dError | None = None
    some = False
    for frame in frames:
        try:
            made = case(frame)
        except Vizion3dError as error:
            first = first or error
            trouble.setdefault(str(error), []).append(frame.name)
            continue
        some = True
        yield made
    if first and not some:
        raise first
    for text, names in trouble.items():
        _LOG.warning(f"left out: {len(names)}, the first at {names[0]}: {text}")


def _frames(
    path: Path, stereo: Sequence[str], mono: Sequence[str], truth: str, every: int, tolerance_s: float
) -> Iterator[_Frame]:
    """The frames that have a truth."""
    with closing(BagReader(path)) as bag:
        kinds = {name: topic.type_name for name, topic in bag.topics.items()}
        if kinds.get(truth) not in (IMAGE_TYPE, _DISPARITY_TYPE):
            known = ", ".join(sorted(name for name, kind in kinds.items() if kind in (IMAGE_TYPE, _DISPARITY_TYPE)))
            raise InputError(f"{path} has no {IMAGE_TYPE} or {_DISPARITY_TYPE} {truth}; those that are: {known or 'none'}")
        cameras = choose_cameras(bag, stereo, mono, str(path))
        if len(cameras) == 1 and not mono:
            raise InputError(f"{path} has one camera; give --mono {cameras[0].image} and a mono --model")
        if truth in (camera.image for camera in cameras):
            raise InputError(f"{truth} is an image of the camera and given as its truth; give the topic of its depth")
        topics = (*cameras, CameraTopics(truth, "", False))
        plan = make_plan(bag, topics, every=every, tolerance_ns=round(tolerance_s * 1e9))
        if not mono:
            plan.require_infos(cameras, path)
        infos, is_raw = [*plan.info_messages(), None], any(camera.is_raw for camera in cameras)
        for row, cdrs in images_of(bag, topics, plan.frames):
            of_images = [infos[at] for at in plan.frames[row, : len(cameras), INFO].tolist()]
            name = f"{(int(plan.frames[row, 0, LOG]) - plan.begin_ns) / 1e9:.3f} s"
            yield _Frame(name, cdrs, [kinds[one.image] for one in topics], of_images, is_raw, truth)


def _depth(message: Any) -> np.ndarray:
    """(H, W) float64 metres, NaN where unknown."""
    if not hasattr(message, "min_disparity"):
        return conversions.depth_from_image(message).astype(np.float64)
    disparity = conversions.depth_from_image(message.image).astype(np.float64)
    known = (disparity > 0) & (disparity >= message.min_disparity)
    return np.where(known, message.f * message.t / np.where(known, disparity, 1.0), np.nan)
