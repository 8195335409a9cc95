# SPDX-License-Identifier: Apache-2.0
"""The arguments of the commands that take a pair and its calibration; and pairs in folders."""

from __future__ import annotations

import argparse
from pathlib import Path

# Names of the folders, or beginnings of the names of the files, of left and right images.
SIDES = (("left", "right"), ("image_0", "image_1"), ("image_2", "image_3"), ("image_00", "image_01"), ("cam0", "cam1"))
PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"}


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


def add_cameras_argument(parser: argparse._ActionsContainer) -> None:
    """Add --cameras L R."""
    parser.add_argument(
        "--cameras",
        nargs=2,
        type=int,
        metavar=("L", "R"),
        help="numbers of the left and the right camera, if the file has more than two (default: by the images' folders)",
    )


def named_pairs(folder: Path) -> list[tuple[Path, Path]]:
    """Pairs of pictures in a folder by the names of their folders or files: left/ and right/, left*.png and right*.png..."""
    pictures = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES)
    pairs = []
    for path in pictures:
        within = path.relative_to(folder)
        for left, right in SIDES:
            if within.parts[0].startswith(left):
                other = folder / Path(within.parts[0].replace(left, right, 1), *within.parts[1:])
                if other.is_file():
                    pairs.append((path, other))
                    break
    return pairs
