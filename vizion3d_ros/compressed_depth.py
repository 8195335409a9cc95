# SPDX-License-Identifier: Apache-2.0
"""Depth images as compressed_depth_image_transport sends them: a 16-bit PNG of inverse depth, how to read it before it.

The format is that of ros-perception/image_transport_plugins, compressed_depth_image_transport/src/codec.cpp: the bytes of
``struct ConfigHeader { int32 format; float depthParam[2]; }``, then the PNG. Of a 32FC1 image a pixel of the PNG is
``a / z + b``, with a and b in depthParam, and 0 where there is no depth; of a 16UC1 image it is the pixel itself.
"""

from __future__ import annotations

import array
import struct

import cv2
import numpy as np

from vizion3d_ros.encodings import pixels
from vizion3d_ros.messages import CompressedImage, Image

COMPRESSED_DEPTH = "/compressedDepth"
"""What image_transport appends to the name of a depth image."""
_INVERSE_DEPTH = 0  # enum compressionFormat { UNDEFINED = -1, INV_DEPTH }
# Of the plugin by default: the step of 1 / z is that of 1 m at 100 m. Finer ones make larger pictures.
_USUAL_A = 100.0 * 101.0
_LARGEST = 65535


def compress_depth(message: Image) -> CompressedImage:
    """A 32FC1 or 16UC1 depth image, small enough for radio links.

    The farthest pixel has the code 1, so that nothing is cut off; z is right to ``z * z / 20200``, or, in an image with depth
    nearer than 0.15 m, as well as 16 bits allow.
    """
    if message.encoding == "16UC1":
        codes, a, b = pixels(message, np.dtype("<u2"), 1), 0.0, 0.0
    else:
        codes, a, b = _inverse_depth(pixels(message, np.dtype("<f4"), 1))
    data = array.array("B", struct.pack("<iff", _INVERSE_DEPTH, a, b))
    data.frombytes(cv2.imencode(".png", codes)[1].data)
    return CompressedImage(header=message.header, format=f"{message.encoding}; compressedDepth png", data=data)


def _inverse_depth(depth_m: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Codes of metres, and the numbers that turn them into metres again."""
    known = np.isfinite(depth_m)
    inverse = np.where(known, np.reciprocal(depth_m, where=known, out=np.ones_like(depth_m)), np.nan)
    near, far = (inverse[known].max(), inverse[known].min()) if known.any() else (np.float32(1), np.float32(1))
    a = np.float32(min(_USUAL_A, (_LARGEST - 1) / max(float(near) - float(far), 1e-9)))
    b = np.float32(1 - a * far)
    codes = np.nan_to_num(np.rint(inverse * a + b), nan=0).clip(0, _LARGEST)
    return codes.astype(np.uint16), float(a), float(b)
