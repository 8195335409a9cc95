# SPDX-License-Identifier: Apache-2.0
"""Calibration files on disk, in every form in which people keep them -> `Calibration` and `StereoRig`."""

from __future__ import annotations

from pathlib import Path

from vizion3d.calibration_files import kalibr, kitti, middlebury, opencv, ost, ros
from vizion3d.calibration_files.formats import FORMS, Request, what_else
from vizion3d.calibration_files.formats import PathLike as PathLike
from vizion3d.calibration_files.ros import camera_yaml as camera_yaml
from vizion3d.camera import Calibration, StereoRig
from vizion3d.errors import CalibrationError

# The first that recognises a text reads it.
_FORMATS = opencv, middlebury, kitti, ost, kalibr, ros


def load_stereo_rig(
    paths: list[PathLike],
    image_size: tuple[int, int],
    *,
    images: tuple[PathLike, PathLike] | None = None,
    cameras: tuple[int, int] | None = None,
) -> StereoRig:
    """Read the rig of a rectified pair from one or two files, whatever their format. Arguments: see `load_calibrations`."""
    left, right = load_calibrations(paths, image_size, images=images, cameras=cameras)
    return StereoRig.from_calibrations(left, right, image_size)


def load_calibrations(
    paths: list[PathLike],
    image_size: tuple[int, int] | None = None,
    *,
    images: tuple[PathLike, PathLike] | None = None,
    cameras: tuple[int, int] | None = None,
) -> tuple[Calibration, Calibration]:
    """Read the two cameras of a rig, left first.

    Raises:
        CalibrationError: see `load_cameras`; or the files do not describe two cameras.
    """
    found = load_cameras(paths, image_size, images=images, cameras=cameras)
    if len(found) != 2:
        names = " and ".join(map(str, paths))
        what = f"{names} describes one camera" if len(found) == 1 else f"{names} describe {len(found)} cameras"
        raise CalibrationError(f"{what}; give the file of the left and that of the right camera, left first, or one of both")
    return found[0], found[1]


def load_cameras(
    paths: list[PathLike],
    image_size: tuple[int, int] | None = None,
    *,
    images: tuple[PathLike, PathLike] | None = None,
    cameras: tuple[int, int] | None = None,
) -> list[Calibration]:
    """Read the cameras of one or two files.

    Args:
        paths: one file, or one of each camera, left first; or OpenCV's file of the intrinsics and that of the extrinsics.
        image_size: (width, height) of the images, which some files do not say.
        images: where the left and the right image are; the names of KITTI's folders say which cameras took them.
        cameras: numbers of the left and the right camera in a file of more than two.

    Raises:
        CalibrationError: a file cannot be read or has another format.
    """
    if len(paths) not in (1, 2):
        raise CalibrationError(
            f"{len(paths)} calibration files given; one of both cameras, or one of each, left first, is needed"
        )
    request = Request(image_size, images, cameras)
    texts = [_read(path) for path in paths]
    if len(paths) == 2 and all(map(opencv.recognises, texts)):
        return _named(" and ".join(map(str, paths)), lambda: opencv.parse_together(texts, request))
    return [camera for path, text in zip(paths, texts, strict=True) for camera in _parse(path, text, request)]


def load_calibration(path: PathLike, image_size: tuple[int, int] | None = None) -> Calibration:
    """Read one camera; the left one of a file that describes two.

    Raises:
        CalibrationError: see `load_calibrations`.
    """
    return _parse(path, _read(path), Request(image_size))[0]


def _parse(path: PathLike, text: str, request: Request) -> list[Calibration]:
    for form in _FORMATS:
        if form.recognises(text):
            return _named(str(path), lambda form=form: form.parse(text, request))
    raise CalibrationError(f"{path} is {what_else(text)}. Read are: {FORMS}")


def _named(name: str, parse):
    try:
        return parse()
    except CalibrationError as error:
        raise CalibrationError(f"{name}: {error}") from None


def _read(path: PathLike) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise CalibrationError(f"{path} is no text, so no calibration that could be read. Read are: {FORMS}") from None
    except OSError as error:
        raise CalibrationError(f"cannot read the calibration file {path}: {error}") from None
