# SPDX-License-Identifier: Apache-2.0
"""Results as files of each frame instead of a recording: depth as PNG, the cloud as PLY, numbers as npz."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from vizion3d.cli.files import write_depth_png
from vizion3d_ros.bag.writer import UNFINISHED
from vizion3d_ros.conversions import cloud_from_message, depth_from_image, map_from_image

FORMS = ("png", "ply", "npz")
_ARRAYS = {"depth/sigma": "sigma_m"}


class FileWriter:
    """The files of a segment, which get their place once all of them are whole.

    Args:
        folder: where to.
        index: of the segment.
        forms: some of `FORMS`.
    """

    def __init__(self, folder: Path, index: int, forms: Collection[str]) -> None:
        self._folder, self._forms = folder, forms
        self._place = folder / UNFINISHED / f"{index:05d}"
        shutil.rmtree(self._place, ignore_errors=True)
        self._place.mkdir(parents=True)
        self._name = ""
        self._arrays: dict[str, np.ndarray] = {}

    def put(self, topic: str, _full_name: str, name: str, _log_ns: int, message: Any) -> None:
        """Take an output of the frame of this name."""
        if name != self._name:
            self._write_arrays()
            self._name = name
        if topic.startswith("depth/image"):
            depth_m = depth_from_image(message)
            self._arrays["depth_m"] = depth_m
            if "png" in self._forms:
                known_m = np.where(np.isfinite(depth_m), depth_m, np.nan)  # +Inf is no number of millimetres
                write_depth_png(self._place / f"{name}_depth.png", known_m)
        elif topic == "points2":
            cloud = cloud_from_message(message).dense()
            self._arrays |= {"points": cloud.points, "colors": cloud.colors}
            if "ply" in self._forms:
                cloud.write_ply(self._place / f"{name}_cloud.ply")
        elif not topic.endswith("camera_info"):
            self._arrays[_ARRAYS.get(topic, topic)] = map_from_image(getattr(message, "image", message))

    def finish(self) -> dict[str, Any]:
        """Give the files their place; their names."""
        self._write_arrays()
        names = sorted(path.name for path in self._place.iterdir())
        for name in names:
            os.replace(self._place / name, self._folder / name)
        shutil.rmtree(self._place)
        return {"relative_file_paths": names}

    def abort(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self._place, ignore_errors=True)

    def _write_arrays(self) -> None:
        if self._arrays and "npz" in self._forms:
            np.savez_compressed(self._place / f"{self._name}.npz", **self._arrays)  # type: ignore[arg-type]
        self._arrays = {}
