# SPDX-License-Identifier: Apache-2.0
"""stereo_depth_node: a pair with CameraInfo in, rectified or raw; depth, disparity, cloud, confidence, visibility out."""

from __future__ import annotations

if __name__ == "__main__":  # before the slow imports, for Ctrl-C to be quiet during them
    from vizion3d_ros import program

    program.stereo_depth_node()

import math
import time
from typing import Any

import numpy as np

from vizion3d.bit_depth import Levels
from vizion3d.errors import WeightsError
from vizion3d.stereo import StereoDepthEstimator
from vizion3d.stereo.rectification import RectificationReport, vertical_offset
from vizion3d_ros import stereo_frames
from vizion3d_ros.node import DepthNode
from vizion3d_ros.program import run
from vizion3d_ros.settings import StereoSettings
from vizion3d_ros.worker import Worker

_MAX_ROW_OFFSET_PX = 1.5


class StereoDepthNode(DepthNode[StereoSettings, StereoDepthEstimator]):
    """Metric depth from two rectified cameras. Topics are in `stereo_frames`, parameters in `StereoSettings`.

    For the arguments see `DepthNode`.
    """

    def __init__(
        self,
        name: str = "stereo_depth_node",
        *,
        estimator: StereoDepthEstimator | None = None,
        worker: Worker | None = None,
        **node_arguments: Any,
    ) -> None:
        self._levels = Levels()
        self._rows = RectificationReport(matches=0)
        self._rows_checked_s = -math.inf
        self._nearest_m = 0.0
        super().__init__(name, StereoSettings, estimator=estimator, worker=worker, **node_arguments)

    def open_estimator(self) -> StereoDepthEstimator:
        """See `DepthNode.open_estimator`."""
        try:
            return StereoDepthEstimator.open(self.settings.model, self.settings)
        except WeightsError as error:
            raise WeightsError(f"{error}\n  or do without:      model:=sgbm needs no weights") from None

    def describe(self) -> str:
        """See `DepthNode.describe`."""
        images = "raw images are rectified here" if self.settings.rectify else "images come rectified"
        return f"{super().describe()}, rectify {str(self.settings.rectify).lower()}: {images}"

    def inputs(self) -> dict[str, type]:
        """See `DepthNode.inputs`."""
        return stereo_frames.inputs(self.settings)

    def topics(self) -> dict[str, type]:
        """See `DepthNode.topics`."""
        return stereo_frames.topics(self.estimator.matcher)

    def settings_changed(self) -> None:
        """See `DepthNode.settings_changed`."""
        self.estimator.tell_without_effect(self.settings)

    def diagnostic_values(self) -> dict[str, Any]:
        """See `DepthNode.diagnostic_values`."""
        return {
            "nearest depth (m)": f"{self._nearest_m:.2f}" if self._nearest_m else "unknown",
            "vertical offset of right against left (px)": f"{self._rows.offset_px:.2f}" if self._rows.enough else "unknown",
        }

    def process(self, messages: tuple[Any, ...]) -> None:
        """See `DepthNode.process`."""
        settings = self.settings
        self._levels = self._levels.under(settings)
        with self.diagnostics.stage("decode"):
            pair = stereo_frames.decode(messages, self._levels, rectify=settings.rectify)
        with self.diagnostics.stage("estimate"):
            prediction = self.estimator.estimate(pair.left, pair.right, pair.rig, pair.shown, **settings.matching())
        self._tell_nearest(prediction.nearest_m(settings))
        self.publish(stereo_frames.outputs(prediction, pair, settings))
        self._check_rows(pair.left, pair.right)

    def _tell_nearest(self, nearest_m: float) -> None:
        """Say how near is measured, whenever that changes; it takes a calibration to know."""
        if nearest_m != self._nearest_m:
            self._nearest_m = nearest_m
            self.get_logger().info(f"nearest depth {nearest_m:.2f} m, set by z_near")

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
