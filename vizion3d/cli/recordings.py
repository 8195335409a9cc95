# SPDX-License-Identifier: Apache-2.0
"""Which of the inputs of a command are recordings; what reads them comes with the ROS part."""

from __future__ import annotations

from pathlib import Path


def is_recording(path: Path) -> bool:
    """Whether a path is a recording: a file of one, or a folder with those of a rosbag2."""
    if path.suffix == ".bag":
        return path.is_file()
    files = [path, *path.iterdir()] if path.is_dir() else [path]
    return any(file.suffix in (".db3", ".mcap") for file in files)
