# SPDX-License-Identifier: Apache-2.0
"""What all depth nodes share: parameters, lazy inputs and outputs, worker, diagnostics; what each lifecycle transition does.

A node names its inputs and outputs and says how one set of messages becomes outputs. Callbacks run on the executor's thread;
`publish_frame` and what it calls, `_on_error` too, run on the worker's. What both write is in `diagnostics`; `settings` is a
frozen record that the executor replaces and `publish_frame` reads once a frame.
"""

from __future__ import annotations

import gc
import logging
import re
import threading
import time
from collections.abc import Callable, Hashable, MutableMapping
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakValueDictionary

import torch
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions

from vizion3d.errors import InputError, Vizion3dError
from vizion3d.runtime.memory import return_freed_memory
from vizion3d.runtime.threads import set_threads
from vizion3d_ros import fast_dds, parameters
from vizion3d_ros.conversions import stamp_ns
from vizion3d_ros.diagnostics import FrameDiagnostics
from vizion3d_ros.inputs import REPORT_PERIOD_S, WAIT_FOR_PARTNERS_S, SyncedInputs
from vizion3d_ros.lifecycle import ManagedNode
from vizion3d_ros.logs import RosLogHandler
from vizion3d_ros.rate_limit import RateLimit
from vizion3d_ros.settings import CommonSettings
from vizion3d_ros.worker import Worker

try:
    from rclpy.event_handler import PublisherEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks

_HAS_MATCHED_EVENTS = hasattr(PublisherEventCallbacks(), "matched")
_POLL_PERIOD_S = 0.25
_DIAGNOSTICS_PERIOD_S = 1.0
_STOP_TIMEOUT_S = 0.4
_CLEANUP_TIMEOUT_S = 10.0
_LONG_FRAME_S = 5.0
_CLOUD = "points2"
_DEACTIVATION = "deactivation"
_MAX_AGE_AT_ARRIVAL_S = 10.0  # of an image whose stamp is of the node's clock


class Estimator(Protocol):
    """What a node needs of its estimator besides estimating."""

    def describe(self) -> str:
        """Model and device, for logs and diagnostics."""
        ...

    def warm_up(self) -> None:
        """Do what is done only once before the first frame comes."""
        ...


S = TypeVar("S", bound=CommonSettings)
E = TypeVar("E", bound=Estimator)


class DepthNode(ManagedNode, Generic[S, E]):
    """Base of the depth nodes.

    Args:
        name: node name.
        settings_type: record of parameters (`vizion3d_ros.parameters`) with the fields of `CommonSettings`.
        estimator: a loaded one, which nodes may share; the parameters about model and device are passed over then. None
            opens the one that the parameters describe.
        estimators: those that nodes of this process have opened, by `model_options`: a node that would open the same takes it,
            one that opens another leaves it there. Weak references let the last one that holds it free it. None opens one
            for this node alone.
        worker: whose thread works on the frames, which nodes may share; None starts one.
        first_input_alone: the first input is worth processing without the others; they are None then.
        node_arguments: further ones of rclpy's `Node`, such as namespace, context, parameter_overrides.

    Raises:
        Vizion3dError: a parameter is not legal, or, with `autostart`, the model cannot be loaded.
    """

    def __init__(
        self,
        name: str,
        settings_type: type[S],
        *,
        estimator: E | None = None,
        estimators: MutableMapping[Hashable, E] | None = None,
        worker: Worker | None = None,
        first_input_alone: bool = False,
        **node_arguments: Any,
    ) -> None:
        super().__init__(name, **node_arguments)
        self._core_log = RosLogHandler(self.get_logger())
        self._own_worker = Worker() if worker is None else None
        self._slot = (worker or self._own_worker).open_slot(self._work_on, self._on_error)  # type: ignore[union-attr]
        self._given_estimator, self._estimators = estimator, WeakValueDictionary() if estimators is None else estimators
        self._first_input_alone = first_input_alone
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)  # a simulated clock may stand still or jump back
        self._outputs: dict[str, Any] = {}
        self._watching: list[Any] = []  # timers
        self._model_facts: dict[str, str] = {}
        self._advised: set[str] = set()
        self._told_frame_s = 0.0
        self._frame_rate, self._cloud_rate = RateLimit(), RateLimit()
        self._arrived_s = 0.0  # of the frame in work
        self._active, self._publishing = False, threading.Lock()
        try:
            with self._core_log.speaking():
                self.settings: S = parameters.declare(self, settings_type)
            self._open_accounts()
            self.add_on_set_parameters_callback(self._on_parameters)
            self._diagnostics_publisher = self.create_publisher(DiagnosticArray, "/diagnostics", 1)
            self.create_timer(_DIAGNOSTICS_PERIOD_S, self._publish_diagnostics, clock=self._steady)
            if self.settings.autostart:
                self.start()
            else:
                self.get_logger().info(
                    f"unconfigured, waits for: ros2 lifecycle set {self.get_fully_qualified_name()} configure"
                )
        except BaseException:
            self.destroy_node()
            raise

    # Lifecycle

    def configure(self) -> None:
        """Load the model, warm it up and advertise the outputs."""
        self._open_accounts()
        with self._core_log.speaking():
            set_threads(self.settings.threads)
            self.estimator: E = self._find_estimator() if self._given_estimator is None else self._given_estimator
            self._model_facts = self.model_facts() if self._given_estimator is None else {}
            self.settings_changed()
        if fast_dds.uses_fast_dds() and (problem := fast_dds.shared_memory_problem()):
            self.get_logger().warning(problem)
        for topic, kind in (self.topics() | self.views()).items():
            self._outputs[topic] = self._create_output(topic, kind)

    def activate(self) -> None:
        """Begin to listen, as soon as somebody listens."""
        self._active = True
        watch = [
            (REPORT_PERIOD_S, self._report),
            (WAIT_FOR_PARTNERS_S, self._inputs.check_waiting),
            (_DIAGNOSTICS_PERIOD_S, self._tell_long_frame),
            # Matched events tell of listeners at once. Where there are none (Humble), or one is missed, a timer does.
            (1.0 if _HAS_MATCHED_EVENTS else _POLL_PERIOD_S, self._update_inputs),
        ]
        self._watching = [self.create_timer(period_s, callback, clock=self._steady) for period_s, callback in watch]
        self._update_inputs()
        topics = ", ".join(self.resolve_topic_name(topic) for topic in self._outputs)
        self.get_logger().info(f"ready ({self.describe()}), waiting for a listener on {topics}")

    def deactivate(self) -> None:
        """Stop listening and publishing; a frame that is still in work is not published."""
        with self._publishing:
            self._active = False
        while self._watching:
            self.destroy_timer(self._watching.pop())
        self._update_inputs()
        if self._slot.discard():
            self.diagnostics.frame_skipped(_DEACTIVATION)

    def cleanup(self) -> None:
        """Give up the outputs and the model, with its memory unless another node holds it.

        Raises:
            Vizion3dError: a frame is still in work.
        """
        if not self._slot.empty(_CLEANUP_TIMEOUT_S):
            raise Vizion3dError(f"a frame has been in work for {self._slot.busy_s:.0f} s and needs the model; try again later")
        while self._outputs:
            self.destroy_publisher(self._outputs.popitem()[1])
        self._release_estimator()
        return_freed_memory()

    def _open_accounts(self) -> None:
        """Count from 0: frames, messages, and what became of them."""
        self.diagnostics = FrameDiagnostics()
        self._slot.replaced = 0
        self._inputs = SyncedInputs(
            self, self.inputs(), self._submit, self.warn, self._on_error, first_alone=self._first_input_alone
        )
        if self.settings.image_transport == "compressed":
            self._inputs.use_compressed()
        self._configure_inputs()

    def _find_estimator(self) -> E:
        options = self.model_options()
        estimator = self._estimators.get(options)
        if estimator is None:
            estimator = self.open_estimator()
            estimator.warm_up()
            self._estimators[options] = estimator
        return estimator

    def _release_estimator(self) -> None:
        vars(self).pop("estimator", None)
        self._model_facts = {}
        if self._given_estimator is None:
            gc.collect()
            if torch.cuda.is_initialized():
                torch.cuda.empty_cache()

    @property
    def _configured(self) -> bool:
        return "estimator" in vars(self)

    def destroy_node(self) -> None:
        """Stop working, release memory and destroy the node; a frame that is still in work keeps what it needs."""
        finished = self._slot.close(_STOP_TIMEOUT_S)
        if self._own_worker is not None:
            finished = self._own_worker.stop(_STOP_TIMEOUT_S) and finished
        self._core_log.close()
        if finished:
            vars(self).pop("estimator", None)  # not there if it could not be loaded
            if torch.cuda.is_initialized():
                torch.cuda.empty_cache()
        super().destroy_node()

    # What a node defines

    def open_estimator(self) -> E:
        """The estimator that the parameters describe."""
        raise NotImplementedError

    def model_options(self) -> Hashable:
        """All that `open_estimator` depends on."""
        raise NotImplementedError

    def describe(self) -> str:
        """How it runs, for the line that says that the node is ready."""
        return self.estimator.describe()

    def inputs(self) -> dict[str, type]:
        """What makes a frame: topic -> message type with a header, one message of each, matched by stamp."""
        raise NotImplementedError

    def topics(self) -> dict[str, type]:
        """The outputs that there will be: topic -> message type."""
        raise NotImplementedError

    def views(self) -> dict[str, type]:
        """Outputs besides these that are made for who listens and for nobody else, whatever `lazy` is."""
        return {}

    def publish_frame(self, messages: tuple[Any, ...]) -> None:
        """Turn one message of each input into the outputs that are listened to, and publish them."""
        raise NotImplementedError

    def settings_changed(self) -> None:
        """Called when `settings` are new, at the start as well."""

    def model_facts(self) -> dict[str, str]:
        """What the diagnostics say of the model that `open_estimator` opens."""
        return {}

    def diagnostic_values(self) -> dict[str, Any]:
        """More values for the diagnostics."""
        return {}

    def trouble(self) -> tuple[bytes, str] | None:
        """Level and text of what is wrong although frames are published, None if nothing is."""
        return None

    # What a node uses

    @property
    def frame_waits(self) -> bool:
        """Whether the worker has something better to do than what can wait."""
        return self._slot.item_waits

    def listened(self, *topics: str) -> bool:
        """Whether anybody listens to one of these outputs, or to any at all; always if `lazy` is off, never while inactive."""
        if self._active and not self.settings.lazy:
            return True
        return any(map(self._has_listener, topics or self._outputs))

    def _has_listener(self, topic: str) -> bool:
        return self._active and self._outputs[topic].get_subscription_count() > 0

    def publish(self, makers: dict[str, Callable[[], Any]]) -> None:
        """Make and publish the messages of the topics that somebody listens to."""
        views = self.views()
        with self.diagnostics.stage("publish"), torch.inference_mode():
            for topic, make in makers.items():
                with self._publishing:
                    wanted = self._has_listener(topic) if topic in views else self.listened(topic)
                    if wanted and (topic != _CLOUD or self._cloud_is_due()):
                        message = make()
                        self._outputs[topic].publish(message)
                        self._advise_on_size(topic, message)

    def _cloud_is_due(self) -> bool:
        due = self._cloud_rate.admits(self.settings.points_rate, self._arrived_s)
        self.diagnostics.clouds_skipped += not due
        return due

    def _advise_on_size(self, topic: str, message: Any) -> None:
        """Tell, once a topic, that its messages are larger than the transport likes."""
        data = getattr(getattr(message, "image", message), "data", b"")
        if topic not in self._advised and (problem := fast_dds.message_problem(topic, len(data))):
            self._advised.add(topic)
            self.get_logger().warning(problem)

    def warn(self, about: str, text: str) -> None:
        """Log a warning; about the same thing at most once in ten seconds."""
        if self.diagnostics.may_warn(about):
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
            self.diagnostics.forget_error()

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> SetParametersResult:
        """See rclpy's `Node`; what comes by service comes through here. A whole number is taken where a number is wanted."""
        return super().set_parameters_atomically(parameters.as_doubles(type(self.settings), parameter_list))

    def _on_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        try:
            settings = parameters.updated(self.settings, {change.name: change.value for change in changes})
            if self._configured and (fixed := parameters.fixed_difference(self.settings, settings)):
                raise InputError(
                    f"parameter {fixed} is set at start, or while the node is unconfigured, and it is {self.state}: deactivate "
                    "and clean it up before, by ros2 lifecycle set"
                )
        except InputError as error:
            return SetParametersResult(successful=False, reason=str(error))
        if settings != self.settings:
            self.settings = settings
            if self._configured:
                self.settings_changed()
                self._configure_inputs()
                self._update_inputs()
        return SetParametersResult(successful=True)

    def _configure_inputs(self) -> None:
        tolerance_s = self.settings.approximate_sync_tolerance_seconds if self.settings.approximate_sync else 0.0
        self._inputs.configure(tolerance_s, self.settings.queue_size, self.settings.sync_queue_seconds)

    # Frames

    def _submit(self, messages: tuple[Any, ...]) -> None:
        now_s = time.monotonic()
        rate_hz, reason = self._highest_rate()
        if self._frame_rate.admits(rate_hz, now_s):
            self._slot.submit((now_s, messages))
        else:
            self.diagnostics.frame_skipped(reason)

    def _highest_rate(self) -> tuple[float, str]:
        """How many frames a second are of use, 0 for all, and what says so."""
        max_rate, points_rate = self.settings.max_rate, self.settings.points_rate
        if points_rate and not self.listened(*(topic for topic in self._outputs if topic != _CLOUD)):
            return min(max_rate or points_rate, points_rate), "points_rate, nothing but points2 is listened to"
        return max_rate, "max_rate"

    def _work_on(self, item: tuple[float, tuple[Any, ...]]) -> None:
        arrived, messages = item
        diagnostics = self.diagnostics
        if not self.listened():
            diagnostics.frame_skipped("nobody listens any more" if self._active else _DEACTIVATION)
            return
        self._arrived_s = arrived
        diagnostics.add("wait", time.monotonic() - arrived)
        with self._core_log.speaking():
            self.publish_frame(messages)
        if not self._active:
            diagnostics.frame_skipped(_DEACTIVATION)
            return
        took_s = time.monotonic() - arrived
        diagnostics.add("arrival to publish", took_s)
        age_s = (self.get_clock().now().nanoseconds - stamp_ns(messages[0].header.stamp)) / 1e9
        if 0 <= age_s < took_s + _MAX_AGE_AT_ARRIVAL_S:  # else stamps are of another clock: a bag without /clock, no stamps
            diagnostics.add("stamp to publish", age_s)
        diagnostics.frame_done()
        self.get_logger().debug(f"frame {stamp_ns(messages[0].header.stamp)} published {1e3 * took_s:.1f} ms after its arrival")

    def _on_error(self, error: Exception) -> None:
        if not self.context.ok():
            return  # the frame in work at shutdown cannot publish any more
        text = str(error) if isinstance(error, Vizion3dError) else f"{type(error).__name__}: {error}"
        self.diagnostics.frame_failed(text)
        # Numbers differ from frame to frame; the same mistake with other numbers is the same mistake.
        self.warn(re.sub(r"\d+", "#", text), f"frame skipped: {text}")
        if not isinstance(error, Vizion3dError):
            logging.getLogger("vizion3d").debug("unexpected", exc_info=error)

    # Diagnostics

    def _report(self) -> None:
        """Say why no frames come."""
        self._inputs.report()
        if self._inputs.active and self.get_parameter("use_sim_time").value and not self.get_clock().now().nanoseconds:
            publishers = self.count_publishers("/clock")
            state = "nothing has come on /clock" if publishers else "nobody publishes /clock"
            self.warn("clock", f"use_sim_time is true but {state}: play the bag with --clock, or set use_sim_time to false")

    def _tell_long_frame(self) -> None:
        """Say that a frame takes its time, and again when it, or another, has taken twice that."""
        seconds = self._slot.busy_s
        if seconds > max(_LONG_FRAME_S, 2 * self._told_frame_s):
            self._told_frame_s = seconds
            self.get_logger().info(
                f"a frame has been in work for {seconds:.0f} s ({self.estimator.describe()}); what comes meanwhile is replaced "
                "by what is newer. Smaller images, a smaller model or a GPU are faster"
            )

    def _publish_diagnostics(self) -> None:
        runs_as = self.estimator.describe() if self._configured else "nothing is loaded"
        status = DiagnosticStatus(name=f"{self.get_fully_qualified_name()[1:]}: depth", hardware_id=runs_as)
        status.level, status.message = self._health()
        diagnostics, pairing = self.diagnostics, self._inputs.pairing
        values: dict[str, Any] = {
            "lifecycle": self.state,
            "state": "listened to" if self._inputs.active else "idle, no listener",
            **{f"rate in, {topic} (Hz)": f"{rate:.2f}" for topic, rate in self._inputs.rates_hz().items()},
            "rate out (Hz)": f"{diagnostics.rate_hz():.2f}",
            **self._model_facts,
            "runs as": runs_as,
            "frames received": self._inputs.frames,
            "frames published": diagnostics.frames,
            "frames failed": diagnostics.failed,
            "frames replaced by a newer one": self._slot.replaced,
            "frames waiting or in work": self._slot.pending,
            "point clouds skipped by points_rate": diagnostics.clouds_skipped,
            "stamps went back": pairing.jumps_back,
        }
        values |= {f"frames skipped by {reason}": count for reason, count in [*diagnostics.skipped.items()]}
        if torch.cuda.is_initialized():
            values["GPU memory of this process (MB)"] = f"{torch.cuda.memory_allocated() / 1e6:.0f}"
        values |= {f"received {topic}": count for topic, count in self._inputs.received.items()}
        values |= {f"dropped {reason}": count for reason, count in self._inputs.dropped.items()}
        for stage, milliseconds in diagnostics.percentiles_ms().items():
            values[f"{stage} p50/p95/max (ms)"] = " / ".join(f"{value:.1f}" for value in milliseconds)
        values |= self.diagnostic_values()
        status.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics_publisher.publish(message)

    def _health(self) -> tuple[bytes, str]:
        if error := self.diagnostics.error:
            return DiagnosticStatus.ERROR, error
        if self.failure:
            return DiagnosticStatus.ERROR, self.failure
        if not self._active:
            return DiagnosticStatus.OK, self.state
        if not self._inputs.active:
            return DiagnosticStatus.OK, "idle, no listener"
        if (seconds := self._slot.busy_s) > _LONG_FRAME_S:
            return DiagnosticStatus.OK, f"a frame has been in work for {seconds:.0f} s"
        if not self.diagnostics.rate_hz():
            return DiagnosticStatus.WARN, "no frame in the last 5 s"
        return self.trouble() or (DiagnosticStatus.OK, "running")
