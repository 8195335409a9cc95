# SPDX-License-Identifier: Apache-2.0
"""Decide, once for a recording, what a job needs to know: cameras, frames, whether images are raw, what their bits mean."""

from __future__ import annotations

import dataclasses
import posixpath
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vizion3d.bit_depth import Levels
from vizion3d.camera import Calibration, StereoRig
from vizion3d.errors import CalibrationError, InputError, Vizion3dError
from vizion3d.rectify import Rectifier
from vizion3d.stereo.raw_or_rectified import BothWays
from vizion3d_ros import conversions
from vizion3d_ros.bag.job import Job, bytes_a_frame, usual_segment_frames
from vizion3d_ros.bag.pictures import Pictures
from vizion3d_ros.bag.pipelines import Pipeline
from vizion3d_ros.bag.plan import INFO, LOG, Plan, images_of
from vizion3d_ros.bag.reader import BagReader
from vizion3d_ros.bag.serialized import deserialize
from vizion3d_ros.bag.writer import RecordedTopic, copied_topic, output_topic
from vizion3d_ros.camera_topics import (
    COMPRESSED,
    COMPRESSED_TYPE,
    IMAGE_TYPE,
    INFO_TYPE,
    CameraTopics,
    all_cameras,
    all_pairs,
    find_camera,
)
from vizion3d_ros.messages import type_name
from vizion3d_ros.settings import MonoFrameSettings, StereoFrameSettings

Tell = Callable[[str], object]
# Frames that are looked at to decide for all, spread over the recording: these of bits are sampled, not matched.
_PROBES = 3
_PROBES_OF_BITS = 64
# Short names of outputs.
_SHORT = {"points2": "points", "depth/sigma": "sigma"}
# Which output a kind of file is of.
_SHOWN = {"png": "depth", "ply": "points"}
_NAMESPACE = re.compile(r"/?([A-Za-z_]\w*(/[A-Za-z_]\w*)*/?)?", re.ASCII)


def choose_cameras(bag: BagReader, stereo: Sequence[str], mono: Sequence[str], where: str) -> tuple[CameraTopics, ...]:
    """The cameras that are meant: one for mono, left and right for stereo.

    Args:
        bag: the recording.
        stereo: two namespaces or image topics, or image, info, image, info; nothing if it is not said.
        mono: a namespace or image topic, or image and info; nothing if it is not said.
        where: what the recording is called in messages.

    Raises:
        InputError: there are no such topics, or it is not clear which are meant.
    """
    types = {name: topic.type_name for name, topic in bag.topics.items()}
    if stereo and mono:
        raise InputError("--stereo and --mono are two things; give one")
    if len(stereo) not in (0, 2, 4) or len(mono) > 2:
        raise InputError("--stereo takes LEFT RIGHT or LEFT_IMAGE LEFT_INFO RIGHT_IMAGE RIGHT_INFO, --mono IMAGE [INFO]")
    if len(stereo) == 4:
        cameras = [_named(types, stereo[at], stereo[at + 1], where) for at in (0, 2)]
    elif len(mono) == 2:
        cameras = [_named(types, mono[0], mono[1], where)]
    else:
        cameras = [find_camera(types, name, where, compressed=True) for name in stereo or mono or _found(types, where)]
    if len(cameras) == 2:
        if cameras[0].image == cameras[1].image:
            raise InputError(f"{cameras[0].image} is given as left and as right image; give two topics")
        for camera in cameras:
            if not camera.info:
                raise InputError(f"{where} has no {INFO_TYPE} beside {camera.image}; name it: --stereo IMAGE INFO IMAGE INFO")
    return tuple(cameras)


def _named(types: dict[str, str], image: str, info: str, where: str) -> CameraTopics:
    for name, kinds in ((image, (IMAGE_TYPE, COMPRESSED_TYPE)), (info, (INFO_TYPE,))):
        if types.get(name) not in kinds:
            would_do = ", ".join(sorted(topic for topic, kind in types.items() if kind in kinds)) or "none"
            raise InputError(f"{where} has no {' or '.join(kinds)} of the name {name}; those that are: {would_do}")
    return CameraTopics(image, info, "rect" not in posixpath.basename(image.removesuffix(COMPRESSED)))


def _found(types: dict[str, str], where: str) -> Sequence[str]:
    """The namespaces of the only pair, or of the only camera."""
    cameras = all_cameras(types)
    pairs = all_pairs(cameras)
    if len(pairs) == 1:
        return pairs[0]
    if not pairs and len(cameras) == 1:
        return list(cameras)
    if not cameras:
        images = sorted(name for name, kind in types.items() if kind in (IMAGE_TYPE, COMPRESSED_TYPE))
        if len(images) == 1:
            return images
        advice = f"name them: {', '.join(images)}" if images else f"its topics are {', '.join(sorted(types)) or 'none'}"
        raise InputError(f"{where} has no image with a CameraInfo beside it; {advice}")
    choices = [f"--stereo {left} {right}" for left, right in pairs] + [f"--mono {name}" for name in cameras]
    raise InputError(f"{where} has several cameras; say which: {', '.join(choices)}")


def decide_settings(
    bag: BagReader,
    cameras: Sequence[CameraTopics],
    plan: Plan,
    settings: StereoFrameSettings | MonoFrameSettings,
    rectify: bool | None,
    tell: Tell,
) -> tuple[StereoFrameSettings | MonoFrameSettings, tuple[int, int]]:
    """The settings for every frame, with what is decided by some of them; and the size of the images.

    Raises:
        InputError: images cannot be read, or it cannot be told whether they are raw.
        CalibrationError: the CameraInfo describe no rig.
    """
    if isinstance(settings, StereoFrameSettings):
        plan.require_infos(cameras, bag.path)
    settings = _with_levels(bag, cameras, plan, settings)
    infos = plan.info_messages()
    probes, trouble = [], None
    for images, which in _spread(bag, cameras, plan, _PROBES):
        try:
            pixels = conversions.rgb_from_images(images, Levels(settings))
            rectifier = None
            if isinstance(settings, StereoFrameSettings):
                left, right = (conversions.calibration_from_camera_info(infos[at]) for at in which)
                rectifier = _rectifier(left, right, (pixels[0].shape[1], pixels[0].shape[0]), rectify)
        except Vizion3dError as error:
            trouble = error
            continue
        probes.append((pixels, rectifier))
    if not probes:
        raise trouble or InputError(f"no image of {bag.path} can be read")
    height, width = probes[0][0][0].shape[:2]
    if isinstance(settings, StereoFrameSettings):
        is_raw = rectify if rectify is not None else _are_raw(probes, cameras, tell)
        settings = dataclasses.replace(settings, rectify=is_raw)
    return settings, (width, height)


def _with_levels(
    bag: BagReader, cameras: Sequence[CameraTopics], plan: Plan, settings: StereoFrameSettings | MonoFrameSettings
) -> StereoFrameSettings | MonoFrameSettings:
    """The same with the range of images of more than 8 bits, where it is left to the images: one for all of them."""
    if settings.image_bits != "auto" or any(settings.image_range):
        return settings
    levels = Levels(settings)
    for images, _ in _spread(bag, cameras, plan, _PROBES_OF_BITS):
        try:
            pixels = [conversions.raw_pixels(image).values for image in images]
            if all(one.dtype == np.uint8 for one in pixels):
                return settings
            levels.to_8_bit(*pixels)
        except Vizion3dError:
            continue  # said of the frame when its turn comes
    if levels.range is None:
        return settings
    return dataclasses.replace(settings, image_range=(levels.range.low, levels.range.high))


def _spread(bag: BagReader, cameras: Sequence[CameraTopics], plan: Plan, count: int) -> Any:
    """(image messages, indices of their CameraInfo) of some frames all over the recording."""
    total = len(plan.frames)
    for row in sorted({at * (total - 1) // max(1, count - 1) for at in range(count)}):
        for _, images in images_of(bag, cameras, plan.frames[row : row + 1]):
            kinds = (bag.topics[camera.image].type_name for camera in cameras)
            try:
                messages = [deserialize(cdr, kind) for cdr, kind in zip(images, kinds, strict=True)]
            except Exception:  # of every kind: damaged bytes; said of the frame when its turn comes
                continue
            yield messages, plan.frames[row, :, INFO].tolist()


def _rectifier(left: Calibration, right: Calibration, size_wh: tuple[int, int], rectify: bool | None) -> Rectifier | None:
    """What would rectify such images; None if they are rectified, by the user or for want of a usable K, D or R.

    Raises:
        CalibrationError: they describe no rig, or the user says that images are raw and they cannot rectify these.
    """
    StereoRig.from_calibrations(left, right, size_wh)
    if rectify is False:
        return None
    try:
        return Rectifier.from_calibrations(left, right, size_wh)
    except CalibrationError:
        if rectify:
            raise
        return None


def _are_raw(probes: Sequence[Any], cameras: Sequence[CameraTopics], tell: Tell) -> bool:
    """Whether the pairs are raw: by how their rows line up where that is beyond doubt, else by the names of the topics."""
    if all(rectifier is None or rectifier.is_identity for _, rectifier in probes):
        return False
    verdicts = {BothWays.measure(left, right, rectifier).is_raw for (left, right), rectifier in probes if rectifier} - {None}
    by_name = any(camera.is_raw for camera in cameras)
    if len(verdicts) > 1:
        raise InputError(
            "by their rows some pairs are raw and others are not. Say --rectify yes if they are raw, --rectify no if they are "
            "rectified"
        )
    why = "by how their rows line up" if verdicts else "by the names of their topics, for their rows do not tell"
    is_raw = verdicts.pop() if verdicts else by_name
    tell(f"the images are {'raw, and are rectified' if is_raw else 'rectified'}, {why} (--rectify {'yes' if is_raw else 'no'})")
    return bool(is_raw)


def make_job(
    bag: BagReader,
    inputs: Sequence[Path],
    cameras: Sequence[CameraTopics],
    plan: Plan,
    settings: StereoFrameSettings | MonoFrameSettings,
    size_wh: tuple[int, int],
    pipeline: Pipeline,
    *,
    only: Sequence[str] = (),
    namespace: str = "",
    copy_inputs: bool = False,
    storage: str = "mcap",
    compress: bool = False,
    segment_frames: int = 0,
    forms: Sequence[str] = (),
    pictures: Pictures | None = None,
) -> Job:
    """The job, with the names of what it writes.

    Raises:
        InputError: there is no such output, or its topic is in the recording already.
    """
    for flag, is_given in (("--copy-inputs", copy_inputs), ("--compress", compress), ("--namespace", namespace)):
        if forms and is_given:
            raise InputError(f"{flag} is for a recording; it does not go with --as")
    if not _NAMESPACE.fullmatch(namespace):
        raise InputError(f'--namespace is "{namespace}"; it must be of letters, digits and _ between /, as in /robot/front')
    names = {bag.name_of(log_ns) for log_ns in plan.frames[:, 0, LOG].tolist()} if forms else set()
    if forms and len(names) < len(plan.frames):
        raise InputError(
            f"{len(plan.frames)} frames have {len(names)} log stamps, by which their files would be named; "
            "leave out --as, for a recording"
        )
    chosen = _chosen(pipeline, only, forms)
    root = f"/{namespace.strip('/')}" if namespace else _common_namespace(cameras)
    outputs = {topic: posixpath.join(root, topic) for topic in chosen}
    copied = [topic for name in bag.topics if copy_inputs and (topic := _copied(bag, name)) is not None]
    if twice := {*outputs.values()} & {topic.name for topic in copied}:
        raise InputError(f"{', '.join(sorted(twice))} is in the recording already; give --namespace for what is new")
    kinds = pipeline.topics | pipeline.views
    topics = [output_topic(name, type_name(kinds[topic])) for topic, name in outputs.items()]
    frame_bytes = sum(bytes_a_frame(outputs, settings, size_wh).values())
    return Job(
        inputs=tuple(inputs),
        cameras=tuple(cameras),
        settings=settings,
        outputs=outputs,
        copies=tuple(topic.name for topic in copied),
        topics=(*topics, *copied),
        storage=storage,
        compress=compress,
        plan=plan,
        size_wh=size_wh,
        segment_frames=segment_frames or usual_segment_frames(len(plan.frames), frame_bytes),
        forms=tuple(forms),
        pictures=pictures,
    )


def short_name(topic: str) -> str:
    """What --only calls an output: "depth" for depth/image_rect and its camera_info."""
    return _SHORT.get(topic, topic.partition("/")[0])


def _copied(bag: Any, name: str) -> RecordedTopic | None:
    """A topic of the input as it is written again; of pictures, which nobody published, as if a node had."""
    connection = bag.connections.get(name)
    return copied_topic(connection) if connection else output_topic(name, bag.topics[name].type_name)


def _chosen(pipeline: Pipeline, only: Sequence[str], forms: Sequence[str]) -> list[str]:
    views = {} if forms else pipeline.views  # which are no numbers that files could hold
    names = [*dict.fromkeys(map(short_name, pipeline.topics)), *views]
    if unknown := [name for name in only if name not in names]:
        raise InputError(f"--only {','.join(unknown)}: there is no such output; there are {', '.join(names)}")
    if not only and forms and "npz" not in forms:
        only = [name for form, name in _SHOWN.items() if form in forms]
    for form, name in _SHOWN.items():
        if form in forms and only and name not in only:
            raise InputError(f"--as {form} is of {name}, which --only leaves out")
    return [topic for topic in pipeline.topics if not only or short_name(topic) in only] + [
        view for view in views if view in only
    ]


def _common_namespace(cameras: Sequence[CameraTopics]) -> str:
    """Where outputs go: beside the cameras of a pair, into the namespace of a single one."""
    folders = [posixpath.dirname(camera.image.removesuffix(COMPRESSED)) for camera in cameras]
    return folders[0] if len(folders) == 1 else posixpath.commonpath(folders)
