# SPDX-License-Identifier: Apache-2.0
"""What commands of the core know of recordings: their parsers get the readers as defaults."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add no subcommand but readers to those that are there."""
    subparsers.choices["recalibrate"].set_defaults(read_recording=_read_pairs)


def _read_pairs(path: Path, left: str, right: str, most: int) -> Any:
    from vizion3d_ros.bag_pairs import read_pairs

    return read_pairs(path, left, right, most)
