# SPDX-License-Identifier: Apache-2.0
"""CompressedImage as image_transport sends it: JPEG, PNG and whatever else OpenCV reads. Made of an Image, too."""

from __future__ import annotations

import array
import io

import cv2
import numpy as np
import PIL.Image

from vizion3d.errors import InputError
from vizion3d_ros import encodings
from vizion3d_ros.encodings import RawPixels, single_channel_code
from vizion3d_ros.messages import CompressedImage, Image

KINDS = ("jpeg", "png")
"""What images can be compressed to; only PNG keeps them as they are, and takes 16 bits."""
_CODES = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}  # OpenCV gives colours in this order, whatever was compressed


def raw_pixels(message: CompressedImage) -> RawPixels:
    """The pixels of a message. `format` tells what one channel means: "bayer_rggb8; png compressed " is a mosaic.

    Raises:
        InputError: the format is another than of pictures, the data are damaged, or say that they are larger than any image.
    """
    if "compressedDepth" in message.format:
        raise InputError(
            f'the compressed image has format "{message.format}": a depth image, not a picture; remap to the compressed images '
            "of a camera"
        )
    _told_size_wh(message)  # before the memory for it is taken
    data = np.frombuffer(message.data, np.uint8)
    values = _decode(data) if data.size else None
    if values is None:
        raise InputError(
            f'the compressed image of format "{message.format}" and {data.size} bytes cannot be read: it is damaged or neither '
            "JPEG nor PNG"
        )
    if values.ndim == 2:
        return RawPixels(values, single_channel_code(message.format.partition(";")[0].strip()))
    return RawPixels(values, _CODES[values.shape[2]])


def compress(message: Image, kind: str) -> CompressedImage:
    """The same image as one of `KINDS`. Grey and mosaics stay one channel, all else becomes BGR.

    Raises:
        InputError: the image cannot be read, or has 16 bits and is to be a JPEG.
    """
    pixels = encodings.raw_pixels(message)
    values, target = pixels.values, ""
    if values.itemsize > 1 and kind == "jpeg":
        raise InputError(f'an image of encoding "{message.encoding}" has more than 8 bits, which JPEG cannot hold; use png')
    if values.itemsize == 1 and pixels.code != single_channel_code(message.encoding):
        values, target = encodings.to_rgb(values, pixels.code)[..., ::-1], "bgr8"
    picture = cv2.imencode(f".{kind}", np.ascontiguousarray(values, values.dtype.newbyteorder("=")))[1]
    data = array.array("B", picture.tobytes())
    return CompressedImage(header=message.header, format=f"{message.encoding}; {kind} compressed {target}", data=data)


def size_wh(message: CompressedImage) -> tuple[int, int] | None:
    """(width, height) from the head of the data, without decoding them; None if it cannot be read."""
    try:
        return _told_size_wh(message)
    except InputError:
        return None


def _told_size_wh(message: CompressedImage) -> tuple[int, int] | None:
    try:
        with PIL.Image.open(io.BytesIO(message.data)) as image:
            return image.size
    except PIL.Image.DecompressionBombError:
        raise InputError(
            f'the compressed image of format "{message.format}" and {len(message.data)} bytes says that it has more than '
            f"{2 * (PIL.Image.MAX_IMAGE_PIXELS or 0):.1g} pixels: it is damaged"
        ) from None
    except (OSError, ValueError):
        return None


def _decode(data: np.ndarray) -> np.ndarray | None:
    try:
        # As it is: of 8 or 16 bits, not turned by what a camera says of its pose, for the calibration is of these pixels.
        return cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
