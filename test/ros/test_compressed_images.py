# SPDX-License-Identifier: Apache-2.0
"""CompressedImage as image_transport sends it becomes the pixels that were compressed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

pytest.importorskip("sensor_msgs", reason="sensor_msgs is not installed")

from sensor_msgs.msg import CompressedImage, Image

from vizion3d.errors import InputError
from vizion3d_ros import compressed_images, conversions

RNG = np.random.default_rng(0)
RGB = cv2.GaussianBlur(RNG.integers(0, 255, (48, 64, 3), dtype=np.uint8), (0, 0), 3)


def compressed(pixels: np.ndarray, encoding: str, kind: str = "png", target: str = "") -> CompressedImage:
    data = cv2.imencode(f".{kind}", pixels)[1].tobytes()
    return CompressedImage(format=f"{encoding}; {kind} compressed {target}", data=data)


def test_png_is_exact():
    assert (conversions.rgb_from_image(compressed(RGB[..., ::-1], "rgb8", target="bgr8")) == RGB).all()
    grey = RGB[..., 0]
    assert (conversions.rgb_from_image(compressed(grey, "mono8")) == grey[..., None]).all()
    four = np.dstack((RGB[..., ::-1], np.full(RGB.shape[:2], 128, np.uint8)))
    assert (conversions.rgb_from_image(compressed(four, "bgra8", target="bgra8")) == RGB).all()


def test_jpeg_is_near():
    for message in (compressed(RGB[..., ::-1], "rgb8", "jpeg", "bgr8"), compressed(RGB[..., ::-1], "", "jpg")):
        assert np.abs(conversions.rgb_from_image(message).astype(int) - RGB).mean() < 6


@pytest.mark.parametrize("encoding", ["bayer_rggb", "bayer_gbrg", "bayer_bggr", "bayer_grbg"])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_mosaic_and_deep_images_are_as_the_raw_ones(encoding, bits):
    mosaic = (RGB[..., 0].astype(np.uint16) * (1 if bits == 8 else 257)).astype(f"u{bits // 8}")
    raw = Image(
        height=48, width=64, encoding=f"{encoding}{bits}", step=64 * bits // 8, data=mosaic.astype(f"<u{bits // 8}").tobytes()
    )
    np.testing.assert_array_equal(conversions.rgb_from_image(compressed(mosaic, raw.encoding)), conversions.rgb_from_image(raw))


def test_the_size_is_known_without_decoding():
    assert conversions.image_size_wh(compressed(RGB, "rgb8")) == (64, 48)
    assert conversions.image_size_wh(compressed(RGB, "rgb8", "jpeg")) == (64, 48)
    assert conversions.image_size_wh(CompressedImage(format="jpeg", data=b"nothing")) is None


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (CompressedImage(format="16UC1; compressedDepth png", data=b"12"), "a depth image"),
        (CompressedImage(format="jpeg", data=b""), 'format "jpeg" and 0 bytes cannot be read'),
        (CompressedImage(format="jpeg", data=b"no picture"), 'format "jpeg" and 10 bytes cannot be read'),
        (CompressedImage(format="h264", data=b"\0\0\0\1gxyz"), 'format "h264" and 8 bytes cannot be read'),
    ],
)
def test_what_is_no_picture_is_named(message, text):
    with pytest.raises(InputError, match=text):
        conversions.rgb_from_image(message)


@pytest.mark.parametrize("encoding", ["mono8", "rgb8", "bgra8", "bayer_gbrg8", "yuyv", "nv12", "mono16", "bayer_rggb16"])
def test_what_is_compressed_here_is_read_as_the_raw_image(encoding):
    bytes_a_pixel = {"rgb8": 3, "bgra8": 4, "yuyv": 2, "mono16": 2, "bayer_rggb16": 2}.get(encoding, 1)
    rows = 72 if encoding == "nv12" else 48
    data = RNG.integers(0, 256, rows * 64 * bytes_a_pixel, dtype=np.uint8).tobytes()
    raw = Image(height=48, width=64, encoding=encoding, step=64 * bytes_a_pixel, data=data)
    raw.header.frame_id = "optical"
    made = compressed_images.compress(raw, "png")
    assert made.header == raw.header
    np.testing.assert_array_equal(conversions.rgb_from_image(made), conversions.rgb_from_image(raw))


def test_deep_images_are_no_jpeg():
    deep = Image(height=2, width=2, encoding="mono16", step=4, data=bytes(8))
    with pytest.raises(InputError, match="more than 8 bits, which JPEG cannot hold; use png"):
        compressed_images.compress(deep, "jpeg")
