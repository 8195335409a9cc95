# SPDX-License-Identifier: Apache-2.0
"""Frames of a recording with the truth that is recorded beside them, as simulators and rigs with a second sensor do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vizion3d.bit_depth import Levels
from vizion3d.errors import InputError
from vizion3d.evaluate import MonoCase, StereoCase
from vizion3d.evaluate.maps import disparity_from_depth
from vizion3d_ros import conversions, mono_frames, stereo_frames
from vizion3d_ros.bag.plan import INFO, LOG, images_of, make_plan
from vizion3d_ros.bag.prepare import choose_cameras
from vizion3d_ros.bag.reader import BagReader
from vizion3d_ros.bag.serialized import deserialize
from vizion3d_ros.camera_topics import IMAGE_TYPE, CameraTopics
from vizion3d_ros.settings import MonoFrameSettings

_DISPARITY_TYPE = "stereo_msgs/msg/DisparityImage"


def recorded_cases(path: Path, stereo: Sequence[str], truth: str, every: int = 1) -> Iterator[StereoCase]:
    """Read the pairs whose left image has a truth of the same stamp, one at a time.

    Args:
        path: of the recording.
        stereo: topics of the cameras as for `choose_cameras`; nothing where only one pair can be meant. Raw images (by the
            names of their topics) are rectified.
        truth: topic of the truth of the rectified left image: depth as Image, 32FC1 in metres or 16UC1 in millimetres, or
            DisparityImage.
        every: only every so many-th.

    Raises:
        InputError: there is no recording, no such topic, no pair with a truth, or the truth has another size or no depth.
    """
    levels = Levels()
    for frame in _frames(path, stereo, (), truth, every):
        pair = stereo_frames.decode(frame.messages, levels, rectify=frame.is_raw)
        _check_size(truth, frame.depth_m, pair.left, "the rectified left image")
        truth_px = disparity_from_depth(np.where(np.isfinite(frame.depth_m), frame.depth_m, np.nan), pair.rig, truth)
        yield StereoCase(frame.name, pair.left, pair.right, truth_px, None, pair.rig)


def recorded_views(path: Path, mono: Sequence[str], truth: str, every: int = 1) -> Iterator[MonoCase]:
    """Read the images of one camera that have a truth of the same stamp, one at a time; arguments as of `recorded_cases`."""
    levels, settings = Levels(), MonoFrameSettings()
    for frame in _frames(path, (), mono, truth, every):
        view = mono_frames.decode(frame.messages, levels)
        _check_size(truth, frame.depth_m, view.rgb, "the image")
        yield MonoCase(frame.name, view.rgb, frame.depth_m, view.camera(settings), view.trouble(settings))


class _Frame(NamedTuple):
    name: str
    messages: list[Any]
    """Image and CameraInfo of each camera in turn."""
    is_raw: bool
    depth_m: np.ndarray


def _frames(path: Path, stereo: Sequence[str], mono: Sequence[str], truth: str, every: int) -> Iterator[_Frame]:
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
        plan = make_plan(bag, topics, every=every)
        if not mono:
            plan.require_infos(cameras, path)
        infos, is_raw = [*plan.info_messages(), None], any(camera.is_raw for camera in cameras)
        for row, cdrs in images_of(bag, topics, plan.frames):
            *images, true = (deserialize(cdr, kinds[one.image]) for cdr, one in zip(cdrs, topics, strict=True))
            which = plan.frames[row, :, INFO].tolist()
            messages = [one for image, at in zip(images, which, strict=False) for one in (image, infos[at])]
            name = f"{(int(plan.frames[row, 0, LOG]) - plan.begin_ns) / 1e9:.3f} s"
            yield _Frame(name, messages, is_raw, _depth(true))


def _check_size(truth: str, depth_m: np.ndarray, rgb: np.ndarray, what: str) -> None:
    if depth_m.shape != rgb.shape[:2]:
        sizes = [f"{m.shape[1]}x{m.shape[0]}" for m in (depth_m, rgb)]
        raise InputError(f"{truth} is {sizes[0]} but {what} {sizes[1]}; they must be equal")


def _depth(message: Any) -> np.ndarray:
    """(H, W) float64 metres, NaN where unknown."""
    if not hasattr(message, "min_disparity"):
        return conversions.depth_from_image(message).astype(np.float64)
    disparity = conversions.depth_from_image(message.image).astype(np.float64)
    known = (disparity > 0) & (disparity >= message.min_disparity)
    return np.where(known, message.f * message.t / np.where(known, disparity, 1.0), np.nan)
