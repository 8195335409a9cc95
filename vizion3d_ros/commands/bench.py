# SPDX-License-Identifier: Apache-2.0
"""What `vizion3d bench --ros` measures: a depth node in a process of its own, fed by a drawn camera, listened to from here."""

from __future__ import annotations

import argparse
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vizion3d.errors import DependencyError, InputError
from vizion3d.option_records import walk
from vizion3d_ros.demo.processes import ros_args, running

if TYPE_CHECKING:
    from rclpy.node import Node

_START_TIMEOUT_S = 120.0  # loading a large network on a small machine
_DRAWN_PAIRS = 20  # the camera draws that many, slowly, before it repeats them
_INPUT, _OUTPUT = "left/camera_info", "depth/image_rect"
_MONO_TOPICS = {"image_raw": "left/image_rect", "camera_info": _INPUT, "depth/image_raw": _OUTPUT}
_DROPS = ("dropped ", "frames replaced", "frames failed")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add no subcommand but what `bench` needs for --ros."""
    subparsers.choices["bench"].set_defaults(measure_node=measure_node)


def measure_node(
    model: str, size_wh: tuple[int, int], rate_hz: float, seconds: float, values: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Run a node with that model and measure what comes out of it.

    Args:
        model: "sgbm", or what names weights.
        size_wh: of the camera.
        rate_hz: of the camera.
        seconds: how long to listen, once frames come.
        values: options by name.

    Returns:
        The page and the numbers.

    Raises:
        DependencyError: rclpy or a message package is missing.
        InputError: no frame came.
    """
    try:
        from vizion3d_ros.demo.domains import reserved_domain
        from vizion3d_ros.fast_dds import environment
    except ImportError as error:
        raise DependencyError(f"--ros needs rclpy ({error}): source the setup file of a ROS 2 installation") from error
    with reserved_domain() as domain:
        own = {"ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", **environment()}
        os.environ |= own
        with running(_commands(model, size_wh, rate_hz, values), os.environ, stdout=subprocess.DEVNULL):
            listener = _Listener(domain)
            try:
                listener.wait_for_frames()
                heard = listener.listen(seconds)
            finally:
                listener.close()
    found = {**heard.numbers(), "model": model, "size": list(size_wh), "rate_hz": rate_hz}
    return _page(found), found


def _commands(model: str, size_wh: tuple[int, int], rate_hz: float, values: Mapping[str, Any]) -> list[list[str]]:
    """Those of the camera and of the node, as modules of this package with arguments."""
    from vizion3d import weights
    from vizion3d.options import RobotMonoOptions, RobotStereoOptions
    from vizion3d.stereo.matchers import WITHOUT_WEIGHTS

    mono = model not in WITHOUT_WEIGHTS and weights.task_of(model) == "mono"
    kind = RobotMonoOptions if mono else RobotStereoOptions
    known = {name: field_.default for name, field_ in walk(kind)}
    parameters = {name: value for name, value in values.items() if name in known and value != known[name]} | {"model": model}
    camera = {"width": size_wh[0], "height": size_wh[1], "rate": float(rate_hz)}
    node = ros_args(parameters | ({"rectified": True} if mono else {}), _MONO_TOPICS if mono else {})
    return [
        ["demo.synthetic_camera_node", *ros_args(camera, {})],
        ["mono_depth_node" if mono else "stereo_depth_node", *node],
    ]


@dataclass
class _Heard:
    """What was heard of the camera and the node in a window of time.

    Attributes:
        seconds: of the window.
        sent: pairs that the camera has sent in it.
        ages_s: of the depth images that came in it, from their stamp to their arrival.
        before, after: the node's diagnostics at its ends.
    """

    seconds: float
    sent: int
    ages_s: list[float]
    before: dict[str, str] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)

    def numbers(self) -> dict[str, Any]:
        """As they are written down."""
        ages_ms = sorted(1e3 * age for age in self.ages_s)
        ranks = {f"p{part}": ages_ms[min(len(ages_ms) - 1, part * len(ages_ms) // 100)] for part in (50, 95, 99)}
        counts = {key: int(self.after[key]) - int(self.before.get(key, 0)) for key in self.after if key.startswith(_DROPS)}
        stages = {
            key.removesuffix(" p50/p95/max (ms)"): [float(word) for word in value.split(" / ")]
            for key, value in self.after.items()
            if key.endswith(" p50/p95/max (ms)")
        }
        return {
            "seconds": self.seconds,
            "sent": self.sent,
            "arrived": len(ages_ms),
            "arrived_hz": len(ages_ms) / self.seconds,
            "stamp_to_arrival_ms": ranks,
            "dropped": counts,
            "stages_ms": stages,
            "node": self.after.get("", ""),
        }


class _Listener:
    """Hears the camera and the node, in this process."""

    def __init__(self, domain: int) -> None:
        import rclpy
        from diagnostic_msgs.msg import DiagnosticArray
        from rclpy.context import Context
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.qos import QoSProfile, qos_profile_sensor_data
        from sensor_msgs.msg import CameraInfo, Image

        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self._node: Node = rclpy.create_node("bench", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._sent: set[int] = set()  # stamps of the pairs, by what came of them or of their depth
        self._ages_s: dict[int, float] = {}
        self._diagnostics: dict[str, str] = {}
        self._node.create_subscription(CameraInfo, _INPUT, self._on_input, QoSProfile(depth=100))
        self._node.create_subscription(Image, _OUTPUT, self._on_output, qos_profile_sensor_data)
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 1)

    def wait_for_frames(self) -> None:
        """Until the camera has drawn all that it repeats, and depth comes."""
        end = time.monotonic() + _START_TIMEOUT_S
        while len(self._sent) <= _DRAWN_PAIRS or not self._ages_s or not self._diagnostics:
            if time.monotonic() > end:
                raise InputError(
                    f"in {_START_TIMEOUT_S:.0f} s {len(self._sent)} pairs were sent and {len(self._ages_s)} depth images came, "
                    "see what the node says above; give a smaller --size or a lower --rate"
                )
            self._executor.spin_once(timeout_sec=0.2)

    def listen(self, seconds: float) -> _Heard:
        """What comes in so many seconds, and the diagnostics after them."""
        before, self._sent, self._ages_s = self._diagnostics, set(), {}
        start = time.monotonic()
        while (passed := time.monotonic() - start) < seconds:
            self._executor.spin_once(timeout_sec=min(0.2, seconds - passed))
        heard = _Heard(time.monotonic() - start, len(self._sent), [*self._ages_s.values()], before)
        if not heard.ages_s:
            raise InputError(f"no depth image came in {seconds:g} s; give more --seconds")
        self._diagnostics, end = {}, time.monotonic() + _START_TIMEOUT_S
        while not self._diagnostics and time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.2)
        heard.after = self._diagnostics
        return heard

    def close(self) -> None:
        """Leave."""
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()

    def _on_input(self, message: Any) -> None:
        self._sent.add(_stamp_ns(message))

    def _on_output(self, message: Any) -> None:
        stamp = _stamp_ns(message)
        self._sent.add(stamp)
        self._ages_s[stamp] = 1e-9 * (time.time_ns() - stamp)

    def _on_diagnostics(self, message: Any) -> None:
        for status in message.status:
            if status.name.endswith("_depth_node: depth"):
                self._diagnostics = {"": status.hardware_id, **{value.key: value.value for value in status.values}}


def _stamp_ns(message: Any) -> int:
    from vizion3d_ros.conversions import stamp_ns

    return stamp_ns(message.header.stamp)


def _page(found: Mapping[str, Any]) -> str:
    """The numbers for a reader."""
    width, height = found["size"]
    ranks = found["stamp_to_arrival_ms"]
    drops = ", ".join(f"{key}: {count}" for key, count in found["dropped"].items() if count) or "none"
    stages = [f"| {name} | {p50:.1f} | {p95:.1f} | {largest:.1f} |" for name, (p50, p95, largest) in found["stages_ms"].items()]
    return "\n".join(
        [
            f"{found['node']}, camera {width}x{height} at {found['rate_hz']:g} Hz, {found['seconds']:.1f} s",
            f"throughput: {found['arrived_hz']:.2f} Hz; {found['arrived']} depth images of {found['sent']} pairs arrived",
            f"not made into depth, by the node's own count: {drops}",
            f"stamp to arrival: p50 {ranks['p50']:.0f} ms, p95 {ranks['p95']:.0f} ms, p99 {ranks['p99']:.0f} ms",
            "",
            "| stage | p50 ms | p95 ms | max ms |",
            "|---|--:|--:|--:|",
            *stages,
        ]
    )
