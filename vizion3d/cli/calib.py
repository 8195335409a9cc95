# SPDX-License-Identifier: Apache-2.0
"""`vizion3d calib convert IN --out left.yaml right.yaml`: a calibration of any known format as camera_calibration YAML."""

from __future__ import annotations

import argparse
from pathlib import Path

from vizion3d.cli.pair import add_cameras_argument


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("calib", help="convert calibration files")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    action = actions.add_parser("convert", help="write camera_calibration YAML from any known format", description=__doc__)
    action.add_argument("files", nargs="+", metavar="IN", help="a file, or two: of the left and the right camera")
    action.add_argument(
        "--out", nargs="+", type=Path, required=True, metavar="YAML", help="left and right file; one for one camera"
    )
    action.add_argument("--size", nargs=2, type=int, metavar=("W", "H"), help="size of the images, if the file does not say it")
    add_cameras_argument(action)
    action.set_defaults(run=_convert)


def _convert(arguments: argparse.Namespace) -> int:
    """Read, write, say what was written.

    Raises:
        InputError: the number of files to write is not that of the cameras.
        CalibrationError: the files cannot be read.
    """
    from vizion3d.calibration_files import camera_yaml, load_calibrations, load_cameras
    from vizion3d.errors import InputError

    size = tuple(arguments.size) if arguments.size else None
    if len(arguments.out) > 2 or len(arguments.files) > 2:
        raise InputError("at most two files are read and written: of the left and the right camera")
    load = load_calibrations if len(arguments.out) == 2 else load_cameras
    found = load(arguments.files, size, cameras=arguments.cameras)
    if len(arguments.out) != len(found):
        files = " and ".join(arguments.files)
        raise InputError(f"{len(found)} cameras are in {files}; name a file for each of them: --out left.yaml right.yaml")
    for path, calibration in zip(arguments.out, found, strict=True):
        path.write_text(camera_yaml(calibration, path.stem), encoding="utf-8", errors="replace")
        print(f"{path}  {calibration.width}x{calibration.height} {calibration.distortion_model or 'rectified'}")
    return 0
