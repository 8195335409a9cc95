# SPDX-License-Identifier: Apache-2.0
"""stereo_depth_node: a rectified pair with CameraInfo in; depth, disparity, point cloud and confidence out."""

from __future__ import annotations

import sys
from typing import Any

import torch
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from stereo_msgs.msg import DisparityImage

from vizion3d import geometry
from vizion3d.camera import StereoRig
from vizion3d.stereo import StereoDepthEstimator
from vizion3d.stereo.estimator import ValidityLimits
from vizion3d_ros import conversions
from vizion3d_ros.node import DepthNode, run
from vizion3d_ros.settings import StereoSettings

INPUTS = {
    "left/image_rect": Image,
    "left/camera_info": CameraInfo,
    "right/image_rect": Image,
    "right/camera_info": CameraInfo,
}
OUTPUTS = {
    "depth/image_rect": Image,
    "depth/camera_info": CameraInfo,
    "disparity": DisparityImage,
    "points2": PointCloud2,
    "confidence": Image,
}


class StereoDepthNode(DepthNode[StereoSettings]):
    """Metric depth from two rectified cameras. Topics are in `INPUTS` and `OUTPUTS`, parameters in `StereoSettings`."""

    def __init__(self) -> None:
        super().__init__("stereo_depth_node", StereoSettings, INPUTS, OUTPUTS)
        self._estimator = StereoDepthEstimator(self.settings.model, self.settings.device)

    def describe(self) -> str:
        """See `DepthNode.describe`."""
        return f"{self.settings.model} on {self._estimator.matcher.device}"

    def process(self, frame: tuple[Any, ...]) -> None:
        """See `DepthNode.process`."""
        left_image, left_info, right_image, right_info = frame
        settings = self.settings
        with self.statistics.stage("decode"):
            left, right = (conversions.rgb_from_image(image) for image in (left_image, right_image))
            rig = StereoRig.from_calibrations(
                conversions.calibration_from_camera_info(left_info),
                conversions.calibration_from_camera_info(right_info),
                image_size=(left.shape[1], left.shape[0]),
            )
        with self.statistics.stage("estimate"):
            prediction = self._estimator.estimate(left, right, rig)
        header = self.output_header(left_image.header)
        with self.statistics.stage("publish"), torch.inference_mode():
            limits = ValidityLimits(settings.z_far, settings.conf_threshold, settings.occ_threshold)
            valid = prediction.valid(limits)
            depth_m = torch.where(valid, prediction.depth_m, torch.nan)
            self.publish("depth/image_rect", lambda: conversions.depth_image(depth_m, settings.depth_encoding, header))
            self.publish("depth/camera_info", lambda: conversions.camera_info(rig.left, header))
            self.publish("disparity", lambda: conversions.disparity_image(prediction, valid, header))
            self.publish("points2", lambda: self.cloud_message(geometry.unproject(depth_m, rig.left), left, header))
            self.publish(
                "confidence",
                lambda: conversions.image_from_array(prediction.confidence.cpu().numpy(), "32FC1", header),
            )


def main(args: list[str] | None = None) -> int:
    """Console script stereo_depth_node."""
    return run(StereoDepthNode, args)


if __name__ == "__main__":
    sys.exit(main())
