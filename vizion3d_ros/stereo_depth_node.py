# SPDX-License-Identifier: Apache-2.0
"""stereo_depth_node: a pair with CameraInfo in, rectified or raw; depth, disparity, cloud, confidence, visibility out."""

from __future__ import annotations

if __name__ == "__main__":  # before the slow imports, for Ctrl-C to be quiet during them
    from vizion3d_ros import program

    program.stereo_depth_node()

from collections.abc import Hashable, MutableMapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus

from vizion3d.bit_depth import Levels
from vizion3d.errors import InputError, WeightsError
from vizion3d.option_records import opening_part
from vizion3d.options import RobotStereoOptions
from vizion3d.stereo import StereoDepthEstimator, StereoPrediction
from vizion3d_ros import stereo_frames
from vizion3d_ros.depth_node import DepthNode
from vizion3d_ros.model_facts import model_facts
from vizion3d_ros.pair_watch import PairWatch
from vizion3d_ros.program import run
from vizion3d_ros.settings import StereoSettings
from vizion3d_ros.worker import Worker


class StereoDepthNode(DepthNode[StereoSettings, StereoDepthEstimator]):
    """Metric depth from two rectified cameras. Topics are in `stereo_frames`, parameters in `StereoSettings`.

    For the arguments see `DepthNode`.
    """

    def __init__(
        self,
        name: str = "stereo_depth_node",
        *,
        estimator: StereoDepthEstimator | None = None,
        estimators: MutableMapping[Hashable, StereoDepthEstimator] | None = None,
        worker: Worker | None = None,
        **node_arguments: Any,
    ) -> None:
        self._levels = Levels()
        self._watch = PairWatch()
        self._nearest_m = 0.0
        super().__init__(name, StereoSettings, estimator=estimator, estimators=estimators, worker=worker, **node_arguments)

    def configure(self) -> None:
        """See `DepthNode.configure`."""
        super().configure()
        for topic, why in stereo_frames.absent(self.estimator.matcher).items():
            self.get_logger().info(f"{topic} is not published: {why}")

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

    def model_options(self) -> Hashable:
        """See `DepthNode.model_options`."""
        return opening_part(self.settings, RobotStereoOptions)

    def model_facts(self) -> dict[str, str]:
        """See `DepthNode.model_facts`."""
        return model_facts(self.settings, is_metric=True)

    def inputs(self) -> dict[str, type]:
        """See `DepthNode.inputs`."""
        return stereo_frames.inputs(self.settings)

    def topics(self) -> dict[str, type]:
        """See `DepthNode.topics`."""
        return stereo_frames.topics(self.estimator.matcher)

    def views(self) -> dict[str, type]:
        """See `DepthNode.views`."""
        return stereo_frames.VIEWS

    def settings_changed(self) -> None:
        """See `DepthNode.settings_changed`."""
        self.estimator.tell_without_effect(self.settings)

    def diagnostic_values(self) -> dict[str, Any]:
        """See `DepthNode.diagnostic_values`."""
        check = self._watch.last
        return {
            "nearest depth (m)": f"{self._nearest_m:.2f}" if self._nearest_m else "unknown",
            "vertical offset of right against left (px)": f"{check.rows.offset_px:.2f}" if check.rows.enough else "unknown",
        } | {f"pair check: {finding.what}": f"{finding.level}, {finding.value}" for finding in check.findings}

    def trouble(self) -> tuple[bytes, str] | None:
        """See `DepthNode.trouble`."""
        if not (faults := self._watch.faults):
            return None
        level = DiagnosticStatus.ERROR if self._watch.wrong else DiagnosticStatus.WARN
        return level, "; ".join(map(str, faults))

    def publish_frame(self, messages: tuple[Any, ...]) -> None:
        """See `DepthNode.publish_frame`."""
        settings = self.settings
        self._levels = self._levels.under(settings)
        with self.diagnostics.stage("decode"):
            pair = stereo_frames.decode(messages, self._levels, rectify=settings.rectify)
        with self.diagnostics.stage("estimate"):
            prediction = self.estimator.estimate(pair.left, pair.right, pair.rig, pair.shown, **settings.matching())
        self._tell_nearest(prediction.nearest_m(settings), prediction.nearest_set_by(settings))
        if settings.hold_when_wrong:
            self._check(messages, pair, prediction)  # before anything of it goes out
            if wrong := self._watch.wrong:
                raise InputError(f"held back, as hold_when_wrong has it: {wrong}")
        self.publish(stereo_frames.outputs(prediction, pair, settings))
        if not settings.hold_when_wrong:
            self._check(messages, pair, prediction)

    def _tell_nearest(self, nearest_m: float, set_by: str) -> None:
        """Say how near is measured, whenever that changes; it takes a calibration to know."""
        if nearest_m != self._nearest_m:
            self._nearest_m = nearest_m
            self.get_logger().info(f"nearest depth {nearest_m:.2f} m, set by {set_by}")

    def _check(self, messages: tuple[Any, ...], pair: stereo_frames.StereoPair, prediction: StereoPrediction) -> None:
        """Now and then, and not while a frame waits, see what ruins depth quietly."""
        settings, log = self.settings, self.get_logger()
        frame_waits = self.frame_waits and not settings.hold_when_wrong  # which asks for safety first
        if not self._watch.due(settings.rectification_check_period, frame_waits):
            return
        with self.diagnostics.stage("pair check"):
            news = self._watch.take(stereo_frames.check(messages, pair, prediction, settings))
        for finding in news:  # rclpy allows one severity per calling line
            if finding.level == "error":
                log.error(str(finding))
            elif finding.is_fault:
                log.warning(str(finding))
            else:
                log.info(f"{finding.what} is fine again: {finding.value}")


def main(args: list[str] | None = None) -> int:
    """Console script stereo_depth_node."""
    return run(StereoDepthNode, args, by_events=True)
