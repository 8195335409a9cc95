# SPDX-License-Identifier: Apache-2.0
"""What a stereo frame is made of and what it becomes, for every door that speaks in messages. No rclpy."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from vizion3d.bit_depth import Levels
from vizion3d.camera import StereoRig
from vizion3d.rectify import Rectifier, Shown
from vizion3d.stereo import StereoPrediction
from vizion3d.stereo.findings import Finding
from vizion3d.stereo.matchers import StereoMatcher, sigma_of_confidence
from vizion3d.stereo.pair_check import PairCheck, check_pair
from vizion3d_ros import conversions
from vizion3d_ros.compressed_depth import compress_depth
from vizion3d_ros.compressed_images import compress
from vizion3d_ros.messages import CameraInfo, CompressedImage, DisparityImage, Header, Image, PointCloud2
from vizion3d_ros.settings import StereoFrameSettings

INPUTS = {
    "left/image_rect": Image,
    "left/camera_info": CameraInfo,
    "right/image_rect": Image,
    "right/camera_info": CameraInfo,
}
RAW_INPUTS = {topic.replace("image_rect", "image_raw"): kind for topic, kind in INPUTS.items()}
OUTPUTS = {
    "depth/image_rect": Image,
    "depth/camera_info": CameraInfo,
    "disparity": DisparityImage,
    "points2": PointCloud2,
    "confidence": Image,
    "occlusion": Image,
    "reason": Image,
    "depth/sigma": Image,
}
VIEWS = {
    "depth/color": Image,
    "disparity/color": Image,
    "depth/color/compressed": CompressedImage,
    "disparity/color/compressed": CompressedImage,
    "depth/image_rect/compressedDepth": CompressedImage,
}
"""Outputs once more, for people to look at and for thin links: made for who asks for them, by listening or by name."""


class StereoPair(NamedTuple):
    """A rectified pair."""

    left: np.ndarray
    """(H, W, 3) uint8 RGB."""
    right: np.ndarray
    """The same."""
    rig: StereoRig
    """Of these images."""
    header: Header
    """Of the left image."""
    shown: Shown | None = None
    """Which pixels the raw images show; None is all."""


def inputs(settings: StereoFrameSettings) -> dict[str, type]:
    """The topics that a frame is made of."""
    return RAW_INPUTS if settings.rectify else INPUTS


def topics(matcher: StereoMatcher) -> dict[str, type]:
    """Those of `OUTPUTS` that there will be with this matcher; `VIEWS` there are with every one."""
    return {topic: kind for topic, kind in OUTPUTS.items() if topic not in absent(matcher)}


def absent(matcher: StereoMatcher) -> dict[str, str]:
    """Those of `OUTPUTS` that there cannot be with this matcher, and why."""
    reasons = {
        "confidence": not matcher.has_confidence and f"{matcher.name} gives no confidence",
        "occlusion": not matcher.has_visibility and f"{matcher.name} gives no visibility",
        "depth/sigma": not sigma_of_confidence(matcher)
        and f"how far off {matcher.name} is at which confidence has not been measured; it has for sgbm",
    }
    return {topic: why for topic, why in reasons.items() if why}


def decode(messages: Sequence[Any], levels: Levels | None = None, *, rectify: bool = False) -> StereoPair:
    """One message of each of `INPUTS` or `RAW_INPUTS` as a pair.

    Args:
        messages: in that order.
        levels: of the stream, which bring images of more than 8 bits to 8; None goes by these ones alone.
        rectify: the images are raw.

    Raises:
        InputError: an image cannot be read.
        CalibrationError: the two CameraInfo describe no rig.
    """
    left_image, left_info, right_image, right_info = messages
    left, right = conversions.rgb_from_images((left_image, right_image), levels or Levels())
    cameras = conversions.calibration_from_camera_info(left_info), conversions.calibration_from_camera_info(right_info)
    size_wh = left.shape[1], left.shape[0]
    if not rectify:
        return StereoPair(left, right, StereoRig.from_calibrations(*cameras, size_wh), left_image.header)
    left, right, rig, shown = Rectifier.from_calibrations(*cameras, size_wh)(left, right)
    return StereoPair(left, right, rig, left_image.header, shown)


def outputs(prediction: StereoPrediction, pair: StereoPair, settings: StereoFrameSettings) -> dict[str, Callable[[], Any]]:
    """What a pair becomes: a function for each topic that makes its message, to be called if somebody wants it."""
    header = conversions.output_header(pair.header, settings.frame_id)
    depth = cache(
        lambda: conversions.depth_image(
            prediction.masked_depth(settings),
            settings.depth_encoding,
            header,
            prediction.beyond(settings) if settings.beyond == "inf" else None,
        )
    )
    depth_color = cache(
        lambda: conversions.depth_color_image(prediction.masked_depth(settings), prediction.color_range_m(settings), header)
    )
    disparity_color = cache(lambda: conversions.disparity_color_image(prediction, settings, header))
    makers: dict[str, Callable[[], Any]] = {
        "depth/image_rect": depth,
        "depth/camera_info": lambda: conversions.camera_info(pair.rig.left, header),
        "disparity": lambda: conversions.disparity_image(prediction, prediction.valid(settings), header),
        "points2": lambda: conversions.point_cloud(
            prediction.points(settings, edge_filter=settings.cloud_edge_filter),
            pair.left,
            header,
            organized=settings.cloud_organized,
            decimation=settings.cloud_decimation,
            voxel_m=settings.cloud_voxel,
        ),
        "reason": lambda: conversions.image_from_array(prediction.reason(settings).cpu().numpy(), "mono8", header),
        "depth/color": depth_color,
        "disparity/color": disparity_color,
        "depth/color/compressed": lambda: compress(depth_color(), "jpeg"),
        "disparity/color/compressed": lambda: compress(disparity_color(), "jpeg"),
        "depth/image_rect/compressedDepth": lambda: compress_depth(depth()),
    }
    if prediction.sigma_of_confidence:
        makers["depth/sigma"] = lambda: conversions.map_image(prediction.sigma_m(settings), header)
    if (confidence := prediction.confidence) is not None:
        makers["confidence"] = lambda: conversions.map_image(confidence, header)
    if (visibility := prediction.visibility) is not None:
        makers["occlusion"] = lambda: conversions.map_image(visibility, header)
    return makers


def check(
    messages: Sequence[Any],
    pair: StereoPair,
    prediction: StereoPrediction,
    settings: StereoFrameSettings,
    rectify_by: str = "set rectify:=true",
) -> PairCheck:
    """The pair check of a frame, with what only messages tell; `rectify_by` is how this door rectifies raw images."""
    left_image, left_info, right_image, right_info = messages
    left, right = (conversions.calibration_from_camera_info(info) for info in (left_info, right_info))
    found = check_pair(
        pair.left,
        pair.right,
        pair.rig,
        prediction=prediction,
        limits=settings,
        calibrations=(left, right),
        rectify_by=None if settings.rectify else rectify_by,
    )
    frames = _check_frames(left_image, left_info, "left"), _check_frames(right_image, right_info, "right")
    return dataclasses.replace(found, findings=(*found.findings, *frames))


def _check_frames(image: Any, info: Any, side: str) -> Finding:
    """An image and its CameraInfo are of one camera."""
    image_frame, info_frame = image.header.frame_id, info.header.frame_id
    what = f"{side} frame_id"
    if image_frame == info_frame:
        return Finding("ok", what, f'"{image_frame}"')
    return Finding(
        "warning",
        what,
        f'the image is in "{image_frame}" and its camera_info in "{info_frame}"',
        "check that both are of one camera, and give the driver one frame_id; outputs are in that of the left image",
    )
