# SPDX-License-Identifier: Apache-2.0
"""mono_depth_node: one image in; depth, inverse depth and point cloud out. Metric only with a metric checkpoint."""

from __future__ import annotations

if __name__ == "__main__":  # before the slow imports, for Ctrl-C to be quiet during them
    from vizion3d_ros import program

    program.mono_depth_node()

from typing import Any

import numpy as np
import torch
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from vizion3d import geometry
from vizion3d.camera import Calibration
from vizion3d.lifting import MonoDepthEstimator
from vizion3d.rays import pixel_rays
from vizion3d_ros import conversions
from vizion3d_ros.node import DepthNode
from vizion3d_ros.program import run
from vizion3d_ros.settings import MonoSettings

INPUTS = {"image_raw": Image, "camera_info": CameraInfo}
OUTPUTS = {
    "depth/image_raw": Image,
    "depth/camera_info": CameraInfo,
    "inverse_depth": Image,
    "points2": PointCloud2,
}


class MonoDepthNode(DepthNode[MonoSettings]):
    """Depth from one camera. Topics are in `INPUTS` and `OUTPUTS`, parameters in `MonoSettings`.

    Without CameraInfo, depth and inverse depth are published and the point cloud waits.
    """

    def __init__(self) -> None:
        super().__init__("mono_depth_node", MonoSettings, INPUTS, OUTPUTS, first_input_alone=True)
        settings = self.settings
        self._estimator = MonoDepthEstimator.open(settings.model, settings, max_depth_m=settings.max_depth or None)
        self._rays_of: tuple[Any, ...] = ()
        self._rays = torch.empty(0)
        if not self._estimator.is_metric:
            self.get_logger().warning(
                "depth is RELATIVE: the order of distances is right, their scale and shape are not, although the messages have "
                "metres as their unit. For metres choose metric weights (vizion3d weights list)"
            )
        self._estimator.warm_up()
        self.start()

    def describe(self) -> str:
        """See `DepthNode.describe`."""
        return self._estimator.describe()

    def release(self) -> None:
        """See `DepthNode.release`."""
        vars(self).pop("_estimator", None)  # not there if it could not be loaded
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()

    def process(self, frame: tuple[Any, ...]) -> None:
        """See `DepthNode.process`."""
        image, info = frame
        with self.statistics.stage("decode"):
            rgb = conversions.rgb_from_image(image)
        with self.statistics.stage("estimate"):
            prediction = self._estimator.estimate(rgb)
        size = (image.width, image.height)
        header = self.output_header(image.header)
        encoding = self.settings.depth_encoding
        with self.statistics.stage("publish"), torch.inference_mode():
            self.publish("depth/image_raw", lambda: conversions.depth_image(prediction.depth_m, encoding, header))
            self.publish("inverse_depth", lambda: conversions.map_image(prediction.inverse_depth, header))
            if info is None:
                self.warn(
                    "no camera_info",
                    f"no CameraInfo with the stamp of the image on {self.resolve_topic_name('camera_info')}: depth goes on, "
                    "points2 and depth/camera_info wait for it",
                )
                return
            self.publish("depth/camera_info", lambda: conversions.camera_info_of_image(info, size, header))
            if self.listened("points2"):
                points = self._points(prediction.depth_m, conversions.calibration_from_camera_info(info), size)
                self.publish("points2", lambda: self.cloud_message(points, rgb, header))

    def _points(self, depth_m: torch.Tensor, calibration: Calibration, size: tuple[int, int]) -> torch.Tensor:
        """(H, W, 3) in OpenGL camera space, along the rays of the camera, which are kept until it changes."""
        rectified = self.settings.rectified  # once, since it may change meanwhile
        key = (calibration, size, rectified)
        if key != self._rays_of:
            rays = pixel_rays(calibration, size, rectified=rectified)
            self._rays = torch.from_numpy(rays.astype(np.float32)).to(depth_m.device)
            self._rays_of = key
        return geometry.points_along(self._rays, depth_m)


def main(args: list[str] | None = None) -> int:
    """Console script mono_depth_node."""
    return run(MonoDepthNode, args)
