# SPDX-License-Identifier: Apache-2.0
"""What commands of the core know of robots and recordings: their parsers get as defaults what looks at these."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vizion3d.errors import DependencyError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add no subcommand but what some of those that are there need."""
    subparsers.choices["recalibrate"].set_defaults(read_recording=_read_pairs)
    subparsers.choices["eval"].set_defaults(read_cases=_read_cases, read_views=_read_views)
    subparsers.choices["doctor"].set_defaults(examine_topics=_examine)


def _read_pairs(path: Path, left: str, right: str, most: int) -> Any:
    with _told("rosbags"):
        from vizion3d_ros.bag.pairs import read_pairs
    return read_pairs(path, left, right, most)


def _read_cases(path: Path, stereo: Sequence[str], truth: str, every: int, tolerance_s: float) -> Any:
    with _told("rosbags"):
        from vizion3d_ros.bag.truth import recorded_cases
    return recorded_cases(path, stereo, truth, every, tolerance_s)


def _read_views(path: Path, mono: Sequence[str], truth: str, every: int, tolerance_s: float) -> Any:
    with _told("rosbags"):
        from vizion3d_ros.bag.truth import recorded_views
    return recorded_views(path, mono, truth, every, tolerance_s)


def _examine(path: Path | None, left: str, right: str, seconds: float) -> tuple[str, bool]:
    """The doctor's page about a recording, or with None about a robot, and whether it has an error."""
    with _told("rosbags, or the message packages of ROS"):
        from vizion3d_ros.doctor import bag
        from vizion3d_ros.doctor.page import page
    if path is not None:
        return page(bag.collect([path], left, right, seconds))
    with _told("rclpy"):
        from vizion3d_ros.doctor import live
    return page(live.collect(left, right, seconds))


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Imports of what may be missing."""
    try:
        yield
    except ImportError as error:
        raise DependencyError(
            f'this needs {what} ({error}): source the setup file of a ROS 2 installation, or pip install "vizion3d[ros,bag]"'
        ) from error
