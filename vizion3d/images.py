# SPDX-License-Identifier: Apache-2.0
"""Whatever a user calls an image -> (H, W, 3) uint8 RGB. The only decoder of the core."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Union

import numpy as np

from vizion3d.bit_depth import Levels
from vizion3d.errors import InputError, MissingImageError
from vizion3d.options import ImageOptions

if TYPE_CHECKING:
    import PIL.Image
    import PIL.ImageFile
    import torch

_PFM = b"PF", b"Pf"
_TIFF = b"II*\0", b"MM\0*"

ImageInput = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview, np.ndarray, "PIL.Image.Image"]


def load_rgb(image: ImageInput, name: str = "image", options: ImageOptions | None = None) -> np.ndarray:
    """Decode an image to RGB, with its EXIF orientation applied.

    Args:
        image: a path, the bytes of a picture file, a PIL image, or an array: (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA,
            uint8 or uint16.
        name: what to call it in messages.
        options: which values of pictures of more than 8 bits become 0 to 255; None goes by what is in the picture.

    Returns:
        (H, W, 3) uint8 RGB, C-contiguous; an array that is this already is not copied.

    Raises:
        InputError: it is none of these, cannot be decoded, or is empty.
        MissingImageError: the path does not exist.
    """
    return _rgb([_decode(image, name)], (name,), options)[0]


def load_rgb_pair(
    left: ImageInput,
    right: ImageInput,
    names: tuple[str, str] = ("left image", "right image"),
    options: ImageOptions | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Decode two images of one moment as `load_rgb` does, both with the same levels."""
    left_rgb, right_rgb = _rgb([_decode(image, name) for image, name in zip((left, right), names, strict=True)], names, options)
    return left_rgb, right_rgb


def _rgb(pictures: list[np.ndarray], names: tuple[str, ...], options: ImageOptions | None) -> list[np.ndarray]:
    try:
        pictures = Levels(options).to_8_bit(*pictures)
    except InputError as error:
        raise InputError(f"{' and '.join(names)}: {error}") from None
    return [_three_channels(picture) for picture in pictures]


def _decode(image: ImageInput, name: str) -> np.ndarray:
    """The picture in the depth that it has: (H, W) or (H, W, C) of uint8, uint16, int32 or floats."""
    from PIL import Image

    if isinstance(image, np.ndarray):
        return _checked(image, name, (np.uint8, np.uint16))
    if isinstance(image, (str, os.PathLike)):
        source: Path | bytes | PIL.Image.Image = _existing_path(image, name)
        what = str(source)
    elif isinstance(image, (bytes, bytearray, memoryview)):
        source = bytes(image)
        what = f"{len(source)} bytes"
    elif isinstance(image, Image.Image):
        source, what = image, "the PIL image"
    else:
        raise InputError(
            f"{name} is a {type(image).__name__}; a path, the bytes of a picture file, a numpy array or a PIL image is needed"
        )
    try:
        pixels = _pixels(source) if isinstance(source, Image.Image) else _pixels_of_file(source)
    except Image.DecompressionBombError as error:
        reason = str(error).rstrip(".")
        raise InputError(f"{name}: {what} is too large ({reason}); scale it down, or decode it and give the array") from None
    except Exception as error:  # a damaged file can make a decoder stumble in any way
        raise InputError(f"{name}: {what} cannot be decoded as a picture ({error})") from None
    return _checked(pixels, name, (np.uint8, np.uint16, np.int32, np.float32, np.float64))


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


def _pixels_of_file(source: Path | bytes) -> np.ndarray:
    from PIL import Image

    data = source.read_bytes() if isinstance(source, Path) else source
    if data[:2] in _PFM:
        raise InputError("it is a PFM file, a map of disparities or depths; give the camera's picture")
    try:
        with Image.open(io.BytesIO(data)) as opened:
            return _pixels(opened)
    except Image.UnidentifiedImageError:
        if data[:4] in _TIFF:  # of numbers that Pillow does not know
            return _deep_pixels(data)
        raise


def _pixels(image: PIL.Image.Image) -> np.ndarray:
    """The pixels of a PIL image, upright, in the depth that its file has."""
    from PIL import ImageFile, ImageOps

    if isinstance(image, ImageFile.ImageFile) and image.fp and _is_deep_color(image):
        image.fp.seek(0)
        return _deep_pixels(image.fp.read())
    upright = ImageOps.exif_transpose(image)
    # Pillow's own conversion saturates 16-bit grey to white.
    return np.asarray(upright) if upright.mode[0] in "IF" else np.array(upright.convert("RGB"))


def _is_deep_color(image: PIL.ImageFile.ImageFile) -> bool:
    """Whether Pillow will keep only the upper byte of the colours, as it does of 16-bit ones."""
    if not image.tile or image.mode not in ("RGB", "RGBA", "LA"):
        return False
    how = image.tile[0][3]  # "RGB;16B" and the like; of a PPM with other than 255 levels: ("RGB", levels)
    if image.format == "PPM":
        return isinstance(how, tuple) and how[1] > 255
    return image.format in ("PNG", "TIFF") and ";16" in str(how)


def _deep_pixels(data: bytes) -> np.ndarray:
    """OpenCV's decoding, upright, in RGB order."""
    import cv2

    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR)
    if pixels is None:
        raise InputError("neither Pillow nor OpenCV can read it")
    return pixels[..., ::-1] if pixels.ndim == 3 else pixels


def _checked(pixels: np.ndarray, name: str, types: tuple[type, ...]) -> np.ndarray:
    shape_ok = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (1, 3, 4))
    if not shape_ok or pixels.dtype not in types or 0 in pixels.shape:
        raise InputError(
            f"{name} is an array of shape {pixels.shape} and type {pixels.dtype}; "
            "(H, W), (H, W, 3) RGB or (H, W, 4) RGBA of uint8 or uint16 is needed"
        )
    return pixels


def _three_channels(pixels: np.ndarray) -> np.ndarray:
    """(H, W) or (H, W, 1, 3 or 4) uint8 -> (H, W, 3)."""
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.shape[2] == 1:
        pixels = np.broadcast_to(pixels, (*pixels.shape[:2], 3))
    return np.ascontiguousarray(pixels[:, :, :3])
