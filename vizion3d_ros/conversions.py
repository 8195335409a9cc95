# SPDX-License-Identifier: Apache-2.0
"""Messages <-> arrays and cameras."""

from __future__ import annotations

import array
import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch

from vizion3d.bit_depth import Levels
from vizion3d.camera import Calibration, PinholeCamera
from vizion3d.errors import InputError
from vizion3d.options import ValidityLimits
from vizion3d.pointcloud import PointCloud
from vizion3d.stereo import StereoPrediction
from vizion3d.visualize import colorize_depth, colorize_disparity
from vizion3d_ros import compressed_images, encodings
from vizion3d_ros.messages import (
    CameraInfo,
    CompressedImage,
    DisparityImage,
    Header,
    Image,
    PointCloud2,
    PointField,
    Time,
    is_compressed,
)

_RANGE_STEP_PX = 32


def stamp_ns(stamp: Time) -> int:
    """A message stamp in integer nanoseconds."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def image_size_wh(message: Image | CompressedImage) -> tuple[int, int] | None:
    """(width, height) of an image; None if it is compressed and cannot be read."""
    return compressed_images.size_wh(message) if is_compressed(message) else (message.width, message.height)


def raw_pixels(message: Image | CompressedImage) -> encodings.RawPixels:
    """The pixels of an image message, as they are in it.

    Raises:
        InputError: it cannot be read.
    """
    return compressed_images.raw_pixels(message) if is_compressed(message) else encodings.raw_pixels(message)


def rgb_from_images(messages: Sequence[Image | CompressedImage], levels: Levels) -> list[np.ndarray]:
    """Decode the image messages of one moment to (H, W, 3) uint8 RGB. rgb8 is not copied; `step` is honoured.

    Args:
        messages: one image, or a pair, compressed or not.
        levels: brings 16-bit images to 8 bits, all of one moment by the same range.

    Raises:
        InputError: an encoding is not supported, or size, step and amount of data do not fit together.
    """
    raw = [raw_pixels(message) for message in messages]
    pixels = levels.to_8_bit(*(one.values for one in raw))
    return [encodings.to_rgb(image, one.code) for image, one in zip(pixels, raw, strict=True)]


def rgb_from_image(message: Image | CompressedImage, levels: Levels | None = None) -> np.ndarray:
    """Decode one image message as `rgb_from_images` does, by its own levels if there is no stream of them."""
    return rgb_from_images([message], levels or Levels())[0]


def calibration_from_camera_info(info: CameraInfo) -> Calibration:
    """The numbers of a CameraInfo as a value."""
    return Calibration(
        info.width,
        info.height,
        K=tuple(map(float, info.k)),  # of numpy's own a text would say np.float64(...)
        D=tuple(map(float, info.d)),
        R=tuple(map(float, info.r)),
        P=tuple(map(float, info.p)),
        distortion_model=info.distortion_model,
        binning=(info.binning_x, info.binning_y),
        roi=(info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height),
    )


def camera_info(camera: PinholeCamera, header: Header, baseline_m: float = 0.0) -> CameraInfo:
    """CameraInfo of an ideal, rectified camera; `baseline_m` is its distance to the right of the left camera."""
    K = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
    return CameraInfo(
        header=header,
        width=camera.width,
        height=camera.height,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=K,
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[*K[:3], -camera.fx * baseline_m, *K[3:6], 0.0, *K[6:], 0.0],
    )


def camera_info_of_image(info: CameraInfo, image_size: tuple[int, int], header: Header) -> CameraInfo:
    """The CameraInfo of a raw camera for an image of another size, without binning or ROI; the same numbers if it fits.

    Args:
        info: as published with the image.
        image_size: (width, height) of the image.
        header: of the result.
    """
    own = calibration_from_camera_info(info).for_image(image_size)
    return camera_info_from_calibration(dataclasses.replace(own, binning=(0, 0)), header)


def camera_info_from_calibration(calibration: Calibration, header: Header) -> CameraInfo:
    """CameraInfo with the numbers of a calibration; the inverse of `calibration_from_camera_info`."""
    info = CameraInfo(
        header=header,
        width=calibration.width,
        height=calibration.height,
        distortion_model=calibration.distortion_model,
        d=list(calibration.D),
        k=list(calibration.K),
        r=list(calibration.R),
        p=list(calibration.P),
        binning_x=calibration.binning[0],
        binning_y=calibration.binning[1],
    )
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = calibration.roi
    return info


def image_from_array(pixels: np.ndarray, encoding: str, header: Header) -> Image:
    """(H, W) or (H, W, channels) array -> Image without row padding."""
    pixels = np.ascontiguousarray(pixels)
    message = Image(
        header=header,
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=pixels.strides[0],
    )
    message.data = _message_data(pixels)  # the constructor would copy it
    return message


def map_image(values: torch.Tensor, header: Header) -> Image:
    """(H, W) float32 tensor of any device -> 32FC1 Image."""
    return image_from_array(values.cpu().numpy(), "32FC1", header)


def depth_image(depth_m: torch.Tensor, encoding: str, header: Header, beyond: torch.Tensor | None = None) -> Image:
    """(H, W) metres, NaN invalid -> Image as REP 118 has it.

    Args:
        depth_m: the depth map.
        encoding: "32FC1" metres, NaN invalid; or "16UC1" millimetres, 0 invalid, 65535 for everything farther.
        header: of the image that the depth belongs to.
        beyond: (H, W) bool, pixels that become +Inf as REP 117 has it; 16UC1 has no such value, there they stay invalid.
    """
    if encoding == "16UC1":
        millimetres = (depth_m * 1000).round().clamp(1, 65535).nan_to_num(0)
        return image_from_array(millimetres.to(torch.int32).cpu().numpy().astype(np.uint16), encoding, header)
    return map_image(depth_m if beyond is None else depth_m.masked_fill(beyond, torch.inf), header)


def depth_color_image(depth_m: torch.Tensor, range_m: tuple[float, float], header: Header) -> Image:
    """(H, W) metres -> rgb8 Image for people, near red, far blue, dark grey without depth.

    Args:
        depth_m: the depth map, NaN invalid.
        range_m: depths of the first and the last colour.
        header: of the image that the depth belongs to.
    """
    return image_from_array(colorize_depth(depth_m.cpu().numpy(), *range_m), "rgb8", header)


def disparity_color_image(prediction: StereoPrediction, limits: ValidityLimits, header: Header) -> Image:
    """rgb8 Image of the numbers of `disparity_image`: 0 blue, the nearest depth that counts yellow, dark grey invalid."""
    rig = prediction.rig
    nearest_m, _ = prediction.color_range_m(limits)
    corrected = torch.where(prediction.valid(limits), prediction.disparity_px + rig.doffs_px, torch.nan)
    colors = colorize_disparity(corrected.cpu().numpy(), 0.0, rig.left.fx * rig.baseline_m / nearest_m)
    return image_from_array(colors, "rgb8", header)


def map_from_image(message: Image) -> np.ndarray:
    """The (H, W) numbers of a map of ours, float32 or uint8; the inverse of `map_image`.

    Raises:
        InputError: the encoding is neither 32FC1 nor mono8, or size, step and amount of data do not fit together.
    """
    if message.encoding not in ("32FC1", "mono8"):
        raise InputError(f'a map has encoding "{message.encoding}"; it must be 32FC1 or mono8')
    dtype = np.dtype("u1") if message.encoding == "mono8" else np.dtype(">f4" if message.is_bigendian else "<f4")
    return encodings.pixels(message, dtype, 1)


def depth_from_image(message: Image) -> np.ndarray:
    """The (H, W) float32 metres of a depth image as REP 118 has it, NaN invalid, +Inf beyond; the inverse of `depth_image`.

    Raises:
        InputError: the encoding is neither 32FC1 nor 16UC1, or size, step and amount of data do not fit together.
    """
    order = ">" if message.is_bigendian else "<"
    if message.encoding == "32FC1":
        return encodings.pixels(message, np.dtype(order + "f4"), 1)
    if message.encoding != "16UC1":
        raise InputError(f'a depth image has encoding "{message.encoding}"; it must be 32FC1 or 16UC1')
    millimetres = encodings.pixels(message, np.dtype(order + "u2"), 1)
    return np.where(millimetres > 0, millimetres / np.float32(1000), np.float32(np.nan))


def disparity_image(prediction: StereoPrediction, valid: torch.Tensor, header: Header) -> DisparityImage:
    """DisparityImage whose pixels hold d + doffs, so that ``Z = f * t / d`` as the message defines it.

    Pixels that are not valid lie one pixel below `min_disparity`. What takes part in the matching is the whole image, or of
    one that was rectified here the window that the raw image shows; that is `valid_window`.
    """
    rig = prediction.rig
    min_disparity = 0.0  # d + doffs of a point at infinity
    corrected = torch.where(valid, prediction.disparity_px + rig.doffs_px, min_disparity - 1)
    max_disparity = prediction.max_disparity_px
    if max_disparity is None:  # nothing but the image limits it: the range of this frame, in steps, so that colours keep
        max_disparity = float(_RANGE_STEP_PX * max(1, math.ceil(corrected.max().item() / _RANGE_STEP_PX)))
    else:
        max_disparity += rig.doffs_px
    message = DisparityImage(
        header=header,
        image=map_image(corrected, header),
        f=rig.left.fx,
        t=rig.baseline_m,
        min_disparity=min_disparity,
        max_disparity=max_disparity,
        delta_d=prediction.disparity_step_px,
    )
    window = message.valid_window
    window.x_offset, window.y_offset, window.width, window.height = prediction.valid_window or (
        *(0, 0),
        *(rig.left.width, rig.left.height),
    )
    return message


def output_header(image: Header, frame_id: str) -> Header:
    """The header of all outputs: stamp and frame of the image, unless another frame is asked for."""
    stamp = Time(sec=image.stamp.sec, nanosec=image.stamp.nanosec)  # the image may be of another class, out of a recording
    return Header(stamp=stamp, frame_id=frame_id or image.frame_id)


def point_cloud(
    points_opengl: torch.Tensor,
    rgb: np.ndarray,
    header: Header,
    *,
    organized: bool = True,
    decimation: int = 1,
    voxel_m: float = 0.0,
) -> PointCloud2:
    """PointCloud2 in the optical frame with fields x y z rgb.

    Args:
        points_opengl: (H, W, 3) float32 in OpenGL camera space, NaN where there is no point.
        rgb: (H, W, 3) uint8.
        header: of the outputs.
        organized: keep rows and columns, with NaN for missing points; else one row of the valid points only.
        decimation: keep every n-th row and column.
        voxel_m: of what is kept, one point in each cube of this size, see `PointCloud.voxel_means`; 0 is every point.
    """
    every = slice(None, None, decimation)
    if voxel_m:
        kept = PointCloud(points_opengl[every, every].contiguous().cpu().numpy(), rgb[every, every]).voxel_means(voxel_m)
        organized = False
        if len(kept.points):  # else what is there already has none either, and OpenCV takes no empty picture
            points_opengl, rgb, every = torch.from_numpy(kept.points[None]), kept.colors[None], slice(None)
    x, up, backward = points_opengl[every, every].unbind(-1)
    xyz = [plane.cpu().numpy() for plane in (x, up * -1, backward * -1)]  # in the optical frame
    colors = cv2.cvtColor(np.ascontiguousarray(rgb[every, every]), cv2.COLOR_RGB2BGRA).view(np.uint32)[..., 0]
    colors &= 0xFFFFFF
    data, cloud = _empty_message((*colors.shape, 4))
    cv2.merge([*xyz, colors.view(np.float32)], cloud)
    if not organized:
        cloud = cloud[np.isfinite(xyz[2])][None]
        data = _message_data(cloud)
    height, width = cloud.shape[:2]
    message = PointCloud2(
        header=header,
        height=height,
        width=width,
        fields=[
            PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1)
            for index, name in enumerate(("x", "y", "z", "rgb"))
        ],
        is_bigendian=False,
        point_step=16,
        row_step=16 * width,
        is_dense=not organized,
    )
    message.data = data  # the constructor would copy it
    return message


def cloud_from_message(message: PointCloud2) -> PointCloud:
    """The cloud of `point_cloud` in OpenGL axes again, (H, W, 3) or (1, N, 3)."""
    fields = np.dtype([("xyz", "<f4", 3), ("bgr0", "u1", 4)])
    points = np.frombuffer(message.data, fields).reshape(message.height, message.width)
    return PointCloud(points["xyz"] * np.array((1, -1, -1), np.float32), points["bgr0"][..., 2::-1])


def _empty_message(shape: tuple[int, ...]) -> tuple[array.array[int], np.ndarray]:
    """Bytes of a message for float32 of this shape, and the view through which they are written."""
    data = array.array("B", b"\0") * (4 * math.prod(shape))
    return data, np.frombuffer(data, np.float32).reshape(shape)


def _message_data(pixels: np.ndarray) -> Any:
    """The bytes as array.array, the one type that rclpy takes on every distro without looking at each element."""
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(pixels).reshape(-1).view(np.uint8).data)
    return data
