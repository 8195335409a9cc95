# SPDX-License-Identifier: Apache-2.0
"""``ost.ini`` and ``ost.txt`` of camera_calibration: ``[image]`` with the size, then a section a camera."""

from __future__ import annotations

import re

from vizion3d.calibration_files.formats import Request, numbers
from vizion3d.camera import Calibration
from vizion3d.errors import CalibrationError

_NAMES = ("camera matrix", "distortion", "rectification", "projection")
_COUNTS: tuple[tuple[int, ...], ...] = ((9,), (), (9,), (12,))


def recognises(text: str) -> bool:
    """Whether the text looks like one."""
    return re.search(r"^\s*\[image\]\s*$", text, re.MULTILINE) is not None


def parse(text: str, request: Request) -> list[Calibration]:
    """The camera, or both if there are two sections.

    Raises:
        CalibrationError: something is missing or no number.
    """
    sections = _sections(text)
    size = [numbers(sections["image"].get(side, "").split(), side, (1,))[0] for side in ("width", "height")]
    cameras = []
    for entries in (entries for name, entries in sections.items() if name != "image"):
        missing = [name for name in _NAMES if name not in entries]
        if missing:
            raise CalibrationError(f"{missing[0]} is missing; {', '.join(_NAMES)} are needed")
        values = (numbers(entries[name].split(), name, counts) for name, counts in zip(_NAMES, _COUNTS, strict=True))
        K, D, R, P = values
        model = "plumb_bob" if len(D) <= 5 else "rational_polynomial"
        cameras.append(Calibration(int(size[0]), int(size[1]), K, D, R, P, model))
    if not cameras:
        raise CalibrationError("there is no section of a camera after [image]")
    return cameras


def _sections(text: str) -> dict[str, dict[str, str]]:
    """Section -> name -> the numbers below it as text."""
    sections: dict[str, dict[str, str]] = {}
    entries: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        line = line.strip()
        if heading := re.fullmatch(r"\[(.+)\]", line):
            entries = sections.setdefault(heading[1], {})
        elif re.match(r"[A-Za-z]", line):
            name = line.lower()
        elif line and not line.startswith("#"):
            entries[name] = f"{entries.get(name, '')} {line}"
    return sections
