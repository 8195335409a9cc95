# SPDX-License-Identifier: Apache-2.0
"""Which topics of a robot or a recording are those of a camera: the image and the CameraInfo beside it."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from vizion3d.errors import InputError

IMAGE_TYPE = "sensor_msgs/msg/Image"
COMPRESSED_TYPE = "sensor_msgs/msg/CompressedImage"
INFO_TYPE = "sensor_msgs/msg/CameraInfo"
COMPRESSED = "/compressed"  # what image_transport appends to the name of an image
# How the namespaces of the two cameras of a rig differ.
_SIDES = (("left", "right"), ("infra1", "infra2"), ("cam0", "cam1"), ("cam_0", "cam_1"), ("camera0", "camera1"), ("0", "1"))
# The better come first; what image_proc rectified has "rect" in its name.
_IMAGE_NAMES = ("image_rect", "image_rect_color", "image_rect_raw", "image_raw", "image_color", "image_mono", "image")


class CameraTopics(NamedTuple):
    """The topics of a camera. The image may be compressed if its name says so."""

    image: str
    info: str
    """ "" if there is none."""
    is_raw: bool
    """The image is not rectified, by its name."""


def find_camera(topics: Mapping[str, str], namespace: str, where: str, *, compressed: bool = False) -> CameraTopics:
    """The topics of the camera in a namespace.

    Args:
        topics: message types by full name.
        namespace: of the camera, or its image topic.
        where: what has these topics, for messages.
        compressed: CompressedImage will do where there is no Image.

    Raises:
        InputError: there is no image there; named are namespaces that have one.
    """
    full_name = "/" + namespace.strip("/")
    image = next(_images_in(topics, full_name, compressed), None)
    if image is None:
        kinds = f"{IMAGE_TYPE} or CompressedImage" if compressed else IMAGE_TYPE
        raise InputError(f"{where} has no {kinds} in {full_name}; {_what_would_do(topics, compressed)}")
    plain = image.removesuffix(COMPRESSED)
    info = posixpath.join(posixpath.dirname(plain), "camera_info")
    return CameraTopics(image, info if topics.get(info) == INFO_TYPE else "", "rect" not in posixpath.basename(plain))


def all_cameras(topics: Mapping[str, str]) -> dict[str, CameraTopics]:
    """Every camera by its namespace: folders with an image of a usual name and a CameraInfo beside it."""
    folders = sorted({posixpath.dirname(name) for name, kind in topics.items() if kind == INFO_TYPE})
    return {
        folder: find_camera(topics, folder, "", compressed=True)
        for folder in folders
        if any(_images_in(topics, folder, True)) and "depth" not in posixpath.basename(folder)
    }


def all_pairs(cameras: Mapping[str, CameraTopics]) -> list[tuple[str, str]]:
    """The namespaces of cameras whose names say that they are left and right of each other."""
    pairs = []
    for namespace in cameras:
        for left, right in _SIDES:
            before, found, after = namespace.rpartition(left)
            if found and (other := f"{before}{right}{after}") in cameras:
                pairs.append((namespace, other))
                break
    return pairs


def _images_in(topics: Mapping[str, str], full_name: str, compressed: bool) -> Iterator[str]:
    """The images of a namespace, or that name itself, the best first."""
    names = [full_name, *(posixpath.join(full_name, name) for name in _IMAGE_NAMES)]
    yield from (name for name in names if topics.get(name) == IMAGE_TYPE)
    if compressed:
        names = [full_name, *(name + COMPRESSED for name in names)]
        yield from (name for name in names if topics.get(name) == COMPRESSED_TYPE)


def _what_would_do(topics: Mapping[str, str], compressed: bool) -> str:
    kinds = (IMAGE_TYPE, COMPRESSED_TYPE) if compressed else (IMAGE_TYPE,)
    images = sorted(name.removesuffix(COMPRESSED) for name, kind in topics.items() if kind in kinds)
    usual = sorted({posixpath.dirname(name) for name in images if posixpath.basename(name) in _IMAGE_NAMES})
    if usual:
        return f"namespaces that have one: {', '.join(usual)}"
    if images:
        return f"topics that are one: {', '.join(images)}"
    return f"nothing there is one; its topics are {', '.join(sorted(topics)) or 'none'}"
