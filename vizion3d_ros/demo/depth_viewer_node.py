# SPDX-License-Identifier: Apache-2.0
"""depth_viewer_node: watches a depth node, prints error and latency of each frame, writes pictures and a report, stops.

Latency is the time from the stamp of the image to the arrival of the depth here. Where the stamps are not of this
machine's clock (a bag), it is the time between the arrivals of the image and of its depth, in one pass of a loop.
"""

from __future__ import annotations

if __name__ == "__main__":  # before the slow imports, for Ctrl-C to be quiet during them
    from vizion3d_ros import program

    program.depth_viewer_node()

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image, PointCloud2
from stereo_msgs.msg import DisparityImage

from vizion3d.option_records import Options, option
from vizion3d_ros import conversions, parameters
from vizion3d_ros.conversions import stamp_ns
from vizion3d_ros.demo.image_arrivals import ImageArrivals
from vizion3d_ros.demo.output_watch import OutputWatch
from vizion3d_ros.demo.report import FrameReport, write_results
from vizion3d_ros.inputs import SyncedInputs
from vizion3d_ros.program import run

# kind of node: (image, outputs: depth, cloud, what the depth was made from, and why a pixel has none)
_TOPICS = {
    "stereo": (
        "left/image_rect",
        {"depth/image_rect": Image, "points2": PointCloud2, "disparity": DisparityImage, "reason": Image},
    ),
    "mono": ("image_raw", {"depth/image_raw": Image, "points2": PointCloud2, "inverse_depth": Image}),
}
_TRUTH = {"truth/depth": Image, "truth/visible": Image}
_LIVE_STAMP_AGE_S = 10.0
_QUEUE_SIZE = 30
_REPORT_PERIOD_S = 3.0


@dataclass(frozen=True)
class ViewerSettings(Options):
    """Parameters of depth_viewer_node."""

    kind: str = option("stereo", "which node to watch", choices=("stereo", "mono"))
    frames: int = option(30, "frames to watch before stopping", limits=(1, 1000000))
    timeout: float = option(60.0, "seconds without a frame after which to give up", limits=(1.0, 100000.0))
    truth: bool = option(True, "compare with truth/depth and truth/visible")
    out: str = option("demo_out", "folder for the pictures, the cloud and the report")


class DepthViewerNode(Node):
    """Collects frames until it has enough or none come any more."""

    def __init__(self) -> None:
        super().__init__("depth_viewer_node")
        self.settings = parameters.declare(self, ViewerSettings)
        self.reports: list[FrameReport] = []
        self.last_frame: tuple[Any, ...] = ()
        self.node_values: dict[str, str] = {}
        self._last_arrival_s = time.monotonic()
        self._images = ImageArrivals()
        image_topic, outputs = _TOPICS[self.settings.kind]
        self.create_subscription(Image, image_topic, self._on_image, qos_profile_sensor_data)
        truth = _TRUTH if self.settings.truth else {}
        self._inputs = SyncedInputs(self, {**outputs, **truth}, self._on_frame, lambda *_: None)
        self._inputs.configure(tolerance_s=0.0, queue_size=_QUEUE_SIZE)
        self._inputs.subscribe()
        self.watch = OutputWatch(self, outputs, truth, self._inputs.pairing)
        self.create_timer(_REPORT_PERIOD_S, self.watch.report, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def is_finished(self) -> bool:
        """Whether enough frames came, or none for too long."""
        silent_s = time.monotonic() - self._last_arrival_s
        return len(self.reports) >= self.settings.frames or silent_s > self.settings.timeout

    def _on_image(self, image: Image) -> None:
        self._images.add(stamp_ns(image.header.stamp), image, time.monotonic())

    def _on_frame(self, frame: tuple[Any, ...]) -> None:
        arrived_s = self._last_arrival_s = time.monotonic()
        stamp = stamp_ns(frame[0].header.stamp)
        arrival = self._images.take(stamp)
        age_s = time.time() - stamp / 1e9
        if not 0 <= age_s < _LIVE_STAMP_AGE_S:
            if arrival is None:
                return
            age_s = arrived_s - arrival.time_s
        depth_m = conversions.depth_from_image(frame[0])
        made_count = len(_TOPICS[self.settings.kind][1])
        made, true = frame[:made_count], frame[made_count:]
        truth = (conversions.depth_from_image(true[0]), conversions.map_from_image(true[1]) > 0) if true else None
        self.reports.append(FrameReport.measure(1e3 * age_s, depth_m, truth))
        print(f"frame {len(self.reports):3d}  {self.reports[-1]}", flush=True)
        self.node_values = self.watch.values()
        if arrival is not None:
            self.last_frame = (arrival.image, *made)


def main(args: list[str] | None = None) -> int:
    """Console script depth_viewer_node; exit status 1 if no frame came."""
    viewer: DepthViewerNode | None = None

    def make_viewer() -> DepthViewerNode:
        nonlocal viewer
        viewer = DepthViewerNode()
        return viewer

    status = run(make_viewer, args, until=DepthViewerNode.is_finished)
    if status or viewer is None:
        return status
    if not viewer.last_frame:
        if not viewer.is_finished():
            return 0  # interrupted
        print(f"error: no frame came in {viewer.settings.timeout:g} s: {viewer.watch.reason}", file=sys.stderr)
        return 1
    folder = Path(viewer.settings.out)
    write_results(folder, viewer.last_frame, viewer.reports, viewer.node_values)
    print((folder / "report.md").read_text())
    print(f"written to {folder.resolve()}")
    return 0
