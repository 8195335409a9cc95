# SPDX-License-Identifier: Apache-2.0
"""What the measurements of nodes share: processes in a domain of their own, who talks to them, and what a process holds.

python -m bench.live RATE WIDTH HEIGHT NAMESPACE ...      a camera that sends pairs, stamped as they are sent
python -m bench.live listen                               a listener to depth/image_rect; a line for each image
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vizion3d_ros.demo.processes import end_with_parent

_TICKS = os.sysconf("SC_CLK_TCK")
_START_TIMEOUT_S = 120.0
_CWD = Path(__file__).parents[1]


@dataclass(frozen=True)
class Held:
    """What a process holds at a moment (Linux)."""

    memory_mb: float
    """Anonymous: without files and shared memory, whose pages come in as they are used."""
    threads: int
    descriptors: int
    shared_files: int
    """In /dev/shm."""
    cpu_s: float

    @classmethod
    def of(cls, pid: int) -> Held:
        """That of a process."""
        folder = Path(f"/proc/{pid}")
        rollup = dict(line.split(":", 1) for line in (folder / "smaps_rollup").read_text().splitlines()[1:])
        after_name = (folder / "stat").read_text().rpartition(")")[2].split()
        maps = (folder / "maps").read_text().splitlines()
        return cls(
            memory_mb=int(rollup["Anonymous"].split()[0]) / 1024,
            threads=int(after_name[17]),
            descriptors=len(list((folder / "fd").iterdir())),
            shared_files=len({line.split()[-1] for line in maps if "/dev/shm/" in line}),
            cpu_s=(int(after_name[11]) + int(after_name[12])) / _TICKS,
        )


def median_growth(held: Sequence[Held], of: str) -> float:
    """From the first to the last fifth of what was held, by the medians."""
    values = [getattr(one, of) for one in held]
    part = max(1, len(values) // 5)
    return statistics.median(values[-part:]) - statistics.median(values[:part])


class Camera:
    """Publishes drawn pairs to some namespaces.

    Args:
        node: that publishes.
        size_wh: of the images.
        namespaces: of the rigs; "" is none.
    """

    def __init__(self, node: Any, size_wh: tuple[int, int], namespaces: Sequence[str] = ("",)) -> None:
        from rclpy.qos import QoSProfile
        from std_msgs.msg import Header

        from vizion3d.camera import PinholeCamera, StereoRig
        from vizion3d.synthetic import default_scene, render_stereo
        from vizion3d_ros import conversions, stereo_frames

        self._node = node
        width, height = size_wh
        rig = StereoRig(PinholeCamera(width, height, 0.8 * width, 0.8 * width, width / 2 - 0.5, height / 2 - 0.5), 0.12)
        frame = render_stereo(default_scene(), rig)
        header = Header(frame_id="left_optical")
        self._messages = {
            "left/camera_info": conversions.camera_info(rig.left, header),
            "right/camera_info": conversions.camera_info(rig.right, header, rig.baseline_m),
            "left/image_rect": conversions.image_from_array(frame.left, "rgb8", header),
            "right/image_rect": conversions.image_from_array(frame.right, "rgb8", header),
        }
        self._publishers = [
            {
                topic: node.create_publisher(stereo_frames.INPUTS[topic], f"{space}/{topic}".lstrip("/"), QoSProfile(depth=2))
                for topic in self._messages
            }
            for space in namespaces
        ]

    @property
    def is_heard(self) -> bool:
        """Whether somebody listens to every topic."""
        return all(one.get_subscription_count() for publishers in self._publishers for one in publishers.values())

    def close(self) -> None:
        """Publish no more."""
        for publisher in (one for publishers in self._publishers for one in publishers.values()):
            self._node.destroy_publisher(publisher)
        self._publishers = []

    def send(self, stamp_ns: int) -> None:
        """One pair to each namespace."""
        for publishers in self._publishers:
            for topic, message in self._messages.items():
                message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
                publishers[topic].publish(message)


class Probe:
    """A node of this process, in a domain of its own in which processes can be started. A context manager."""

    def __enter__(self) -> Probe:
        import rclpy
        from rclpy.context import Context
        from rclpy.executors import SingleThreadedExecutor

        from vizion3d_ros import fast_dds
        from vizion3d_ros.demo.domains import reserved_domain

        self._reserved = reserved_domain()
        domain = self._reserved.__enter__()
        self.environment = {
            **os.environ,
            **fast_dds.environment(),
            "ROS_DOMAIN_ID": str(domain),
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
            "PYTHONUNBUFFERED": "1",
        }
        os.environ.update(self.environment)  # before the first participant
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self.node = rclpy.create_node("bench", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._processes: list[subprocess.Popen[bytes]] = []
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            self.stop(process)
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.try_shutdown()
        self._reserved.__exit__(None, None, None)

    def start(self, *words: str, stdout: int | None = None) -> subprocess.Popen[bytes]:
        """Run a module with Python, in the folder of this project; what it logs is thrown away."""
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            env=self.environment,
            cwd=_CWD,
            stdout=stdout,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
        self._processes.append(process)
        return process

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """End a process gently, so that it leaves nothing behind."""
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGINT)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def listen(self, topic: str, kind: type, heard: Callable[[int], object]) -> Any:
        """Call something with the stamp of each message, in nanoseconds."""
        from vizion3d_ros.conversions import stamp_ns

        return self.node.create_subscription(kind, topic, lambda message: heard(stamp_ns(message.header.stamp)), 10)

    def spin(self, seconds: float) -> None:
        """Let messages come in."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)

    def wait(self, condition: Callable[[], object], timeout_s: float = _START_TIMEOUT_S) -> bool:
        """Let messages come in until something holds; whether it does."""
        end = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > end:
                return False
            self._executor.spin_once(timeout_sec=0.05)
        return True

    def diagnostics(self) -> Callable[[], dict[str, dict[str, str]]]:
        """A function that gives the newest values of each depth node, by the name of the status."""
        from diagnostic_msgs.msg import DiagnosticArray

        found: dict[str, dict[str, str]] = {}

        def on_message(message: Any) -> None:
            found.update({one.name: {value.key: value.value for value in one.values} for one in message.status})

        self.node.create_subscription(DiagnosticArray, "/diagnostics", on_message, 10)

        def newest() -> dict[str, dict[str, str]]:
            found.clear()
            self.wait(lambda: found)
            self.spin(1.2)  # of each node one
            return dict(found)

        return newest


def count(values: dict[str, str], *beginnings: str) -> int:
    """The sum of the counts in diagnostics whose names begin so."""
    return sum(int(value) for key, value in values.items() if key.startswith(beginnings))


ENDED = "frames published", "frames failed", "frames replaced", "frames skipped", "frames waiting"
"""Beginnings of the counts that "frames received" is the sum of."""


def send_pairs(rate_hz: float, size_wh: tuple[int, int], namespaces: Sequence[str]) -> None:
    """The process of a camera, to its end by a signal."""
    with _own_node("camera") as node:
        camera = Camera(node, size_wh, namespaces)
        due = time.monotonic()
        while True:
            camera.send(time.time_ns())
            due = max(due + 1 / rate_hz, time.monotonic() - 1 / rate_hz)
            time.sleep(max(0.0, due - time.monotonic()))


def listen() -> None:
    """The process of a listener, to its end by a signal."""
    from rclpy.executors import SingleThreadedExecutor
    from sensor_msgs.msg import Image

    with _own_node("listener") as node:
        node.create_subscription(Image, "depth/image_rect", lambda _: print("depth", flush=True), 5)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        while True:
            executor.spin_once(timeout_sec=0.2)


@contextmanager
def _own_node(name: str) -> Iterator[Any]:
    """The node of this process, until it is interrupted."""
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what it starts in the background
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node(f"{name}_{os.getpid()}")
    try:
        yield node
    except KeyboardInterrupt:
        node.destroy_node()
        rclpy.shutdown()


if __name__ == "__main__":
    if sys.argv[1] == "listen":
        listen()
    else:
        send_pairs(float(sys.argv[1]), (int(sys.argv[2]), int(sys.argv[3])), sys.argv[4:] or [""])
