# SPDX-License-Identifier: Apache-2.0
"""One camera as ROS has it: camera_calibration YAML, and CameraInfo as JSON or as ``ros2 topic echo`` prints it."""

from __future__ import annotations

import logging
from typing import Any

from vizion3d.calibration_files.formats import Request, numbers, yaml_documents
from vizion3d.camera import Calibration
from vizion3d.errors import CalibrationError

_LOG = logging.getLogger(__name__)

_MATRICES = {
    "K": ("camera_matrix", (9,)),
    "D": ("distortion_coefficients", ()),
    "R": ("rectification_matrix", (9,)),
    "P": ("projection_matrix", (12,)),
}
_DEFAULT_MODEL = "plumb_bob"


def recognises(text: str) -> bool:
    """Whether the text looks like one."""
    return any(map(_is_camera, yaml_documents(text)))


def parse(text: str, request: Request) -> list[Calibration]:
    """The camera; of several messages the first.

    Raises:
        CalibrationError: something is missing or no number.
    """
    entries = next(filter(_is_camera, yaml_documents(text)))
    is_yaml = "camera_matrix" in entries
    matrices = {}
    for letter, (name, counts) in _MATRICES.items():
        if is_yaml:
            values = entries.get(name)
            values = values.get("data") if isinstance(values, dict) else values
        else:
            name = letter
            values = entries.get(letter, entries.get(letter.lower()))
        if values is None:
            raise CalibrationError(f"{name} is missing; K, D, R and P are needed ({', '.join(_long_names())} in YAML)")
        matrices[letter] = numbers(values, name, counts)
    width, height = (_whole(entries, f"image_{side}" if is_yaml else side) for side in ("width", "height"))
    roi = entries.get("roi") or {}
    return [
        Calibration(
            width,
            height,
            **matrices,
            distortion_model=_model(entries),
            binning=(_whole(entries, "binning_x", 1), _whole(entries, "binning_y", 1)),
            roi=tuple(_whole(roi, name, 0) for name in ("x_offset", "y_offset", "width", "height")),  # type: ignore[arg-type]
        )
    ]


def camera_yaml(calibration: Calibration, name: str) -> str:
    """The text of a camera_calibration YAML file. Numbers are written so that they are read as the same ones."""
    plain = not calibration.distortion_model
    matrices = {
        "camera_matrix": (3, 3, calibration.K),
        "distortion_coefficients": (1, None, calibration.D or (0.0,) * 5),
        "rectification_matrix": (3, 3, calibration.R),
        "projection_matrix": (3, 4, calibration.P),
    }
    lines = [f"image_width: {calibration.width}", f"image_height: {calibration.height}", f"camera_name: {name}"]
    for key, (rows, columns, values) in matrices.items():
        if key == "distortion_coefficients":
            lines.append(f"distortion_model: {_DEFAULT_MODEL if plain else calibration.distortion_model}")
        texts = ", ".join(repr(float(value)) for value in values)
        lines += [f"{key}:", f"  rows: {rows}", f"  cols: {columns or len(values)}", f"  data: [{texts}]"]
    if calibration.effective_binning != (1, 1):
        lines += [f"binning_{axis}: {value}" for axis, value in zip("xy", calibration.binning, strict=True)]
    if any(calibration.roi):
        names = ("x_offset", "y_offset", "width", "height")
        lines += ["roi:", *(f"  {key}: {value}" for key, value in zip(names, calibration.roi, strict=True))]
    return "\n".join(lines) + "\n"


def _is_camera(entries: dict[str, Any]) -> bool:
    return "camera_matrix" in entries or {"k", "p"} <= {str(key).lower() for key in entries}


def _long_names() -> list[str]:
    return [name for name, _ in _MATRICES.values()]


def _model(entries: dict[str, Any]) -> str:
    model = entries.get("distortion_model", entries.get("camera_model"))
    if model is None or model == "pinhole":
        _LOG.warning("the calibration names no distortion_model: %s is assumed", _DEFAULT_MODEL)
        return _DEFAULT_MODEL
    return str(model)


def _whole(entries: dict[str, Any], name: str, default: int | None = None) -> int:
    value = entries.get(name, default)
    try:
        return int(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise CalibrationError(f"{name} is {value!r}; a whole number is needed") from None
