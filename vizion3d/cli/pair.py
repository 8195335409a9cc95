# SPDX-License-Identifier: Apache-2.0
"""The arguments of the commands that take a pair and its calibration."""

from __future__ import annotations

import argparse


def add_pair_arguments(parser: argparse.ArgumentParser, *, images_required: bool = True, calib_required: bool = True) -> None:
    """Add LEFT RIGHT --calib FILE [FILE] --cameras L R; what may be left out and is, is None, --calib an empty list."""
    for side in ("left", "right"):
        parser.add_argument(side, nargs=None if images_required else "?", help=f"{side} image")
    parser.add_argument(
        "--calib",
        nargs="+",
        required=calib_required,
        default=[],
        metavar="FILE",
        help="calibration of both cameras, or of the left and of the right one, in any format that `vizion3d calib` reads",
    )
    add_cameras_argument(parser)


def add_cameras_argument(parser: argparse.ArgumentParser) -> None:
    """Add --cameras L R."""
    parser.add_argument(
        "--cameras",
        nargs=2,
        type=int,
        metavar=("L", "R"),
        help="numbers of the left and the right camera, if the file has more than two (default: by the images' folders)",
    )
