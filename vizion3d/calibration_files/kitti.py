# SPDX-License-Identifier: Apache-2.0
"""KITTI's ``calib.txt``: a projection of 12 numbers a camera, of which 0 and 1 are grey, 2 and 3 see colours."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

from vizion3d.camera import Calibration
from vizion3d.errors import CalibrationError

_LOG = logging.getLogger(__name__)
_GREY_PAIR = 0, 1
# Folders of the odometry, object, raw and stereo benchmarks; colored_0 and colored_1 are cameras 2 and 3.
_FOLDER = re.compile(r"(image|colored)_?0?([0-3])")
# How far the principal point is from the centre, as a part of the size; 4 % in KITTI's own.
_MAX_CENTRE_OFFSET = 0.06


def is_kitti(text: str) -> bool:
    """Whether the text looks like one."""
    return len(_projections(text)) >= 2


def parse_kitti(
    text: str,
    image_size: tuple[int, int],
    images: tuple[str | os.PathLike[str], str | os.PathLike[str]] | None = None,
    cameras: tuple[int, int] | None = None,
) -> tuple[Calibration, Calibration]:
    """The left and the right camera, rectified; which they are is told if there are more.

    Args:
        text: of the file.
        image_size: (width, height) of the images, which the file does not say; they must be neither resized nor cropped.
        images: paths of the left and the right image, whose folders tell the cameras.
        cameras: numbers of the left and the right camera; None goes by the folders, else takes the grey pair.

    Raises:
        CalibrationError: there is no such camera, or the file is for images of another size.
    """
    projections = _projections(text)
    numbers = cameras or _cameras_of(images) or _GREY_PAIR
    missing = [number for number in numbers if number not in projections]
    if missing:
        raise CalibrationError(
            f"the KITTI calibration has no camera {missing[0]}; it has {', '.join(map(str, projections))}. "
            "Give the numbers of the left and the right one (--cameras 2 3)"
        )
    if len(projections) > 2:
        why = "as asked for" if cameras else "by the folders of the images" if _cameras_of(images) else "the grey pair"
        _LOG.info("KITTI cameras %d and %d (%s)", *numbers, why)
    left, right = (Calibration.rectified(*image_size, P=projections[number]) for number in numbers)
    _check_size(left)
    return left, right


def _cameras_of(images: tuple[str | os.PathLike[str], str | os.PathLike[str]] | None) -> tuple[int, int] | None:
    """The cameras by the folders of their images; None if these are no folders of KITTI's."""
    numbers = []
    for image in images or ():
        match = next(filter(None, map(_FOLDER.fullmatch, reversed(Path(image).parts[:-1]))), None)
        if match:
            numbers.append(int(match[2]) + 2 * (match[1] == "colored"))
    return (numbers[0], numbers[1]) if len(numbers) == 2 and numbers[0] != numbers[1] else None


def _check_size(camera: Calibration) -> None:
    cx, cy = camera.P[2], camera.P[6]
    if max(abs(cx / camera.width - 0.5), abs(cy / camera.height - 0.5)) > _MAX_CENTRE_OFFSET:
        raise CalibrationError(
            f"the KITTI calibration is for images of about {2 * cx:.0f}x{2 * cy:.0f}, since the principal point is "
            f"({cx:.6g}, {cy:.6g}), but the image is {camera.width}x{camera.height}: give the images at their original size, "
            "or a calibration that says its size (YAML)"
        )


def _projections(text: str) -> dict[int, tuple[float, ...]]:
    """Rows of 12 numbers by the number of their camera: that of the label ``P0:``, else their place."""
    projections: dict[int, tuple[float, ...]] = {}
    for line in text.splitlines():
        label, _, values = line.rpartition(":")
        try:
            row = tuple(float(number) for number in values.split())
        except ValueError:
            continue
        camera = re.fullmatch(r"\s*P(\d)\s*", label)
        if len(row) == 12 and (camera or not label):
            projections[int(camera[1]) if camera else len(projections)] = row
    return projections
