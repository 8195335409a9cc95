# SPDX-License-Identifier: Apache-2.0
"""depth_viewer_node: watches a depth node, prints error and latency of each frame, writes pictures and a report, stops.

Latency is the time from the stamp of the image to the arrival of the depth here. Where the stamps are not of this
machine's clock (a bag), it is the time between the arrivals of the image and of its depth, in one pass of a loop.
"""

from __future__ import annotations

if __name__ == "__main__":  # before the slow imports, for Ctrl-C to be quiet during them
    from vizion3d_ros import program

    program.depth_viewer_node()

import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image, PointCloud2
from stereo_msgs.msg import DisparityImage

import vizion3d
from vizion3d.evaluate import Errors
from vizion3d.option_records import Options, option
from vizion3d.visualize import colorize_depth, colorize_disparity, render_cloud, side_by_side
from vizion3d_ros import conversions, parameters
from vizion3d_ros.conversions import stamp_ns
from vizion3d_ros.demo.image_arrivals import ImageArrivals
from vizion3d_ros.demo.output_watch import OutputWatch
from vizion3d_ros.inputs import SyncedInputs
from vizion3d_ros.program import run

# kind of node: (image, outputs: depth, cloud, and what the depth was made from)
_TOPICS = {
    "stereo": ("left/image_rect", {"depth/image_rect": Image, "points2": PointCloud2, "disparity": DisparityImage}),
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


@dataclass(frozen=True)
class FrameReport:
    """What was measured on one frame; errors are None without a truth."""

    latency_ms: float
    valid_part: float
    median_error: float | None = None
    bad_part: float | None = None

    @classmethod
    def measure(cls, latency_ms: float, depth_m: np.ndarray, truth: tuple[np.ndarray, np.ndarray] | None) -> FrameReport:
        """Compare a depth map with (true depth, mask of pixels that both cameras see)."""
        valid_part = float(np.isfinite(depth_m).mean())
        if truth is None:
            return cls(latency_ms, valid_part)
        true_depth_m, visible = truth
        scores = Errors.of_depth(depth_m, true_depth_m).scores(visible)
        if not scores.answered_pixels:
            return cls(latency_ms, valid_part)
        return cls(latency_ms, valid_part, scores.median_rel, scores.off_5_percent)

    def __str__(self) -> str:
        text = f"latency {self.latency_ms:6.1f} ms   depth on {self.valid_part:5.1%} of the pixels"
        if self.median_error is not None:
            text += f"   median error {self.median_error:.2%}   off by > 5 %: {self.bad_part:.1%}"
        return text


class DepthViewerNode(Node):
    """Collects frames until it has enough or none come any more."""

    def __init__(self) -> None:
        super().__init__("depth_viewer_node")
        self.settings = parameters.declare(self, ViewerSettings)
        self.reports: list[FrameReport] = []
        self.last_frame: tuple[Any, ...] = ()
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
        truth = (
            (conversions.depth_from_image(frame[3]), conversions.map_from_image(frame[4]) > 0) if self.settings.truth else None
        )
        self.reports.append(FrameReport.measure(1e3 * age_s, depth_m, truth))
        print(f"frame {len(self.reports):3d}  {self.reports[-1]}", flush=True)
        if arrival is not None:
            self.last_frame = (arrival.image, *frame)


def write_results(folder: Path, frame: tuple[Any, ...], reports: list[FrameReport]) -> None:
    """Write the pictures of a frame, its cloud, and the report of all frames."""
    image, depth_message, cloud_message, source = frame[:4]
    folder.mkdir(parents=True, exist_ok=True)
    rgb = conversions.rgb_from_image(image)
    cloud = conversions.cloud_from_message(cloud_message)
    dense = cloud.dense()
    pictures = {
        "image": rgb,
        "depth": colorize_depth(conversions.depth_from_image(depth_message)),
        **_picture_of_source(source),
        "cloud": render_cloud(dense.points, dense.colors),
    }
    pictures["overview"] = side_by_side(list(pictures.values()), list(pictures))
    for name, picture in pictures.items():
        (folder / f"{name}.png").write_bytes(cv2.imencode(".png", picture[..., ::-1])[1].tobytes())
    cloud.write_ply(folder / "cloud.ply")
    (folder / "report.md").write_text(_report_text(image, reports))


def _picture_of_source(source: DisparityImage | Image) -> dict[str, np.ndarray]:
    if isinstance(source, Image):
        return {"inverse_depth": colorize_disparity(conversions.depth_from_image(source))}
    disparity = conversions.depth_from_image(source.image)
    return {"disparity": colorize_disparity(np.where(disparity < source.min_disparity, np.nan, disparity))}


def _report_text(image: Image, reports: list[FrameReport]) -> str:
    def row(name: str, values: list[float | None], unit: str) -> str:
        known = [value for value in values if value is not None]
        if not known:
            return f"| {name} | no truth | |\n"
        p50, p95 = np.percentile(known, (50, 95))
        return f"| {name} | {p50:.4g} {unit} | {p95:.4g} {unit} |\n"

    return (
        "# Report of the demo\n\n"
        f"{len(reports)} frames of {image.width}x{image.height}, vizion3d {vizion3d.__version__}, {platform.machine()}, "
        f"Python {platform.python_version()}.\n\n"
        "| per frame | p50 | p95 |\n|---|---|---|\n"
        + row("latency, image stamp to arrival of the last output", [r.latency_ms for r in reports], "ms")
        + row("pixels with depth", [100 * r.valid_part for r in reports], "%")
        + row("median depth error of them", [r.median_error and 100 * r.median_error for r in reports], "%")
        + row("of them off by more than 5 %", [r.bad_part and 100 * r.bad_part for r in reports], "%")
        + "\nPictures: image, depth, disparity or inverse_depth, cloud, overview (.png). Point cloud: cloud.ply.\n"
    )


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
    write_results(folder, viewer.last_frame, viewer.reports)
    print((folder / "report.md").read_text())
    print(f"written to {folder.resolve()}")
    return 0
