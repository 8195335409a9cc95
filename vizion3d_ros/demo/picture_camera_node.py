# SPDX-License-Identifier: Apache-2.0
"""picture_camera_node: publishes one picture file again and again as image_raw + camera_info, with a guessed lens."""

from __future__ import annotations

if __name__ == "__main__":  # before the slow imports, for Ctrl-C to be quiet during them
    from vizion3d_ros import program

    program.picture_camera_node()

from dataclasses import dataclass

from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from vizion3d.camera import PinholeCamera
from vizion3d.images import load_rgb
from vizion3d.option_records import Options, option
from vizion3d_ros import conversions, parameters
from vizion3d_ros.program import run


@dataclass(frozen=True)
class PictureSettings(Options):
    """Parameters of picture_camera_node."""

    image: str = option("", "path of the picture")
    rate: float = option(1.0, "pictures a second", limits=(0.01, 1000.0))
    field_of_view_factor: float = option(0.85, "focal length as a part of the width", limits=(0.05, 20.0))
    frame_id: str = option("camera_optical", "frame of the camera")


class PictureCameraNode(Node):
    """One picture at a steady rate."""

    def __init__(self) -> None:
        super().__init__("picture_camera_node")
        self._settings = parameters.declare(self, PictureSettings)
        self._rgb = load_rgb(self._settings.image, "parameter image")
        height, width = self._rgb.shape[:2]
        focal_length = self._settings.field_of_view_factor * width
        self._camera = PinholeCamera(width, height, focal_length, focal_length, width / 2, height / 2)
        self._images = self.create_publisher(Image, "image_raw", QoSProfile(depth=1))
        self._infos = self.create_publisher(CameraInfo, "camera_info", QoSProfile(depth=1))
        self.create_timer(1 / self._settings.rate, self._publish)

    def _publish(self) -> None:
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=self._settings.frame_id)
        self._infos.publish(conversions.camera_info(self._camera, header))
        self._images.publish(conversions.image_from_array(self._rgb, "rgb8", header))


def main(args: list[str] | None = None) -> int:
    """Console script picture_camera_node."""
    return run(PictureCameraNode, args)
