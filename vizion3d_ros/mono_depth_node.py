# SPDX-License-Identifier: Apache-2.0
"""mono_depth_node: one image in; depth, inverse depth and point cloud out. Metric only with a metric checkpoint."""

from __future__ import annotations

if __name__ == "__main__":  # before the slow imports, for Ctrl-C to be quiet during them
    from vizion3d_ros import program

    program.mono_depth_node()

from collections.abc import Hashable, MutableMapping
from typing import Any

from vizion3d.bit_depth import Levels
from vizion3d.errors import Vizion3dError
from vizion3d.lifting import DepthKind, MonoDepthEstimator
from vizion3d.option_records import opening_part
from vizion3d.options import RobotMonoOptions
from vizion3d_ros import mono_frames
from vizion3d_ros.depth_node import DepthNode
from vizion3d_ros.model_facts import model_facts
from vizion3d_ros.program import run
from vizion3d_ros.settings import MonoSettings
from vizion3d_ros.worker import Worker


class MonoDepthNode(DepthNode[MonoSettings, MonoDepthEstimator]):
    """Depth from one camera. Topics are in `mono_frames`, parameters in `MonoSettings`.

    Without CameraInfo, depth and inverse depth are published and the point cloud waits. A network that takes its metres from
    the focal length waits altogether. For the arguments see `DepthNode`.
    """

    def __init__(
        self,
        name: str = "mono_depth_node",
        *,
        estimator: MonoDepthEstimator | None = None,
        estimators: MutableMapping[Hashable, MonoDepthEstimator] | None = None,
        worker: Worker | None = None,
        **node_arguments: Any,
    ) -> None:
        self._levels = Levels()
        super().__init__(
            name,
            MonoSettings,
            estimator=estimator,
            estimators=estimators,
            worker=worker,
            first_input_alone=True,
            **node_arguments,
        )

    def configure(self) -> None:
        """See `DepthNode.configure`."""
        super().configure()
        if not self.estimator.is_metric:
            wrong = "scale and shape" if self.estimator.model.kind is DepthKind.INVERSE else "scale and offset"
            self.get_logger().warning(
                f"depth is RELATIVE: the order of distances is right, their {wrong} are not, although the messages have "
                "metres as their unit. For metres choose metric weights (vizion3d weights list)"
            )

    def open_estimator(self) -> MonoDepthEstimator:
        """See `DepthNode.open_estimator`."""
        settings = self.settings
        try:
            return MonoDepthEstimator.open(settings.model, settings, max_depth_m=settings.max_depth or None)
        except Vizion3dError as error:  # in the words of this door
            raise type(error)(str(error).replace("max_depth_m=", "max_depth:=")) from None

    def model_options(self) -> Hashable:
        """See `DepthNode.model_options`."""
        return opening_part(self.settings, RobotMonoOptions)

    def model_facts(self) -> dict[str, str]:
        """See `DepthNode.model_facts`."""
        return model_facts(self.settings, is_metric=self.estimator.is_metric)

    def inputs(self) -> dict[str, type]:
        """See `DepthNode.inputs`."""
        return mono_frames.INPUTS

    def topics(self) -> dict[str, type]:
        """See `DepthNode.topics`."""
        return mono_frames.OUTPUTS

    def views(self) -> dict[str, type]:
        """See `DepthNode.views`."""
        return mono_frames.VIEWS

    def publish_frame(self, messages: tuple[Any, ...]) -> None:
        """See `DepthNode.publish_frame`."""
        settings = self.settings
        self._levels = self._levels.under(settings)
        with self.diagnostics.stage("decode"):
            view = mono_frames.decode(messages, self._levels)
        camera = view.camera(settings)
        self.estimator.require_camera(camera, self._without_camera(view))
        if self.estimator.needs_camera and (trouble := view.wide_lens(settings)):
            self.warn("wide lens", trouble)
        with self.diagnostics.stage("estimate"):
            prediction = self.estimator.estimate(view.rgb, camera)
        self.publish(mono_frames.outputs(prediction, view, settings))
        if view.info is None:
            waits = "depth goes on, points2 and depth/camera_info wait for it"
            self.warn("no camera_info", f"{self._without_camera(view)}: {waits}")
        elif trouble := view.trouble(settings):
            self.warn(
                "broken camera_info", f"{trouble}; depth goes on, points2 and depth/camera_info wait for a good CameraInfo"
            )

    def _without_camera(self, view: mono_frames.MonoView) -> str:
        """Why there is no camera."""
        if view.info is None:
            return f"no CameraInfo with the stamp of the image on {self.resolve_topic_name('camera_info')}"
        return view.trouble(self.settings)


def main(args: list[str] | None = None) -> int:
    """Console script mono_depth_node."""
    return run(MonoDepthNode, args, by_events=True)
