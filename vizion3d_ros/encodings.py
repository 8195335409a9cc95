# SPDX-License-Identifier: Apache-2.0
"""The pixels of an image message in every encoding that can be turned into RGB, with `step`, planes and byte order."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from vizion3d.errors import InputError
from vizion3d_ros.messages import Image

# encoding -> (bytes a pixel, OpenCV code to RGB; None is RGB already). OpenCV names Bayer patterns by their second row.
_BYTES: dict[str, tuple[int, int | None]] = {
    "rgb8": (3, None),
    "8UC3": (3, cv2.COLOR_BGR2RGB),
    "bgr8": (3, cv2.COLOR_BGR2RGB),
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "8UC4": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
    "8UC1": (1, cv2.COLOR_GRAY2RGB),
    "bayer_rggb8": (1, cv2.COLOR_BayerBG2RGB),
    "bayer_bggr8": (1, cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg8": (1, cv2.COLOR_BayerGR2RGB),
    "bayer_grbg8": (1, cv2.COLOR_BayerGB2RGB),
    "uyvy": (2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422": (2, cv2.COLOR_YUV2RGB_UYVY),
    "yuyv": (2, cv2.COLOR_YUV2RGB_YUY2),
    "yuv422_yuy2": (2, cv2.COLOR_YUV2RGB_YUY2),
}
# Encodings of more than 8 bits, which `Levels` brings to 8; the 8-bit twin says what the channels are.
_DEEP: dict[str, tuple[str, str]] = {
    "mono16": ("u2", "mono8"),
    "16UC1": ("u2", "mono8"),
    "rgb16": ("u2", "rgb8"),
    "bgr16": ("u2", "bgr8"),
    "16UC3": ("u2", "bgr8"),
    "rgba16": ("u2", "rgba8"),
    "bgra16": ("u2", "bgra8"),
    "16UC4": ("u2", "bgra8"),
    "32FC3": ("f4", "bgr8"),
    "32FC4": ("f4", "bgra8"),
    "bayer_rggb16": ("u2", "bayer_rggb8"),
    "bayer_bggr16": ("u2", "bayer_bggr8"),
    "bayer_gbrg16": ("u2", "bayer_gbrg8"),
    "bayer_grbg16": ("u2", "bayer_grbg8"),
}
# A plane of Y, then one of U and V (V and U) in turns: of every 2x2 pixels one pair, or one of each pixel.
_PLANES: dict[str, int] = {"nv12": cv2.COLOR_YUV2RGB_NV12, "nv21": cv2.COLOR_YUV2RGB_NV21, "nv24": cv2.COLOR_YUV2RGB_UYVY}
_EVEN_WIDTH = (cv2.COLOR_YUV2RGB_UYVY, cv2.COLOR_YUV2RGB_YUY2)


class RawPixels(NamedTuple):
    """The pixels as they are in the message."""

    values: np.ndarray
    """(H, W) or (H, W, channels)."""
    code: int | None
    """OpenCV's that makes RGB of 8-bit ones; None if they are RGB already."""


def raw_pixels(message: Image) -> RawPixels:
    """The pixels of a message; a view of its data where that can be.

    Encodings that are not known here go to cv_bridge where it is installed.

    Raises:
        InputError: the encoding is not supported, or size, step and amount of data do not fit together.
    """
    encoding = message.encoding
    if encoding in _BYTES:
        channels, code = _BYTES[encoding]
        if code in _EVEN_WIDTH:
            _check_even(message, "width")
        return RawPixels(pixels(message, np.dtype(np.uint8), channels), code)
    if encoding in _DEEP:
        kind, twin = _DEEP[encoding]
        channels, code = _BYTES[twin]
        return RawPixels(pixels(message, np.dtype((">" if message.is_bigendian else "<") + kind), channels), code)
    if encoding in _PLANES:
        return RawPixels(_rgb_of_planes(message), None)
    return RawPixels(_rgb_from_cv_bridge(message), None)


def single_channel_code(encoding: str) -> int:
    """OpenCV's code for one channel of this encoding: of a Bayer pattern its own, else that of grey."""
    channels, code = _BYTES.get(_DEEP.get(encoding, ("", encoding))[1], (1, None))
    return cv2.COLOR_GRAY2RGB if channels != 1 or code is None else code


def to_rgb(pixels: np.ndarray, code: int | None) -> np.ndarray:
    """(H, W) or (H, W, channels) uint8 and the code of `raw_pixels` -> (H, W, 3) RGB."""
    if code is None:
        return pixels
    try:
        return cv2.cvtColor(np.ascontiguousarray(pixels), code)
    except cv2.error:  # nothing of what it says helps a user
        raise InputError(f"OpenCV cannot turn a {pixels.shape[1]}x{pixels.shape[0]} image of this encoding into RGB") from None


def pixels(message: Image, dtype: np.dtype, channels: int) -> np.ndarray:
    """(H, W) or (H, W, channels) of the data without the padding of its rows, a view where that can be.

    Raises:
        InputError: size, step and amount of data do not fit together.
    """
    rows = _rows(message, message.height, message.width * channels * dtype.itemsize)
    values = rows.view(dtype) if rows.flags.c_contiguous else np.ascontiguousarray(rows).view(dtype)
    return values if channels == 1 else values.reshape(message.height, message.width, channels)


def _rows(message: Image, count: int, row_bytes: int) -> np.ndarray:
    """(count, row_bytes) uint8 view of the first rows."""
    height, width = message.height, message.width
    if not (height and width):
        raise InputError(f"the image is {width}x{height}: it is empty")
    if message.step < row_bytes or len(message.data) < (count - 1) * message.step + row_bytes:
        raise InputError(
            f"the {width}x{height} {message.encoding} image has step {message.step} and {len(message.data)} bytes; "
            f"it needs a step of at least {row_bytes} and {count} rows of it"
        )
    return np.lib.stride_tricks.as_strided(np.frombuffer(message.data, np.uint8), (count, row_bytes), (message.step, 1))


def _rgb_of_planes(message: Image) -> np.ndarray:
    """(H, W, 3) uint8 of an image whose colours are in a plane of their own.

    Some drivers count the rows of the picture as `height`, others those of both planes; the amount of data tells.
    """
    full = message.encoding == "nv24"
    rows_of_two, width = 6 if full else 3, message.width
    height = message.height
    if len(message.data) < (height * rows_of_two // 2 - 1) * message.step + width and height % rows_of_two == 0:
        height = height * 2 // rows_of_two
    planes = _rows(message, height * rows_of_two // 2, width)
    if not full:
        _check_even(message, "width", "height")
        return to_rgb(planes, _PLANES[message.encoding])
    chroma = np.frombuffer(message.data, np.uint8, offset=height * message.step)
    chroma = np.lib.stride_tricks.as_strided(chroma, (height, 2 * width), (2 * message.step, 1))
    # OpenCV knows no nv24. As uyvy of twice the width each pixel has its own U and V.
    twice = np.stack((chroma[:, 0::2], planes[:height], chroma[:, 1::2], planes[:height]), axis=-1).reshape(
        height, 2 * width, 2
    )
    return np.ascontiguousarray(to_rgb(twice, _PLANES["nv24"])[:, ::2])


def _check_even(message: Image, *sides: str) -> None:
    if any(getattr(message, side) % 2 for side in sides):
        raise InputError(
            f"the {message.encoding} image is {message.width}x{message.height}; pixels share their colours in pairs, so "
            f"{' and '.join(sides)} must be even"
        )


def _rgb_from_cv_bridge(message: Image) -> np.ndarray:
    known = ", ".join((*_BYTES, *_DEEP, *_PLANES))
    try:
        from cv_bridge import CvBridge
    except ImportError:
        raise InputError(
            f'image encoding "{message.encoding}" is not supported; supported: {known}. More with cv_bridge installed'
        ) from None
    try:
        return CvBridge().imgmsg_to_cv2(message, "rgb8")
    except Exception:  # of many kinds, with words of OpenCV that help no user
        raise InputError(
            f'image encoding "{message.encoding}" is not supported; supported: {known}. cv_bridge cannot read it either'
        ) from None
