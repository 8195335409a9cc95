# SPDX-License-Identifier: Apache-2.0
"""Whatever a user calls an image -> (H, W, 3) uint8 RGB. The only decoder of the core."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Union

import numpy as np

from vizion3d.errors import InputError, MissingImageError

if TYPE_CHECKING:
    import PIL.Image
    import torch

ImageInput = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview, np.ndarray, "PIL.Image.Image"]


def load_rgb(image: ImageInput, name: str = "image") -> np.ndarray:
    """Decode an image to RGB, with its EXIF orientation applied.

    Args:
        image: a path, the bytes of a picture file, a PIL image, or an array: (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA,
            uint8, or uint16 (whose upper 8 bits are taken).
        name: what to call it in messages.

    Returns:
        (H, W, 3) uint8 RGB, C-contiguous.

    Raises:
        InputError: it is none of these, cannot be decoded, or is empty.
        MissingImageError: the path does not exist.
    """
    from PIL import Image, ImageOps

    if isinstance(image, np.ndarray):
        return _rgb_from_array(image, name)
    if isinstance(image, (str, os.PathLike)):
        source: io.BytesIO | Path = _existing_path(image, name)
    elif isinstance(image, (bytes, bytearray, memoryview)):
        source = io.BytesIO(image)
    elif isinstance(image, Image.Image):
        source = io.BytesIO()
    else:
        raise InputError(
            f"{name} is a {type(image).__name__}; a path, the bytes of a picture file, a numpy array or a PIL image is needed"
        )
    try:
        if isinstance(image, Image.Image):
            what = "the PIL image"
            return _rgb_from_pil(ImageOps.exif_transpose(image), name)
        what = str(source) if isinstance(source, Path) else f"{source.getbuffer().nbytes} bytes"
        with Image.open(source) as opened:
            return _rgb_from_pil(ImageOps.exif_transpose(opened), name)
    except InputError:
        raise
    except Exception as error:  # a damaged file can make a decoder stumble in any way
        raise InputError(f"{name}: {what} cannot be decoded as a picture ({error})") from None


def _existing_path(text: str | os.PathLike[str], name: str) -> Path:
    path = Path(text)
    try:
        found = path.exists()
    except (OSError, ValueError) as error:  # too long, or a null in it: hardly meant as a path
        raise InputError(f"{name}: {str(path)[:60]!r} is no path ({error})") from None
    if not found:
        raise MissingImageError(f"{name}: there is no file {path}")
    return path


def check_rgb(image: object, name: str) -> None:
    """Raise `InputError` unless this is a (H, W, 3) uint8 array with pixels."""
    if not isinstance(image, np.ndarray):
        raise InputError(f"{name} is a {type(image).__name__}; a (H, W, 3) uint8 RGB array is needed")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise InputError(f"{name} is {image.shape} {image.dtype}; (H, W, 3) uint8 RGB is needed")


def rgb_tensor(image: np.ndarray, device: torch.device) -> torch.Tensor:
    """(H, W, 3) uint8 array -> the same as a tensor on the device; the bytes cross the bus, not floats."""
    import torch

    pixels = np.ascontiguousarray(image)
    return torch.from_numpy(pixels if pixels.flags.writeable else pixels.copy()).to(device)


def _rgb_from_pil(image: PIL.Image.Image, name: str) -> np.ndarray:
    if image.mode.startswith("I"):
        # Pillow's own conversion saturates 16-bit grey to white.
        return _rgb_from_array(np.asarray(image).astype(np.uint16), name)
    return _rgb_from_array(np.array(image.convert("RGB")), name)


def _rgb_from_array(array: np.ndarray, name: str) -> np.ndarray:
    shape_ok = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))
    if not shape_ok or array.dtype not in (np.uint8, np.uint16) or 0 in array.shape:
        raise InputError(
            f"{name} is an array of shape {array.shape} and type {array.dtype}; "
            "(H, W), (H, W, 3) RGB or (H, W, 4) RGBA of uint8 or uint16 is needed"
        )
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.shape[2] == 1:
        array = np.broadcast_to(array, (*array.shape[:2], 3))
    return np.ascontiguousarray(array[:, :, :3])
