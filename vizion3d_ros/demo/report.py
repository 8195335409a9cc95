# SPDX-License-Identifier: Apache-2.0
"""What the demo leaves behind: the pictures of a frame, its cloud, and a page that tells how right and how fast it was."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from sensor_msgs.msg import Image
from stereo_msgs.msg import DisparityImage

import vizion3d
from vizion3d.evaluate import Errors
from vizion3d.stereo import Reason
from vizion3d.visualize import Labels, album
from vizion3d_ros import conversions

_STAGE = " p50/p95/max (ms)"


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


def write_results(folder: Path, frame: tuple[Any, ...], reports: list[FrameReport], node: Mapping[str, str]) -> None:
    """Write the pictures of a frame, its cloud, and the report of all frames.

    Args:
        folder: which is made if need be.
        frame: the messages of image, depth, cloud, and disparity and reason, or inverse depth.
        reports: of each frame.
        node: the values of the depth node's diagnostics, by name.
    """
    image, depth_message, cloud_message, source, *reason = frame
    folder.mkdir(parents=True, exist_ok=True)
    cloud = conversions.cloud_from_message(cloud_message)
    dense = cloud.dense()
    depth_m = conversions.depth_from_image(depth_message)
    metric = node.get("depth is", "metric") == "metric"
    pictures = album(
        conversions.rgb_from_image(image),
        depth_m=depth_m,
        cloud=(dense.points, dense.colors),
        reasons=Labels(conversions.map_from_image(reason[0]), [one.text for one in Reason]) if reason else None,
        metric=metric,
        **_made_from(source),
    )
    for name, picture in pictures.items():
        (folder / f"{name}.png").write_bytes(cv2.imencode(".png", picture[..., ::-1])[1].tobytes())
    cloud.write_ply(folder / "cloud.ply")
    (folder / "report.md").write_text(_report_text(image, depth_m, metric, reports, node))


def _made_from(source: DisparityImage | Image) -> dict[str, Any]:
    """What the depth was made from, as `album` calls it."""
    if isinstance(source, Image):
        return {"inverse_depth": conversions.depth_from_image(source)}
    disparity = conversions.depth_from_image(source.image)
    return {"disparity_px": np.where(disparity < source.min_disparity, np.nan, disparity)}


def _report_text(image: Image, depth_m: np.ndarray, metric: bool, reports: list[FrameReport], node: Mapping[str, str]) -> str:
    def row(name: str, values: list[float | None], unit: str) -> str:
        known = [value for value in values if value is not None]
        if not known:
            return f"| {name} | no truth | |\n"
        p50, p95 = np.percentile(known, (50, 95))
        return f"| {name} | {p50:.4g} {unit} | {p95:.4g} {unit} |\n"

    known = depth_m[np.isfinite(depth_m)]
    low, middle, high = np.percentile(known, (0, 50, 100)) if known.size else [np.nan] * 3
    stages = {key.removesuffix(_STAGE): value for key, value in node.items() if key.endswith(_STAGE)}
    return (
        "# Report of the demo\n\n"
        f"{len(reports)} frames of {image.width}x{image.height}, vizion3d {vizion3d.__version__}, {platform.machine()}, "
        f"Python {platform.python_version()}.\n\n"
        f"Model: {node.get('runs as', 'not told')}. Rate: {node.get('rate out (Hz)', 'not told')} Hz.\n"
        f"Depth of the last frame: {low:.2f} to {high:.2f}, median {middle:.2f} {'m' if metric else 'pseudo-metres'}.\n\n"
        "| per frame | p50 | p95 |\n|---|---|---|\n"
        + row("latency, image stamp to arrival of the last output", [r.latency_ms for r in reports], "ms")
        + row("pixels with depth", [100 * r.valid_part for r in reports], "%")
        + row("median depth error of them", [r.median_error and 100 * r.median_error for r in reports], "%")
        + row("of them off by more than 5 %", [r.bad_part and 100 * r.bad_part for r in reports], "%")
        + ("\n| stage in the node | p50 / p95 / largest, ms |\n|---|---|\n" if stages else "")
        + "".join(f"| {stage} | {value} |\n" for stage, value in stages.items())
        + "\nPictures: image, depth, disparity or inverse_depth, cloud, overview (.png). Point cloud: cloud.ply.\n"
    )
