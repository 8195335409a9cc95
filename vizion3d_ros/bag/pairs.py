# SPDX-License-Identifier: Apache-2.0
"""Some pairs of a recording with their calibration, for what looks at pictures and not at time. No rclpy."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vizion3d.bit_depth import Levels
from vizion3d.camera import Calibration
from vizion3d.errors import InputError
from vizion3d_ros import conversions
from vizion3d_ros.bag.reader import BagReader
from vizion3d_ros.bag.serialized import deserialize, stamp_of
from vizion3d_ros.camera_topics import find_camera
from vizion3d_ros.pairing import Pairing


class RecordedPairs(NamedTuple):
    """What a recording has of a rig."""

    pairs: list[tuple[np.ndarray, np.ndarray]]
    """Left and right images, (H, W, 3) uint8 RGB."""
    calibrations: tuple[Calibration, Calibration] | None
    """Of the left and the right camera; None if there is no CameraInfo of one."""
    is_raw: bool
    """The images are not rectified, by the names of their topics."""


def read_pairs(path: Path, left_namespace: str, right_namespace: str, most: int) -> RecordedPairs:
    """Read pairs with equal stamps, evenly spread over the recording.

    Args:
        path: of the recording.
        left_namespace, right_namespace: where the topics of the cameras are.
        most: how many pairs at most.

    Raises:
        InputError: there is no recording, no such topic, or no pair.
    """
    with closing(BagReader(path)) as bag:
        types = {name: topic.type_name for name, topic in bag.topics.items()}
        cameras = [find_camera(types, namespace, str(path), compressed=True) for namespace in (left_namespace, right_namespace)]
        images = [camera.image for camera in cameras]
        matched = _matched_stamps(bag.messages(images), images)
        if not matched:
            raise InputError(f"{path} has no pair of equal stamps on {images[0]} and {images[1]}")
        count = min(most, len(matched))
        wanted = {matched[i * len(matched) // count] for i in range(count)}
        chosen: dict[str, dict[int, Any]] = {image: {} for image in images}
        infos: dict[str, Any] = {}
        for name, _, cdr in bag.messages({*images, *(camera.info for camera in cameras)}):
            if name in chosen and stamp_of(cdr) in wanted:
                chosen[name][stamp_of(cdr)] = deserialize(cdr, types[name])
            elif name not in chosen and name not in infos:
                infos[name] = deserialize(cdr, types[name])
    levels = Levels()
    pairs = []
    for stamp in sorted(wanted):
        left, right = conversions.rgb_from_images([chosen[image][stamp] for image in images], levels)
        pairs.append((left, right))
    found = [infos.get(camera.info) for camera in cameras]
    calibrations = None
    if all(found):
        left_info, right_info = map(conversions.calibration_from_camera_info, found)
        calibrations = left_info, right_info
    return RecordedPairs(pairs, calibrations, any(camera.is_raw for camera in cameras))


def _matched_stamps(messages: Iterable[tuple[str, int, bytes]], topics: list[str]) -> list[int]:
    pairing = Pairing(topics)
    stamps = ((topic, stamp_of(cdr)) for topic, _, cdr in messages)
    return [stamp for topic, stamp in stamps if pairing.add(topic, stamp, None) is not None]
