# SPDX-License-Identifier: Apache-2.0
"""What a mono frame is made of and what it becomes, for every door that speaks in messages. No rclpy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch

from vizion3d.bit_depth import Levels
from vizion3d.camera import Calibration, PinholeCamera
from vizion3d.errors import CalibrationError
from vizion3d.lens_rays import check_lens, pinhole_part, pixel_rays, wide_lens_trouble
from vizion3d.lifting import MonoPrediction
from vizion3d_ros import conversions
from vizion3d_ros.compressed_depth import compress_depth
from vizion3d_ros.compressed_images import compress
from vizion3d_ros.messages import CameraInfo, CompressedImage, Image, PointCloud2
from vizion3d_ros.settings import MonoFrameSettings

INPUTS = {"image_raw": Image, "camera_info": CameraInfo}
OUTPUTS = {
    "depth/image_raw": Image,
    "depth/camera_info": CameraInfo,
    "inverse_depth": Image,
    "points2": PointCloud2,
}
VIEWS = {
    "depth/color": Image,
    "depth/color/compressed": CompressedImage,
    "depth/image_raw/compressedDepth": CompressedImage,
}
"""Outputs once more, for people to look at and for thin links: made for who asks for them, by listening or by name."""
# Rays of a full HD camera are 16 MB.
_MAX_CAMERAS = 8


class MonoView(NamedTuple):
    """A picture and what is known of its camera."""

    rgb: np.ndarray
    """(H, W, 3) uint8."""
    image: Image
    """The message it came in."""
    info: CameraInfo | None
    """Its partner, None if there is none."""

    @property
    def size_wh(self) -> tuple[int, int]:
        return self.rgb.shape[1], self.rgb.shape[0]

    def camera(self, settings: MonoFrameSettings) -> PinholeCamera | None:
        """The camera without its distortion, None if it is unknown or not calibrated. Depth flows without one."""
        if self.info is None:
            return None
        try:
            calibration = conversions.calibration_from_camera_info(self.info)
            return pinhole_part(calibration, self.size_wh, rectified=settings.rectified)
        except CalibrationError:  # which `trouble` tells
            return None

    def trouble(self, settings: MonoFrameSettings) -> str:
        """Why the numbers of the camera cannot be used, so that only depth can be had; "" if they can."""
        if self.info is None:
            return "there is no CameraInfo"
        try:
            calibration = conversions.calibration_from_camera_info(self.info)
            check_lens(calibration, self.size_wh, rectified=settings.rectified)
        except CalibrationError as error:
            return str(error)
        return ""

    def wide_lens(self, settings: MonoFrameSettings) -> str:
        """What the lens does to metres that are taken from the focal length of this camera; "" if nothing much."""
        if self.info is None or settings.rectified or self.trouble(settings):
            return ""
        return wide_lens_trouble(conversions.calibration_from_camera_info(self.info), self.size_wh)


def decode(messages: Sequence[Any], levels: Levels | None = None) -> MonoView:
    """One message of each of `INPUTS` as a view; that of the camera may be None.

    Args:
        messages: in the order of `INPUTS`.
        levels: of the stream, which bring images of more than 8 bits to 8; None goes by these ones alone.

    Raises:
        InputError: the image cannot be read.
    """
    image, info = messages
    return MonoView(conversions.rgb_from_image(image, levels), image, info)


def outputs(prediction: MonoPrediction, view: MonoView, settings: MonoFrameSettings) -> dict[str, Callable[[], Any]]:
    """What a view becomes: a function for each topic that makes its message, to be called if somebody wants it.

    Without a CameraInfo that can be used (`MonoView.trouble`) there is no depth/camera_info and no points2.
    """
    header = conversions.output_header(view.image.header, settings.frame_id)
    depth = cache(
        lambda: conversions.depth_image(
            prediction.depth_m, settings.depth_encoding, header, prediction.beyond if settings.beyond == "inf" else None
        )
    )
    depth_color = cache(lambda: conversions.depth_color_image(prediction.depth_m, prediction.color_range_m, header))
    makers: dict[str, Callable[[], Any]] = {
        "depth/image_raw": depth,
        "inverse_depth": lambda: conversions.map_image(prediction.inverse_depth, header),
        "depth/color": depth_color,
        "depth/color/compressed": lambda: compress(depth_color(), "jpeg"),
        "depth/image_raw/compressedDepth": lambda: compress_depth(depth()),
    }
    if (info := view.info) is not None and not view.trouble(settings):
        makers["depth/camera_info"] = lambda: conversions.camera_info_of_image(info, view.size_wh, header)
        makers["points2"] = lambda: conversions.point_cloud(
            prediction.points(
                _rays(
                    conversions.calibration_from_camera_info(info),
                    view.size_wh,
                    settings.rectified,
                    prediction.output.device,
                )
            ),
            view.rgb,
            header,
            organized=settings.cloud_organized,
            decimation=settings.cloud_decimation,
            voxel_m=settings.cloud_voxel,
        )
    return makers


@lru_cache(maxsize=_MAX_CAMERAS)
def _rays(calibration: Calibration, size_wh: tuple[int, int], rectified: bool, device: torch.device) -> torch.Tensor:
    """(H, W, 2) float32 rays of a camera, computed once."""
    return torch.from_numpy(pixel_rays(calibration, size_wh, rectified=rectified).astype(np.float32)).to(device)
