# SPDX-License-Identifier: Apache-2.0
"""Calibration files on disk -> `Calibration` and `StereoRig`: camera_calibration YAML, Middlebury, KITTI."""

from __future__ import annotations

import os
from pathlib import Path

from vizion3d.calibration_files.kitti import is_kitti, parse_kitti
from vizion3d.calibration_files.middlebury import is_middlebury, parse_middlebury
from vizion3d.camera import Calibration, StereoRig
from vizion3d.errors import CalibrationError

PathLike = str | os.PathLike[str]


def load_stereo_rig(
    paths: list[PathLike],
    image_size: tuple[int, int],
    *,
    images: tuple[PathLike, PathLike] | None = None,
    cameras: tuple[int, int] | None = None,
) -> StereoRig:
    """Read the rig of a rectified pair from one or two files, whatever their format.

    Args:
        paths: one Middlebury ``calib.txt`` or KITTI ``calib.txt``, or two camera_calibration YAML files, left then right.
        image_size: (width, height) of the images.
        images: where the left and the right image are; the names of KITTI's folders say which cameras took them.
        cameras: numbers of the left and the right camera in a file of more than two.

    Raises:
        CalibrationError: a file cannot be read, has another format, or does not describe a rig.
    """
    if len(paths) == 2:
        left, right = (load_camera_yaml(path) for path in paths)
    elif len(paths) == 1:
        left, right = _load_pair(paths[0], image_size, images, cameras)
    else:
        raise CalibrationError(f"{len(paths)} calibration files given; one calib.txt, or a left and a right YAML, are needed")
    return StereoRig.from_calibrations(left, right, image_size)


def _load_pair(
    path: PathLike,
    image_size: tuple[int, int],
    images: tuple[PathLike, PathLike] | None,
    cameras: tuple[int, int] | None,
) -> tuple[Calibration, Calibration]:
    text = _read(path)
    if is_middlebury(text):
        return parse_middlebury(text, image_size)
    if is_kitti(text):
        return parse_kitti(text, image_size, images, cameras)
    if Path(path).suffix in (".yaml", ".yml"):
        raise CalibrationError(f"{path} describes one camera; give the YAML of the right camera as well, left first")
    raise CalibrationError(
        f"{path} is no known stereo calibration. Known: Middlebury calib.txt (cam0=, cam1=, baseline=), "
        "KITTI calib.txt (rows of 12 numbers), two camera_calibration YAML files (left right)"
    )


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


def _read(path: PathLike) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CalibrationError(f"cannot read the calibration file {path}: {error}") from None
