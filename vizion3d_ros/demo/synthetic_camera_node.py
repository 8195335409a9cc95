# SPDX-License-Identifier: Apache-2.0
"""synthetic_camera_node: a stereo camera for machines without one, with the true depth of every pixel.

Publishes rectified left/ and right/ image_rect (rgb8) + camera_info, and truth/depth (32FC1 metres of the left camera) and
truth/visible (mono8, 255 where the right camera sees the pixel too), all with one stamp.
"""

from __future__ import annotations

if __name__ == "__main__":  # before the slow imports, for Ctrl-C to be quiet during them
    from vizion3d_ros import program

    program.synthetic_camera_node()

from dataclasses import dataclass

from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from vizion3d.camera import PinholeCamera, StereoRig
from vizion3d.option_records import Options, option
from vizion3d.synthetic import StereoFrame, default_scene, render_stereo
from vizion3d_ros import conversions, parameters
from vizion3d_ros.program import run

_LOOP_FRAMES = 20  # each is drawn once, then repeated, so that the camera leaves the processor to others


@dataclass(frozen=True)
class CameraSettings(Options):
    """Parameters of synthetic_camera_node."""

    width: int = option(640, "image width", limits=(32, 8192))
    height: int = option(480, "image height", limits=(32, 8192))
    focal_length: float = option(525.0, "focal length, pixels", limits=(1.0, 100000.0))
    baseline: float = option(0.12, "distance of the cameras, metres", limits=(0.001, 100.0))
    rate: float = option(10.0, "pairs a second", limits=(0.1, 1000.0))
    frame_id: str = option("stereo_left_optical", "frame of both cameras")


class SyntheticCameraNode(Node):
    """Publishes a drawn scene with moving objects at a steady rate."""

    def __init__(self) -> None:
        super().__init__("synthetic_camera_node")
        self._settings = settings = parameters.declare(self, CameraSettings)
        camera = PinholeCamera(
            settings.width,
            settings.height,
            settings.focal_length,
            settings.focal_length,
            (settings.width - 1) / 2,
            (settings.height - 1) / 2,
        )
        self._rig = StereoRig(camera, settings.baseline)
        self._frames: list[StereoFrame] = []
        self._published = 0
        kinds = {
            "left/image_rect": Image,
            "left/camera_info": CameraInfo,
            "right/image_rect": Image,
            "right/camera_info": CameraInfo,
            "truth/depth": Image,
            "truth/visible": Image,
        }
        self._publishers_by_topic = {
            topic: self.create_publisher(
                kind, topic, QoSProfile(depth=2), qos_overriding_options=QoSOverridingOptions.with_default_policies()
            )
            for topic, kind in kinds.items()
        }
        self.create_timer(1 / settings.rate, self._publish)

    def _next_frame(self) -> StereoFrame:
        """There and back again through the frames, so that nothing jumps where the loop closes."""
        index = self._published % (2 * _LOOP_FRAMES - 2)
        self._published += 1
        if index == len(self._frames):
            self._frames.append(render_stereo(default_scene(index / self._settings.rate), self._rig))
        return self._frames[min(index, 2 * _LOOP_FRAMES - 2 - index)]

    def _publish(self) -> None:
        frame = self._next_frame()
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=self._settings.frame_id)
        messages = {
            "left/camera_info": conversions.camera_info(self._rig.left, header),
            "right/camera_info": conversions.camera_info(self._rig.right, header, self._rig.baseline_m),
            "left/image_rect": conversions.image_from_array(frame.left, "rgb8", header),
            "right/image_rect": conversions.image_from_array(frame.right, "rgb8", header),
            "truth/depth": conversions.image_from_array(frame.depth_m.astype("float32"), "32FC1", header),
            "truth/visible": conversions.image_from_array(frame.visible.astype("uint8") * 255, "mono8", header),
        }
        for topic, message in messages.items():
            self._publishers_by_topic[topic].publish(message)


def main(args: list[str] | None = None) -> int:
    """Console script synthetic_camera_node."""
    return run(SyntheticCameraNode, args)
