# SPDX-License-Identifier: Apache-2.0
"""What all depth nodes share: parameters, lazy inputs and outputs, worker, diagnostics, shutdown.

A node names its inputs and outputs and says how one set of messages becomes outputs. Everything here runs on the
executor's thread, except `process` and what it calls, which runs on the worker's.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numpy as np
import rclpy
import torch
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from vizion3d.errors import InputError, Vizion3dError
from vizion3d.runtime.threads import set_threads
from vizion3d_ros import fast_dds, parameters
from vizion3d_ros.conversions import point_cloud, stamp_ns
from vizion3d_ros.inputs import REPORT_PERIOD_S, WAIT_FOR_PARTNERS_S, SyncedInputs
from vizion3d_ros.logs import RosLogHandler
from vizion3d_ros.settings import CommonSettings
from vizion3d_ros.statistics import FrameStatistics
from vizion3d_ros.worker import Worker

try:
    from rclpy.event_handler import PublisherEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks

_HAS_MATCHED_EVENTS = hasattr(PublisherEventCallbacks(), "matched")
_POLL_PERIOD_S = 0.25
_DIAGNOSTICS_PERIOD_S = 1.0
_REPEAT_WARNING_S = 10.0
_STOP_TIMEOUT_S = 0.4

S = TypeVar("S", bound=CommonSettings)


class DepthNode(Node, Generic[S]):
    """Base of the depth nodes.

    Args:
        name: node name.
        settings_type: frozen dataclass of parameters (`vizion3d_ros.parameters`) with the fields of `CommonSettings`.
        inputs: topic -> message type with a header; one message of each, matched by stamp, makes a frame.
        outputs: topic -> message type.
        first_input_alone: the first input is worth processing without the others; they are None then.
    """

    def __init__(
        self,
        name: str,
        settings_type: type[S],
        inputs: dict[str, type],
        outputs: dict[str, type],
        *,
        first_input_alone: bool = False,
    ) -> None:
        super().__init__(name)
        logging.getLogger("vizion3d").addHandler(RosLogHandler(self.get_logger()))
        self.settings: S = parameters.declare(self, settings_type)
        set_threads(self.settings.threads)
        self.statistics = FrameStatistics()
        self._last_warned: dict[str, float] = {}
        self._failed_frames = 0
        self._current_error = ""
        self._advised: set[str] = set()
        self._worker = Worker(self._process, self._on_error)
        self._inputs = SyncedInputs(self, inputs, self._on_frame, self.warn, first_alone=first_input_alone)
        self._configure_inputs()
        self._outputs = {topic: self._create_output(topic, kind) for topic, kind in outputs.items()}
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 1)
        self.add_on_set_parameters_callback(self._on_parameters)

    def start(self) -> None:
        """Begin to listen. To be called when everything that `process` needs is ready."""
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # a simulated clock may stand still or jump back
        self.create_timer(REPORT_PERIOD_S, self._inputs.report, clock=steady)
        self.create_timer(WAIT_FOR_PARTNERS_S, self._inputs.check_waiting, clock=steady)
        self.create_timer(_DIAGNOSTICS_PERIOD_S, self._publish_diagnostics, clock=steady)
        # Matched events tell of listeners at once. Where there are none (Humble), or one is missed, a timer does.
        self.create_timer(1.0 if _HAS_MATCHED_EVENTS else _POLL_PERIOD_S, self._update_inputs, clock=steady)
        if fast_dds.uses_fast_dds() and (problem := fast_dds.shared_memory_problem()):
            self.get_logger().warning(problem)
        self._update_inputs()
        topics = ", ".join(self.resolve_topic_name(topic) for topic in self._outputs)
        self.get_logger().info(f"ready ({self.describe()}), waiting for a listener on {topics}")

    def destroy_node(self) -> None:
        """Stop the worker, release memory and destroy the node; a frame that is still in work keeps what it needs."""
        if self._worker.stop(_STOP_TIMEOUT_S):
            self.release()
        super().destroy_node()

    # What a node defines

    def describe(self) -> str:
        """Model and device, for logs and diagnostics."""
        raise NotImplementedError

    def process(self, frame: tuple[Any, ...]) -> None:
        """Turn one message of each input into the outputs that are listened to."""
        raise NotImplementedError

    def release(self) -> None:
        """Give back the memory of the network."""

    # What a node uses

    def listened(self, *topics: str) -> bool:
        """Whether anybody listens to one of these outputs, or to any at all; always if `lazy` is off."""
        if not self.settings.lazy:
            return True
        return any(self._outputs[topic].get_subscription_count() for topic in topics or self._outputs)

    def publish(self, topic: str, make_message: Callable[[], Any]) -> None:
        """Make and publish a message if somebody listens to the topic."""
        if self.listened(topic):
            message = make_message()
            self._outputs[topic].publish(message)
            self._advise_on_size(topic, message)

    def _advise_on_size(self, topic: str, message: Any) -> None:
        """Tell, once a topic, that its messages are larger than the transport likes."""
        data = getattr(getattr(message, "image", message), "data", b"")
        if topic not in self._advised and (problem := fast_dds.message_problem(topic, len(data))):
            self._advised.add(topic)
            self.get_logger().warning(problem)

    def output_header(self, header: Header) -> Header:
        """The header of all outputs: stamp and frame of the image, unless the parameter frame_id is set."""
        return Header(stamp=header.stamp, frame_id=self.settings.frame_id or header.frame_id)

    def cloud_message(self, points_opengl: torch.Tensor, rgb: np.ndarray, header: Header) -> PointCloud2:
        """The point cloud in the layout that the parameters ask for.

        Args:
            points_opengl: (H, W, 3) in OpenGL camera space, NaN where invalid.
            rgb: (H, W, 3) uint8.
            header: of the outputs.
        """
        step = self.settings.cloud_decimation
        colors = torch.from_numpy(rgb[::step, ::step].copy()).to(points_opengl.device)
        return point_cloud(points_opengl[::step, ::step], colors, header, organized=self.settings.cloud_organized)

    def warn(self, about: str, text: str) -> None:
        """Log a warning; about the same thing at most once in ten seconds."""
        now = time.monotonic()
        if now - self._last_warned.get(about, -_REPEAT_WARNING_S) >= _REPEAT_WARNING_S:
            self._last_warned[about] = now
            self.get_logger().warning(text)

    # Listeners, parameters

    def _create_output(self, topic: str, kind: type) -> Any:
        callbacks = PublisherEventCallbacks()
        callbacks.matched = lambda _: self._update_inputs()  # without effect on Humble
        return self.create_publisher(
            kind,
            topic,
            QoSProfile(depth=1),
            event_callbacks=callbacks,
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )

    def _update_inputs(self) -> None:
        if self.listened() and not self._inputs.active:
            self._inputs.subscribe()
        elif self._inputs.active and not self.listened():
            self._inputs.unsubscribe()
            self._current_error = ""

    def _on_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        try:
            settings = parameters.updated(self.settings, {change.name: change.value for change in changes})
        except InputError as error:
            return SetParametersResult(successful=False, reason=str(error))
        if settings != self.settings:
            self.settings = settings
            self._configure_inputs()
            self._update_inputs()
        return SetParametersResult(successful=True)

    def _configure_inputs(self) -> None:
        tolerance_s = self.settings.approximate_sync_tolerance_seconds if self.settings.approximate_sync else 0.0
        self._inputs.configure(tolerance_s, self.settings.queue_size)

    # Frames

    def _on_frame(self, frame: tuple[Any, ...]) -> None:
        self._worker.submit((time.monotonic(), frame))

    def _process(self, item: tuple[float, tuple[Any, ...]]) -> None:
        arrived, frame = item
        if not self.listened():
            return
        self.statistics.add("wait", time.monotonic() - arrived)
        self.process(frame)
        self.statistics.add("arrival to publish", time.monotonic() - arrived)
        age_ns = self.get_clock().now().nanoseconds - stamp_ns(frame[0].header.stamp)
        self.statistics.add("stamp to publish", age_ns / 1e9)
        self.statistics.frame_done()
        self._current_error = ""

    def _on_error(self, error: Exception) -> None:
        if not rclpy.ok():
            return  # the frame in work at shutdown cannot publish any more
        self._failed_frames += 1
        text = str(error) if isinstance(error, Vizion3dError) else f"{type(error).__name__}: {error}"
        self._current_error = text
        # Numbers differ from frame to frame; the same mistake with other numbers is the same mistake.
        self.warn(re.sub(r"\d+", "#", text), f"frame skipped: {text}")
        if not isinstance(error, Vizion3dError):
            logging.getLogger("vizion3d").debug("unexpected", exc_info=error)

    # Diagnostics

    def _publish_diagnostics(self) -> None:
        status = DiagnosticStatus(name=f"{self.get_fully_qualified_name()}: depth", hardware_id=self.describe())
        status.level, status.message = self._health()
        pairing = self._inputs.pairing
        values: dict[str, Any] = {
            "state": "listened to" if self._inputs.active else "idle, no listener",
            "rate (Hz)": f"{self.statistics.rate_hz():.2f}",
            "frames published": self.statistics.frames,
            "frames failed": self._failed_frames,
            "frames replaced by a newer one": self._worker.replaced,
            "stamps went back": pairing.jumps_back,
        }
        values |= {f"received {topic}": pairing.received[topic] for topic in pairing.topics}
        values |= {f"dropped {reason}": count for reason, count in pairing.dropped.items()}
        for stage, (p50, p95) in self.statistics.percentiles_ms().items():
            values[f"{stage} p50/p95 (ms)"] = f"{p50:.1f} / {p95:.1f}"
        values |= self.diagnostic_values()
        status.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)

    def diagnostic_values(self) -> dict[str, Any]:
        """More values for the diagnostics of a node."""
        return {}

    def _health(self) -> tuple[bytes, str]:
        if self._current_error:
            return DiagnosticStatus.ERROR, self._current_error
        if not self._inputs.active:
            return DiagnosticStatus.OK, "idle, no listener"
        if not self.statistics.rate_hz():
            return DiagnosticStatus.WARN, "no frame in the last 5 s"
        return DiagnosticStatus.OK, "running"
