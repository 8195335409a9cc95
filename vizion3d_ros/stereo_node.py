# SPDX-License-Identifier: Apache-2.0
"""stereo_depth_node: a rectified pair with CameraInfo in; depth, disparity, point cloud, confidence and visibility out."""

from __future__ import annotations

if __name__ == "__main__":  # before the slow imports, for Ctrl-C to be quiet during them
    from vizion3d_ros import program

    program.stereo_depth_node()

import math
import time
from typing import Any

import numpy as np
import torch
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from stereo_msgs.msg import DisparityImage

from vizion3d.camera import StereoRig
from vizion3d.errors import WeightsError
from vizion3d.stereo import StereoDepthEstimator
from vizion3d.stereo.rectification import RectificationReport, vertical_offset
from vizion3d_ros import conversions
from vizion3d_ros.node import DepthNode
from vizion3d_ros.program import run
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
    "occlusion": Image,
}
_MAX_ROW_OFFSET_PX = 1.5


class StereoDepthNode(DepthNode[StereoSettings]):
    """Metric depth from two rectified cameras. Topics are in `INPUTS` and `OUTPUTS`, parameters in `StereoSettings`."""

    def __init__(self) -> None:
        super().__init__("stereo_depth_node", StereoSettings, INPUTS, OUTPUTS)
        settings = self.settings
        try:
            self._estimator = StereoDepthEstimator.open(settings.model, settings)
        except WeightsError as error:
            raise WeightsError(f"{error}\n  or do without:      model:=sgbm needs no weights") from None
        self._rows = RectificationReport(matches=0)
        self._rows_checked_s = -math.inf
        self._estimator.warm_up()
        self.start()

    def describe(self) -> str:
        """See `DepthNode.describe`."""
        return self._estimator.describe()

    def diagnostic_values(self) -> dict[str, Any]:
        """See `DepthNode.diagnostic_values`."""
        return {"vertical offset of right against left (px)": f"{self._rows.offset_px:.2f}" if self._rows.enough else "unknown"}

    def release(self) -> None:
        """See `DepthNode.release`."""
        vars(self).pop("_estimator", None)  # not there if it could not be loaded
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()

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
            prediction = self._estimator.estimate(left, right, rig, **settings.matching())
        header = self.output_header(left_image.header)
        with self.statistics.stage("publish"), torch.inference_mode():
            valid = prediction.valid(settings)
            depth_m = prediction.masked_depth(settings)
            self.publish("depth/image_rect", lambda: conversions.depth_image(depth_m, settings.depth_encoding, header))
            self.publish("depth/camera_info", lambda: conversions.camera_info(rig.left, header))
            self.publish("disparity", lambda: conversions.disparity_image(prediction, valid, header))
            self.publish(
                "points2",
                lambda: self.cloud_message(prediction.points(settings, edge_filter=settings.cloud_edge_filter), left, header),
            )
            if (confidence := prediction.confidence) is not None:
                self.publish("confidence", lambda: conversions.map_image(confidence, header))
            if (visibility := prediction.visibility) is not None:
                self.publish("occlusion", lambda: conversions.map_image(visibility, header))
        self._check_rows(left, right)

    def _check_rows(self, left: np.ndarray, right: np.ndarray) -> None:
        """Now and then, see whether the rows are aligned; matching fails quietly where they are not."""
        period_s = self.settings.rectification_check_period
        if not period_s or time.monotonic() - self._rows_checked_s < period_s:
            return
        self._rows_checked_s = time.monotonic()
        self._rows = vertical_offset(left, right)
        if self._rows.enough and abs(self._rows.offset_px) > _MAX_ROW_OFFSET_PX:
            self.warn(
                "rows",
                f"right is {self._rows.offset_px:+.1f} rows off left, which spoils depth: calibrate the pair again, and "
                "check that camera_info and images belong together",
            )


def main(args: list[str] | None = None) -> int:
    """Console script stereo_depth_node."""
    return run(StereoDepthNode, args)
