# SPDX-License-Identifier: Apache-2.0
"""KITTI's ``calib.txt`` (a projection of 12 numbers a camera) and ``calib_cam_to_cam.txt`` of its raw recordings.

Cameras 0 and 1 are grey, 2 and 3 see colours.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

from vizion3d.calibration_files.formats import Request, numbers
from vizion3d.camera import Calibration
from vizion3d.errors import CalibrationError

_LOG = logging.getLogger(__name__)
_GREY_PAIR = 0, 1
# Folders of the odometry, object, raw and stereo benchmarks; colored_0 and colored_1 are cameras 2 and 3.
_FOLDER = re.compile(r"(image|colored)_?0?([0-3])")
# How far the principal point is from the centre, as a part of the size; 4 % in KITTI's own.
_MAX_CENTRE_OFFSET = 0.06


def recognises(text: str) -> bool:
    """Whether the text looks like one."""
    return "P_rect_00" in text or len(_projections(text)) >= 2


def parse(text: str, request: Request) -> list[Calibration]:
    """The left and the right camera; which they are is told if there are more.

    They are the cameras asked for, else those in whose folders the images are, else the grey pair.

    Raises:
        CalibrationError: there is no such camera, or the file is for images of another size.
    """
    if "P_rect_00" in text:
        return [_raw_camera(text, number, request) for number in _pair(_numbers_in(text), request)]
    projections = _projections(text)
    pair = [Calibration.rectified(*request.known_size(), P=projections[number]) for number in _pair(list(projections), request)]
    _check_size(pair[0])
    return pair


def _pair(available: list[int], request: Request) -> tuple[int, int]:
    """The numbers of the left and the right camera."""
    by_folder = _cameras_of(request)
    wanted = request.cameras or by_folder or _GREY_PAIR
    missing = [number for number in wanted if number not in available]
    if missing:
        raise CalibrationError(
            f"the KITTI calibration has no camera {missing[0]}; it has {', '.join(map(str, available))}. "
            "Give the numbers of the left and the right one (--cameras 2 3)"
        )
    if len(available) > 2:
        why = "as asked for" if request.cameras else "by the folders of the images" if by_folder else "the grey pair"
        level = logging.INFO if request.cameras or by_folder else logging.WARNING
        _LOG.log(level, "KITTI cameras %d and %d (%s)", *wanted, why)
    return wanted


def _cameras_of(request: Request) -> tuple[int, int] | None:
    """The cameras by the folders of their images; None if these are no folders of KITTI's."""
    found = []
    for image in request.images or ():
        match = next(filter(None, map(_FOLDER.fullmatch, reversed(Path(image).parts[:-1]))), None)
        if match:
            found.append(int(match[2]) + 2 * (match[1] == "colored"))
    return (found[0], found[1]) if len(found) == 2 and found[0] != found[1] else None


def _check_size(camera: Calibration) -> None:
    """Refuse images that were resized or cropped, which a file that names no size cannot tell but by its principal point."""
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


def _numbers_in(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"^P_rect_(\d\d):", text, re.MULTILINE)]


def _raw_camera(text: str, number: int, request: Request) -> Calibration:
    """A camera of calib_cam_to_cam.txt: the rectified one, or the raw one if the images have its size and not that."""
    entries = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    def row(name: str, *counts: int) -> tuple[float, ...]:
        full_name = f"{name}_{number:02}"
        return numbers(entries.get(full_name, "").split(), full_name, counts)

    raw_size, size = (tuple(map(int, row(name, 2))) for name in ("S", "S_rect"))
    P = row("P_rect", 12)
    if request.image_size == raw_size != size:
        return Calibration(raw_size[0], raw_size[1], row("K", 9), row("D", 5), row("R_rect", 9), P)
    return Calibration.rectified(size[0], size[1], P)
