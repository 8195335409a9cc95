# SPDX-License-Identifier: Apache-2.0
"""Which topics of a robot or a recording are those of a camera: the image and the CameraInfo beside it."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import NamedTuple

from vizion3d.errors import InputError

IMAGE_TYPE = "sensor_msgs/msg/Image"
INFO_TYPE = "sensor_msgs/msg/CameraInfo"
# The better come first; what image_proc rectified has "rect" in its name.
_IMAGE_NAMES = ("image_rect", "image_rect_color", "image_rect_raw", "image_raw", "image_color", "image_mono", "image")


class CameraTopics(NamedTuple):
    """The topics of a camera."""

    image: str
    info: str
    """ "" if there is none."""
    is_raw: bool
    """The image is not rectified, by its name."""


def find_camera(topics: Mapping[str, str], namespace: str, where: str) -> CameraTopics:
    """The topics of the camera in a namespace.

    Args:
        topics: message types by full name.
        namespace: of the camera, or its image topic.
        where: what has these topics, for messages.

    Raises:
        InputError: there is no image there; named are namespaces that have one.
    """
    full_name = "/" + namespace.strip("/")
    names = [full_name, *(posixpath.join(full_name, name) for name in _IMAGE_NAMES)]
    image = next((name for name in names if topics.get(name) == IMAGE_TYPE), None)
    if image is None:
        raise InputError(f"{where} has no {IMAGE_TYPE} in {full_name}; {_what_would_do(topics)}")
    info = posixpath.join(posixpath.dirname(image), "camera_info")
    return CameraTopics(image, info if topics.get(info) == INFO_TYPE else "", "rect" not in posixpath.basename(image))


def _what_would_do(topics: Mapping[str, str]) -> str:
    images = sorted(name for name, kind in topics.items() if kind == IMAGE_TYPE)
    usual = sorted({posixpath.dirname(name) for name in images if posixpath.basename(name) in _IMAGE_NAMES})
    if usual:
        return f"namespaces that have one: {', '.join(usual)}"
    if images:
        return f"topics that are one: {', '.join(images)}"
    return f"nothing there is one; its topics are {', '.join(sorted(topics)) or 'none'}"
