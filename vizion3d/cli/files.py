# SPDX-License-Identifier: Apache-2.0
"""The picture files that the commands write."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from vizion3d.errors import InputError


def write_depth_png(path: Path, depth_m: np.ndarray) -> None:
    """Write (H, W) metres, NaN invalid, as 16-bit millimetres, 0 invalid; beyond 65.535 m it stays 65535."""
    millimetres = np.nan_to_num(depth_m * 1000, nan=0.0, posinf=65535).round().clip(0, 65535)
    write_pixels(path, millimetres.astype(np.uint16))


def write_rgb_png(path: Path, rgb: np.ndarray) -> None:
    """Write (H, W, 3) uint8 RGB."""
    write_pixels(path, rgb[..., ::-1])


def write_pictures(out: Path, stem: str, pictures: dict[str, np.ndarray]) -> list[Path]:
    """Write those of `vizion3d.visualize.album`, but for the image itself; their paths."""
    paths = {out / f"{stem}_{'depth_color' if name == 'depth' else name}.png": name for name in pictures if name != "image"}
    for path, name in paths.items():
        write_rgb_png(path, pictures[name])
    return list(paths)


def write_pfm(path: Path, values: np.ndarray) -> None:
    """Write (H, W) numbers as they are."""
    write_pixels(path, values.astype(np.float32))


def write_pixels(path: Path, pixels: np.ndarray) -> None:
    """Write pixels as they are, colours in OpenCV's order, in the form that the file's name ends with."""
    try:
        path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())  # imwrite dies of names that are not UTF-8
    except OSError as error:
        raise InputError(f"cannot write {path}; is the folder writable and the disk not full? ({error.strerror})") from None
