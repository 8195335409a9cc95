# SPDX-License-Identifier: Apache-2.0
"""Calibration files on disk -> `Calibration` and `StereoRig`: camera_calibration YAML, Middlebury, KITTI."""

from __future__ import annotations

import os
import re
from pathlib import Path

from vizion3d.camera import Calibration, PinholeCamera, StereoRig
from vizion3d.errors import CalibrationError

PathLike = str | os.PathLike[str]


def load_stereo_rig(paths: list[PathLike], image_size: tuple[int, int]) -> StereoRig:
    """Read the rig of a rectified pair from one or two files, whatever their format.

    Args:
        paths: one Middlebury ``calib.txt`` or KITTI ``calib.txt``, or two camera_calibration YAML files, left then right.
        image_size: (width, height) of the images.

    Raises:
        CalibrationError: a file cannot be read, has another format, or does not describe a rig.
    """
    if len(paths) == 2:
        left, right = (load_camera_yaml(path) for path in paths)
        return StereoRig.from_calibrations(left, right, image_size)
    if len(paths) != 1:
        raise CalibrationError(f"{len(paths)} calibration files given; one calib.txt, or a left and a right YAML, are needed")
    text = _read(paths[0])
    if re.search(r"^\s*cam0\s*=", text, re.MULTILINE):
        return parse_middlebury(text, image_size)
    rows = _projection_rows(text)
    if len(rows) >= 2:
        # KITTI lists one projection a camera; cameras 0 and 1 are the grey pair of which 0 is the reference.
        calibrations = [Calibration(*image_size, K=(), D=(), R=(), P=row) for row in rows[:2]]
        return StereoRig.from_calibrations(calibrations[0], calibrations[1])
    if Path(paths[0]).suffix in (".yaml", ".yml"):
        raise CalibrationError(f"{paths[0]} describes one camera; give the YAML of the right camera as well, left first")
    raise CalibrationError(
        f"{paths[0]} is no known stereo calibration. Known: Middlebury calib.txt (cam0=, cam1=, baseline=), "
        "KITTI calib.txt (rows of 12 numbers), two camera_calibration YAML files (left right)"
    )


def parse_middlebury(text: str, image_size: tuple[int, int]) -> StereoRig:
    """Rig from the text of a Middlebury ``calib.txt`` (baseline in mm; resized images are allowed)."""
    entries = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    entries = {key.strip(): value.strip() for key, value in entries.items()}
    try:
        rows = entries["cam0"].strip("[]").split(";")
        (fx, _, cx), (_, fy, cy), _ = ([float(number) for number in row.split()] for row in rows)
        baseline_m = float(entries["baseline"]) / 1000
        doffs_px = float(entries.get("doffs", 0))
        size = int(entries.get("width", image_size[0])), int(entries.get("height", image_size[1]))
    except (KeyError, ValueError) as error:
        raise CalibrationError(
            f"not a Middlebury calib.txt: {error!s} is missing or not a number "
            "(needed: cam0, baseline; optional: doffs, width, height)"
        ) from None
    announced = Calibration(*size, K=(), D=(), R=(), P=(fx, 0, cx, 0, 0, fy, cy, 0, 0, 0, 1, 0))
    sx, _ = announced.image_scale(image_size)
    return StereoRig(PinholeCamera.from_calibration(announced, image_size), baseline_m, doffs_px * sx)


def load_camera_yaml(path: PathLike) -> Calibration:
    """Read one camera from a YAML file as written by camera_calibration and camera_info_manager."""
    import yaml

    try:
        data = yaml.safe_load(_read(path))
        K, D, R, P = (
            tuple(float(number) for number in data[key]["data"])
            for key in ("camera_matrix", "distortion_coefficients", "rectification_matrix", "projection_matrix")
        )
        return Calibration(int(data["image_width"]), int(data["image_height"]), K, D, R, P, data["distortion_model"])
    except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise CalibrationError(
            f"{path} is not a camera_calibration YAML file: {type(error).__name__} {error}. It needs image_width, "
            "image_height, distortion_model, camera_matrix, distortion_coefficients, rectification_matrix and projection_matrix"
        ) from None


def _projection_rows(text: str) -> list[tuple[float, ...]]:
    """The rows of 12 numbers in a text, with or without a label such as ``P0:``."""
    rows = []
    for line in text.splitlines():
        try:
            row = tuple(float(number) for number in line.rpartition(":")[2].split())
        except ValueError:
            continue
        if len(row) == 12:
            rows.append(row)
    return rows


def _read(path: PathLike) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CalibrationError(f"cannot read the calibration file {path}: {error}") from None
