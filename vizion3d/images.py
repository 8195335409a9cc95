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
        path = Path(image)
        if not path.exists():
            raise MissingImageError(f"{name}: there is no file {path}")
        source: io.BytesIO | Path = path
    elif isinstance(image, (bytes, bytearray, memoryview)):
        source = io.BytesIO(image)
    elif isinstance(image, Image.Image):
        return _rgb_from_pil(ImageOps.exif_transpose(image))
    else:
        raise InputError(
            f"{name} is a {type(image).__name__}; a path, the bytes of a picture file, a numpy array or a PIL image is needed"
        )
    try:
        with Image.open(source) as opened:
            return _rgb_from_pil(ImageOps.exif_transpose(opened))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        what = source if isinstance(source, Path) else f"{source.getbuffer().nbytes} bytes"
        raise InputError(f"{name}: {what} cannot be decoded as a picture ({error})") from None


def _rgb_from_pil(image: PIL.Image.Image) -> np.ndarray:
    if image.mode.startswith("I"):
        # Pillow's own conversion saturates 16-bit grey to white.
        return _rgb_from_array(np.asarray(image).astype(np.uint16), "image")
    return np.array(image.convert("RGB"))


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
