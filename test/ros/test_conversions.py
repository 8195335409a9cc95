# SPDX-License-Identifier: Apache-2.0
"""Images in every encoding, padding and byte order; messages whose bytes say what they should."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("rclpy", reason="rclpy is not installed")

from ros_harness import make_header
from sensor_msgs.msg import CameraInfo, Image

from vizion3d.bit_depth import Levels
from vizion3d.errors import CalibrationError, InputError
from vizion3d.lens_rays import pixel_rays
from vizion3d.options import ImageOptions
from vizion3d_ros import encodings
from vizion3d_ros.conversions import (
    calibration_from_camera_info,
    image_from_array,
    map_image,
    point_cloud,
    rgb_from_image,
    rgb_from_images,
)

HEADER = make_header(0)
RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
GREY = RGB[..., 0]


def padded(message: Image, padding: int) -> Image:
    """The same image with rows that end in rubbish."""
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=99)
    result = image_from_array(rows, message.encoding, HEADER)
    result.width, result.is_bigendian = message.width, message.is_bigendian
    return result


ENCODED = {
    "rgb8": RGB,
    "bgr8": RGB[..., ::-1],
    "8UC3": RGB[..., ::-1],
    "rgba8": np.dstack((RGB, GREY)),
    "bgra8": np.dstack((RGB[..., ::-1], GREY)),
    "rgb16": RGB.astype(np.uint16) << 8 | 7,
    "bgr16": RGB[..., ::-1].astype(np.uint16) << 8 | 7,
    "rgba16": np.dstack((RGB, GREY)).astype(np.uint16) << 8 | 7,
    "bgra16": np.dstack((RGB[..., ::-1], GREY)).astype(np.uint16) << 8 | 7,
    "16UC3": RGB[..., ::-1].astype(np.uint16) << 8 | 7,
    "16UC4": np.dstack((RGB[..., ::-1], GREY)).astype(np.uint16) << 8 | 7,
}


@pytest.mark.parametrize("padding", [0, 1, 5])
@pytest.mark.parametrize("encoding", ENCODED)
def test_colour_encodings(encoding, padding):
    message = padded(image_from_array(ENCODED[encoding], encoding, HEADER), padding)
    np.testing.assert_array_equal(rgb_from_image(message), RGB)


@pytest.mark.parametrize("encoding", ["mono8", "8UC1", "mono16", "16UC1"])
def test_grey_becomes_three_equal_channels(encoding):
    pixels = GREY if "8" in encoding else GREY.astype(np.uint16) << 8
    rgb = rgb_from_image(padded(image_from_array(pixels, encoding, HEADER), 3))
    np.testing.assert_array_equal(rgb, np.repeat(GREY[..., None], 3, axis=2))


def test_byte_order_matters_for_words_and_not_for_bytes():
    words = GREY.astype(">u2") << 8
    message = image_from_array(words.astype(">u2"), "mono16", HEADER)
    message.is_bigendian = 1
    np.testing.assert_array_equal(rgb_from_image(message)[..., 0], GREY)
    message = image_from_array(RGB, "rgb8", HEADER)
    message.is_bigendian = 1  # some drivers set it for byte images
    np.testing.assert_array_equal(rgb_from_image(message), RGB)


@pytest.mark.parametrize("encoding", ["mono16", "16UC1", "rgb16", "bgr16", "bayer_rggb16", "bayer_grbg16"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_fewer_bits_in_16_are_as_good_as_8(encoding, bits):
    pixels = RGB if encoding in ("rgb16", "bgr16") else GREY
    shallow = image_from_array(pixels, encoding.replace("16UC1", "8UC1").replace("16", "8"), HEADER)
    deep = image_from_array(pixels.astype(np.uint16) << (bits - 8), encoding, HEADER)
    np.testing.assert_array_equal(rgb_from_image(deep), rgb_from_image(shallow))


def test_a_pair_of_messages_shares_its_range_and_a_stream_keeps_it():
    bright, dark = (image_from_array(GREY.astype(np.uint16) << shift, "mono16", HEADER) for shift in (4, 2))
    levels = Levels()
    left, right = rgb_from_images([dark, bright], levels)
    np.testing.assert_array_equal((left[..., 0], right[..., 0]), (GREY >> 2, GREY))
    np.testing.assert_array_equal(rgb_from_image(dark, levels)[..., 0], GREY >> 2)
    np.testing.assert_array_equal(rgb_from_image(dark)[..., 0], GREY)
    left, right = rgb_from_images([image_from_array(GREY, "mono8", HEADER), bright], Levels(ImageOptions(16)))
    np.testing.assert_array_equal((left[..., 0], right[..., 0]), (GREY, GREY >> 4))


# Colours of the top left 2x2 pixels of each pattern, row by row.
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("bits", [8, 16])
def test_bayer_patterns_keep_the_colour_of_a_flat_picture(pattern, bits):
    colour = {"r": 200, "g": 120, "b": 40}
    tile = np.array([[colour[pattern[0]], colour[pattern[1]]], [colour[pattern[2]], colour[pattern[3]]]])
    mosaic = np.tile(tile, (4, 5)).astype(np.uint8 if bits == 8 else np.uint16) << (bits - 8)
    rgb = rgb_from_image(image_from_array(mosaic.astype(f"u{bits // 8}"), f"bayer_{pattern}{bits}", HEADER))
    np.testing.assert_array_equal(rgb[2:-2, 2:-2].reshape(-1, 3), np.tile([200, 120, 40], (4 * 6, 1)))


@pytest.mark.parametrize(
    ("encoding", "order"), [("uyvy", "uyvy"), ("yuv422", "uyvy"), ("yuyv", "yuyv"), ("yuv422_yuy2", "yuyv")]
)
def test_yuv422_of_a_flat_picture(encoding, order):
    r, g, b = 200, 120, 40
    y = round(16 + 0.257 * r + 0.504 * g + 0.098 * b)  # ITU-R BT.601, narrow range
    u = round(128 - 0.148 * r - 0.291 * g + 0.439 * b)
    v = round(128 + 0.439 * r - 0.368 * g - 0.071 * b)
    pair = {"uyvy": [u, y, v, y], "yuyv": [y, u, y, v]}[order]
    packed = np.tile(np.uint8(pair), (4, 4)).reshape(4, 8, 2)
    rgb = rgb_from_image(image_from_array(packed, encoding, HEADER))
    assert rgb.shape == (4, 8, 3)
    assert np.abs(rgb.astype(int) - [r, g, b]).max() <= 3


def yuv(rgb: np.ndarray) -> tuple[np.ndarray, ...]:
    """(..., 3) -> Y, U, V by ITU-R BT.601, narrow range."""
    r, g, b = np.moveaxis(rgb.astype(float), -1, 0)
    y, u, v = (
        16 + 0.257 * r + 0.504 * g + 0.098 * b,
        128 - 0.148 * r - 0.291 * g + 0.439 * b,
        128 + 0.439 * r - 0.368 * g - 0.071 * b,
    )
    return tuple(plane.round().astype(np.uint8) for plane in (y, u, v))


def planar(encoding: str, picture: np.ndarray, padding: int, counts_both_planes: bool) -> Image:
    """An image in two planes: Y, then U and V in turns."""
    height, width = picture.shape[:2]
    y, u, v = yuv(picture)
    step = width + padding
    if encoding == "nv24":
        chroma = np.dstack((u, v)).reshape(height, 2 * width)
    else:
        chroma = np.dstack((u, v) if encoding == "nv12" else (v, u))[::2, ::2].reshape(height // 2, width)
    pitch = 2 * step if encoding == "nv24" else step
    planes = [np.pad(p, ((0, 0), (0, n - p.shape[1])), constant_values=99).ravel() for p, n in ((y, step), (chroma, pitch))]
    message = image_from_array(np.concatenate(planes)[None], encoding, HEADER)
    message.width, message.step = width, step
    message.height = len(message.data) // step if counts_both_planes else height
    return message


@pytest.mark.parametrize("counts_both_planes", [False, True])
@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize("encoding", ["nv12", "nv21", "nv24"])
def test_colours_in_a_plane_of_their_own(encoding, padding, counts_both_planes):
    picture = np.repeat(np.repeat(RGB // 2 + 64, 2, axis=0), 2, axis=1)  # of one colour each 2x2 pixels
    rgb = rgb_from_image(planar(encoding, picture, padding, counts_both_planes))
    assert rgb.shape == picture.shape and rgb.flags.c_contiguous
    assert np.abs(rgb.astype(int) - picture).max() <= 4


@pytest.mark.parametrize(
    ("encoding", "size", "text"),
    [
        ("uyvy", (4, 5), "the uyvy image is 5x4; pixels share their colours in pairs, so width must be even"),
        ("yuyv", (4, 5), "the yuyv image is 5x4"),
        ("nv12", (5, 6), "the nv12 image is 6x5; pixels share their colours in pairs, so width and height must be even"),
        ("nv21", (4, 5), "the nv21 image is 5x4"),
    ],
)
def test_sizes_that_an_encoding_cannot_have_are_told_in_our_words(encoding, size, text):
    message = image_from_array(np.zeros((*size, 3), np.uint8), encoding, HEADER)
    message.step = size[1] * 2
    with pytest.raises(InputError, match=text):
        rgb_from_image(message)


@pytest.mark.parametrize("height", [1, 2, 3])
@pytest.mark.parametrize("width", [1, 2, 3])
def test_no_size_and_encoding_brings_words_of_opencv(width, height):
    for encoding in (*encodings._BYTES, *encodings._DEEP, *encodings._PLANES):
        message = image_from_array(np.zeros((height, width * 16), np.uint8), encoding, HEADER)
        message.width = width
        try:
            assert rgb_from_image(message).shape == (height, width, 3)
        except InputError as error:
            assert "OpenCV(" not in str(error) and "error:" not in str(error)


def test_floats_of_a_colour_picture_are_taken_and_a_map_of_distances_is_not():
    pixels = (RGB[..., ::-1] / 255).astype(np.float32)
    assert np.abs(rgb_from_image(image_from_array(pixels, "32FC3", HEADER)).astype(int) - RGB).max() <= 1
    with pytest.raises(InputError, match="if these are disparities or depths, they are no picture"):
        rgb_from_image(image_from_array(pixels * 9, "32FC3", HEADER))


def test_rgb8_is_not_copied():
    message = image_from_array(RGB, "rgb8", HEADER)
    assert np.shares_memory(rgb_from_image(message), np.frombuffer(message.data, np.uint8))


def test_refusals():
    message = image_from_array(RGB, "rgb8", HEADER)
    message.step = 10
    with pytest.raises(InputError, match=r"step 10 .* needs a step of at least 24"):
        rgb_from_image(message)
    with pytest.raises(InputError, match=r'"32FC1" is not supported; supported: rgb8, .*bayer_rggb8'):
        rgb_from_image(image_from_array(np.zeros((4, 4), np.float32), "32FC1", HEADER))


def test_camera_info_numbers():
    info = CameraInfo(width=640, height=480, binning_x=2, distortion_model="plumb_bob", d=[0.1, 0.2, 0.0, 0.0, 0.3])
    info.p[0], info.roi.x_offset, info.roi.width = 500.0, 8, 320
    calibration = calibration_from_camera_info(info)
    assert (calibration.width, calibration.height, calibration.binning) == (640, 480, (2, 0))
    assert calibration.P[0] == 500.0 and calibration.D == (0.1, 0.2, 0.0, 0.0, 0.3)
    assert calibration.roi == (8, 0, 320, 0)


def test_no_type_of_numpy_in_a_text():
    info = CameraInfo(width=640, height=480, distortion_model="plumb_bob", d=[float("nan")] * 5)
    info.k[0] = info.p[0] = float("nan")
    calibration = calibration_from_camera_info(info)
    for rectified in (False, True):
        with pytest.raises(CalibrationError, match=r"is \[nan, 0\.0, ") as told:
            pixel_rays(calibration, rectified=rectified)
        assert "np." not in str(told.value)


def plain_cloud(points_opengl: torch.Tensor, rgb: np.ndarray) -> bytes:
    """x, y, z of the optical frame and the colour of each point, one after the other."""
    records = np.zeros(rgb.shape[:2], [("xyz", "<f4", 3), ("rgb", "<u4")])
    records["xyz"] = points_opengl.numpy() * np.float32([1, -1, -1])
    records["rgb"] = rgb.astype(np.uint32) @ np.uint32([1 << 16, 1 << 8, 1])
    return records.tobytes()


NUISANCES = (np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45, 3e38)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (30, 1), (37, 53)])
@pytest.mark.parametrize("decimation", [1, 2, 3])
@pytest.mark.parametrize("by_coordinate", [False, True])
def test_every_byte_of_a_cloud(size, decimation, by_coordinate):
    rng = np.random.default_rng(0)
    values = np.where(rng.random((*size, 3)) < 0.5, rng.choice(NUISANCES, (*size, 3)), rng.normal(size=(*size, 3)))
    points = torch.from_numpy(values.astype(np.float32))
    if by_coordinate:  # as those of a prediction lie in memory
        points = points.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    rgb = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    before = points.numpy().tobytes()
    every = slice(None, None, decimation)
    organized = point_cloud(points, rgb, HEADER, decimation=decimation)
    assert organized.data.tobytes() == plain_cloud(points[every, every], rgb[every, every])
    listed = point_cloud(points, rgb, HEADER, organized=False, decimation=decimation)
    there = np.isfinite(points[every, every, 2].numpy())
    assert listed.data.tobytes() == plain_cloud(points[every, every][there][None], rgb[every, every][there][None])
    assert (listed.height, listed.width, listed.row_step) == (1, there.sum(), 16 * there.sum())
    assert points.numpy().tobytes() == before


def test_messages_own_their_bytes():
    values, rgb = torch.rand(4, 5), RGB[:4, :5].copy()
    points = torch.rand(4, 5, 3)
    messages = [map_image(values, HEADER), image_from_array(rgb, "rgb8", HEADER), point_cloud(points, rgb, HEADER)]
    before = [message.data.tobytes() for message in messages]
    values.zero_(), rgb.fill(0), points.zero_()
    assert [message.data.tobytes() for message in messages] == before
