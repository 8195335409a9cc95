# SPDX-License-Identifier: Apache-2.0
"""Real nodes in real processes, talking over real DDS with a node in the test's own process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from builtin_interfaces.msg import Time
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from vizion3d.camera import StereoRig
from vizion3d_ros import conversions, fast_dds

ENVIRONMENT = {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "PYTHONUNBUFFERED": "1", **fast_dds.environment()}
os.environ.update(ENVIRONMENT)  # Fast DDS reads it when the first participant is made
TIMEOUT_S = 40.0
# What is sent best effort before the receiver knows the sender is lost, although the sender knows the receiver already.
RESEND_AFTER_S = 3.0


class Process:
    """A program whose output goes to a file."""

    def __init__(self, command: list[str], domain: int) -> None:
        descriptor, name = tempfile.mkstemp(suffix=".log")
        self._log = Path(name)
        self._popen = subprocess.Popen(
            command,
            env={**os.environ, **ENVIRONMENT, "ROS_DOMAIN_ID": str(domain)},
            stdout=descriptor,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        os.close(descriptor)

    @property
    def log(self) -> str:
        """Everything printed so far."""
        return self._log.read_text(errors="replace")

    @property
    def pid(self) -> int:
        """Of the process, which leads a group of its own."""
        return self._popen.pid

    @property
    def is_alive(self) -> bool:
        return self._popen.poll() is None

    @property
    def resident_bytes(self) -> int:
        """Memory that it has in use."""
        pages = int(Path(f"/proc/{self._popen.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def interrupt(self) -> None:
        """Send SIGINT, as Ctrl-C does."""
        os.killpg(self._popen.pid, signal.SIGINT)

    def wait(self, timeout_s: float = TIMEOUT_S) -> int:
        """Wait for the end; the exit status."""
        return self._popen.wait(timeout_s)

    def stop(self) -> None:
        """End it gently, since a killed process leaves its shared memory behind, which can block a later one."""
        if self.is_alive:
            self.interrupt()
            try:
                self._popen.wait(TIMEOUT_S)
            except subprocess.TimeoutExpired:
                os.killpg(self._popen.pid, signal.SIGKILL)
                self._popen.wait()
        self._log.unlink()


class RosHarness:
    """Starts nodes, publishes to them and listens to them in one ROS domain. A context manager."""

    def __init__(self, domain: int) -> None:
        self.domain = domain
        self._processes: list[Process] = []
        self._last_send: Callable[[], None] | None = None
        self._sent_s = 0.0

    def __enter__(self) -> RosHarness:
        self._context = Context()
        rclpy.init(context=self._context, domain_id=self.domain)
        self.node = Node("test_probe", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.stop()
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)

    def start(self, module: str, *arguments: str, parameters: dict[str, Any] | None = None) -> Process:
        """Run a module of vizion3d_ros with ROS parameters."""
        words = [w for name, value in (parameters or {}).items() for w in ("-p", f"{name}:={_yaml(value)}")]
        ros_args = ["--ros-args", *words] if words else []
        process = Process([sys.executable, "-m", f"vizion3d_ros.{module}", *arguments, *ros_args], self.domain)
        self._processes.append(process)
        return process

    def start_script(self, path: Path, *arguments: str) -> Process:
        """Run a file with Python."""
        return self.start_program(Path(sys.executable), str(path), *arguments)

    def start_program(self, path: Path, *arguments: str) -> Process:
        """Run a program."""
        process = Process([str(path), *arguments], self.domain)
        self._processes.append(process)
        return process

    def start_stereo_node(self, **parameters: Any) -> Process:
        """A stereo_depth_node that is ready."""
        process = self.start("stereo_depth_node", parameters=parameters)
        self.wait_for(lambda: "ready (" in process.log or not process.is_alive, "the node to be ready")
        assert process.is_alive, process.log
        return process

    def listen(self, topic: str, kind: type, depth: int = 50) -> list[Any]:
        """A list that collects the messages of a topic."""
        messages: list[Any] = []
        self.node.create_subscription(kind, topic, messages.append, QoSProfile(depth=depth))
        return messages

    def wait_for(self, condition: Callable[[], Any], what: str, timeout_s: float = TIMEOUT_S) -> Any:
        """Spin until a condition holds; its value."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            result = condition()
            if result:
                return result
            self._spin_once()
        logs = "\n".join(process.log for process in self._processes)
        raise AssertionError(f"waited {timeout_s} s for {what}\n{logs}")

    def spin_for(self, seconds: float) -> None:
        """Let messages come in for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._spin_once()

    def send(self, publish: Callable[[], None]) -> None:
        """Publish something now, and once more whenever the test has waited in vain for a while."""
        self._last_send = publish
        self._sent_s = time.monotonic()
        publish()

    def _spin_once(self) -> None:
        self._executor.spin_once(timeout_sec=0.02)
        if self._last_send and time.monotonic() - self._sent_s > RESEND_AFTER_S:
            self.send(self._last_send)


class StereoSource:
    """Publishes rectified pairs from the test's process."""

    TOPICS = ("left/image_rect", "left/camera_info", "right/image_rect", "right/camera_info")

    def __init__(self, ros: RosHarness, skip: tuple[str, ...] = ()) -> None:
        self._ros = ros
        self.publishers = {
            topic: ros.node.create_publisher(Image if "image" in topic else CameraInfo, topic, QoSProfile(depth=5))
            for topic in self.TOPICS
            if topic not in skip
        }

    def wait_for_subscribers(self) -> None:
        """Until the node listens to every topic."""
        self._ros.wait_for(
            lambda: all(publisher.get_subscription_count() for publisher in self.publishers.values()),
            "subscriptions of the node",
        )

    def publish(self, left: np.ndarray, right: np.ndarray, rig: StereoRig, stamp_ns: int, **changes: Any) -> None:
        """Publish one pair, with single messages replaced: ``left_image=...`` for left/image_rect and so on."""
        header = make_header(stamp_ns)
        messages = {
            "left_camera_info": conversions.camera_info(rig.left, header),
            "right_camera_info": conversions.camera_info(rig.right, header, rig.baseline_m),
            "left_image_rect": conversions.image_from_array(left, "rgb8", header),
            "right_image_rect": conversions.image_from_array(right, "rgb8", header),
        } | changes
        self.send({topic: messages[topic.replace("/", "_")] for topic in self.publishers})

    def send(self, messages: dict[str, Any]) -> None:
        """Publish one message on each topic."""
        self._ros.send(lambda: [publisher.publish(messages[topic]) for topic, publisher in self.publishers.items()])

    def send_recording(self, path: Path, namespace: str, answers: Sequence[list[Any]]) -> set[int]:
        """Publish the pairs of a recording one by one: a node that is busy takes the newest, by design.

        Args:
            path: of the recording.
            namespace: of its two cameras.
            answers: lists that must get a message of a pair's stamp before the next pair is sent.

        Returns:
            The stamps, in ns.
        """
        from vizion3d_ros.bag.reader import BagReader

        pairs: dict[int, dict[str, Any]] = {}
        bag = BagReader(path)
        for topic, _, cdr in bag.messages([f"{namespace}/{name}" for name in self.TOPICS]):
            message = deserialize_message(bytes(cdr), CameraInfo if topic.endswith("info") else Image)
            pairs.setdefault(conversions.stamp_ns(message.header.stamp), {})[topic.removeprefix(f"{namespace}/")] = message
        bag.close()
        for stamp, messages in pairs.items():
            self.send(messages)
            self._ros.wait_for(lambda stamp=stamp: all(stamp in by_stamp(answer) for answer in answers), f"answers to {stamp}")
        return set(pairs)


def installed_program(package: str, program: str) -> Path:
    """A program of a ROS package; the test is skipped where that is not installed."""
    packages = pytest.importorskip("ament_index_python.packages", reason="ament_index_python is not installed")
    try:
        return Path(packages.get_package_prefix(package)) / "lib" / package / program
    except (packages.PackageNotFoundError, OSError):  # OSError: no ROS is sourced
        pytest.skip(f"{package} is not installed")


def make_header(stamp_ns: int, frame_id: str = "left_optical") -> Header:
    """A header with a stamp in nanoseconds."""
    return Header(stamp=Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9), frame_id=frame_id)


def by_stamp(messages: Iterable[Any]) -> dict[int, Any]:
    """Messages by their stamps in ns; of equal ones, which are answers to what was sent twice, the last."""
    return {conversions.stamp_ns(message.header.stamp): message for message in messages}


def float_map(message: Image) -> np.ndarray:
    """(H, W) float32 of a 32FC1 image."""
    assert message.encoding == "32FC1" and not message.is_bigendian and message.step == 4 * message.width
    return np.frombuffer(message.data, "<f4").reshape(message.height, message.width)


def _yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
