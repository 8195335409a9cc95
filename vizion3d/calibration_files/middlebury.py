# SPDX-License-Identifier: Apache-2.0
"""Middlebury's and ETH3D's ``calib.txt``: ``cam0=[fx 0 cx; 0 fy cy; 0 0 1]``, baseline in millimetres."""

from __future__ import annotations

import logging
import re

from vizion3d.calibration_files.formats import Request
from vizion3d.camera import Calibration
from vizion3d.errors import CalibrationError

_LOG = logging.getLogger(__name__)
_MAX_DOFFS_MISMATCH_PX = 0.1


def recognises(text: str) -> bool:
    """Whether the text looks like one."""
    return re.search(r"^\s*cam0\s*=", text, re.MULTILINE) is not None


def parse(text: str, request: Request) -> list[Calibration]:
    """The left and the right camera, rectified.

    cx_right - cx_left is what the line ``doffs`` says, else the principal points; where both contradict, that is told.

    Args:
        text: of the file.
        request: its size is taken if the file names none.

    Raises:
        CalibrationError: a line is missing or no number.
    """
    entries = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    entries = {key.strip(): value.strip() for key, value in entries.items()}
    try:
        left = _intrinsics(entries["cam0"])
        right = _intrinsics(entries.get("cam1", entries["cam0"]))
        baseline_m = float(entries["baseline"]) / 1000
        doffs_px = float(entries["doffs"]) if "doffs" in entries else None
        in_file = "width" in entries and "height" in entries
        size = (int(entries["width"]), int(entries["height"])) if in_file else request.known_size()
    except (KeyError, ValueError) as error:
        raise CalibrationError(
            f"not a Middlebury calib.txt: {error!s} is missing or not a number "
            "(needed: cam0, baseline; optional: cam1, doffs, width, height)"
        ) from None
    difference_px = right[2] - left[2]
    if "cam1" not in entries:
        if doffs_px is None:
            _LOG.warning("calib.txt has neither cam1 nor doffs: cx_right - cx_left is taken as 0")
    elif doffs_px is not None and abs(doffs_px - difference_px) > _MAX_DOFFS_MISMATCH_PX:
        _LOG.warning(
            "calib.txt contradicts itself: doffs is %g but cx of cam1 and cam0 differ by %g; doffs is used, mend one of them",
            doffs_px,
            difference_px,
        )
    if doffs_px is not None:
        right = right[0], right[1], left[2] + doffs_px, right[3]
    return [_camera(size, left), _camera(size, right, tx=-right[0] * baseline_m)]


def _intrinsics(matrix: str) -> tuple[float, float, float, float]:
    """(fx, fy, cx, cy) of ``[fx 0 cx; 0 fy cy; 0 0 1]``."""
    (fx, _, cx), (_, fy, cy), _ = ([float(number) for number in row.split()] for row in matrix.strip("[]").split(";"))
    return fx, fy, cx, cy


def _camera(size: tuple[int, int], intrinsics: tuple[float, float, float, float], tx: float = 0.0) -> Calibration:
    fx, fy, cx, cy = intrinsics
    return Calibration.rectified(*size, P=(fx, 0, cx, tx, 0, fy, cy, 0, 0, 0, 1, 0))
