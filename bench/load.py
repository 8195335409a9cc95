# SPDX-License-Identifier: Apache-2.0
"""A node in trouble: too much input, nobody who listens, parameters all the time, a listener that stops, and deaths.

python -m bench.load prints the rows. The network takes 50 ms of a frame, asleep, so that a node can do less than 20 frames of
160x120 a second on any machine; all runs in turn. Frame times and rates are those of the same node in the same run.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import signal
import statistics
import subprocess
import time
from collections.abc import Iterator

from bench.live import Camera, Held, Probe
from bench.target import Target

ONLY_IF_NAMED = True
SIZE_WH = 160, 120
_NETWORK_S = "0.05"
_WARM_UP_S, _MEASURE_S = 1.0, 10.0
_TURNS, _TURN_S = 5, 4.0
_PARAMETERS_HZ = 20.0
_PATIENCE_S = 30.0


def targets() -> Iterator[Target]:
    """Rows by trouble, on Linux, if there is a ROS."""
    if importlib.util.find_spec("rclpy") is None or not os.path.exists("/proc/self/smaps_rollup"):
        return
    with Probe() as probe:
        node = _Node(probe)
        yield from node.idle()
        yield from node.overloaded()
        yield from node.stopped_listener()
        yield from node.parameters()
    with Probe() as probe:
        yield Target(
            "camera, node and listener die in every order, SIGKILL included: not overcome", "of 18", deaths(probe), 0, 0
        )


class _Node:
    """A node with a slow network, and what is measured of it."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._process = probe.start("bench.oracle", _NETWORK_S)
        self._ages_s: list[float] = []

    def idle(self) -> Iterator[Target]:
        """A camera, and nobody who wants depth."""
        probe = self._probe
        camera = probe.start("bench.live", "30", *map(str, SIZE_WH))
        probe.wait(lambda: probe.node.count_publishers("depth/image_rect") and probe.node.count_publishers("left/image_rect"))
        probe.spin(_WARM_UP_S + 3.0)
        before, start = Held.of(self._process.pid).cpu_s, time.monotonic()
        probe.spin(2 * _MEASURE_S)
        cpu = (Held.of(self._process.pid).cpu_s - before) / (time.monotonic() - start)
        probe.stop(camera)
        yield Target("node without listeners, camera at 30 Hz", "% of a core", 100 * cpu, 1.0, 0.0)

    def overloaded(self) -> Iterator[Target]:
        """Three times as many pairs as the node can take, in turns with as many as it can, and never two at once in vain."""
        from sensor_msgs.msg import Image

        probe = self._probe
        probe.listen("depth/image_rect", Image, lambda stamp_ns: self._ages_s.append(1e-9 * (time.time_ns() - stamp_ns)))
        camera = Camera(probe.node, SIZE_WH)
        probe.wait(lambda: camera.is_heard)
        self._unloaded_hz(camera)
        source = probe.start("bench.live", f"{3 * self._unloaded_hz(camera):.1f}", *map(str, SIZE_WH))
        self._measure()
        unloaded_hz, loaded_hz, ages_s = [], [], []
        for _ in range(_TURNS):
            source.send_signal(signal.SIGSTOP)
            unloaded_hz.append(self._unloaded_hz(camera))
            source.send_signal(signal.SIGCONT)
            rate_hz, ages = self._measure(_TURN_S)
            loaded_hz.append(rate_hz)
            ages_s += ages
        probe.stop(source)
        camera.close()
        self._rate_hz = statistics.median(unloaded_hz)
        p95_s = sorted(ages_s)[int(0.95 * len(ages_s))]
        yield Target("inputs at 3x what a node can do: p95 of stamp to arrival", "frame times", p95_s * self._rate_hz, 2.0, 1.0)
        yield Target("inputs at 3x: time a frame", "unloaded", self._rate_hz / statistics.median(loaded_hz), 1.05, 1.0)

    def _unloaded_hz(self, camera: Camera) -> float:
        """Rate of a node that always has one pair in work and one waiting."""
        self._probe.spin(0.5)  # what an earlier camera has sent comes meanwhile
        self._ages_s, sent, start = [], 0, time.monotonic()
        while (seconds := time.monotonic() - start) < _TURN_S:
            while sent - len(self._ages_s) < 2:
                camera.send(time.time_ns())
                sent += 1
            arrived = len(self._ages_s)
            self._probe.wait(lambda: len(self._ages_s) > arrived, 1.0)  # noqa: B023, it is called at once
        return len(self._ages_s) / seconds

    def stopped_listener(self) -> Iterator[Target]:
        """Another listener, reliable, that is alive and reads nothing any more."""
        probe = self._probe
        source = probe.start("bench.live", f"{0.8 * self._rate_hz:.1f}", *map(str, SIZE_WH))
        before_hz, _ = self._measure()
        listener = probe.start("bench.live", "listen", stdout=subprocess.PIPE)
        assert listener.stdout is not None
        listener.stdout.readline()
        listener.send_signal(signal.SIGSTOP)
        stopped_hz, _ = self._measure()
        listener.kill()
        listener.wait()
        probe.stop(source)
        yield Target("a listener stops reading: time a frame of another one", "before", before_hz / stopped_hz, 1.05, 1.0)

    def parameters(self) -> Iterator[Target]:
        """A parameter that is set again and again, each time to another value."""
        from rcl_interfaces.srv import SetParameters
        from rclpy.parameter import Parameter

        probe = self._probe
        probe.start("bench.live", f"{0.8 * self._rate_hz:.1f}", *map(str, SIZE_WH))
        before_hz, _ = self._measure()
        client = probe.node.create_client(SetParameters, "stereo_depth_node/set_parameters")
        futures: list = []

        def set_one() -> None:
            value = Parameter("z_far", value=10.0 + len(futures) % 20)
            futures.append(client.call_async(SetParameters.Request(parameters=[value.to_parameter_msg()])))

        timer = probe.node.create_timer(1 / _PARAMETERS_HZ, set_one)
        set_hz, _ = self._measure()
        timer.cancel()
        probe.spin(1.0)
        missing = sum(not (one.done() and one.result().results[0].successful) for one in futures)
        yield Target(f"parameters at 20 Hz: of {len(futures)} not set", "", missing, 0, 0)
        yield Target("parameters at 20 Hz: time a frame", "before", before_hz / set_hz, 1.05, 1.0)

    def _measure(self, measure_s: float = _MEASURE_S) -> tuple[float, list[float]]:
        """Rate of the depth images that arrive once they do, and their ages in order."""
        self._probe.spin(1.0)  # what an earlier camera has sent comes meanwhile
        self._ages_s = []
        self._probe.wait(lambda: len(self._ages_s) > 1)
        self._probe.spin(_WARM_UP_S)
        self._ages_s, start = [], time.monotonic()
        self._probe.spin(measure_s)
        return len(self._ages_s) / (time.monotonic() - start), sorted(self._ages_s)


def deaths(probe: Probe) -> int:
    """Camera, node and listener die and come again in every order; after how many deaths the listener heard no depth."""
    words = {
        "camera": ("bench.live", "10", *map(str, SIZE_WH)),
        "node": ("bench.oracle", "0"),
        "listener": ("bench.live", "listen"),
    }

    def start(name: str) -> subprocess.Popen[bytes]:
        return probe.start(*words[name], stdout=subprocess.PIPE if name == "listener" else None)

    alive = {name: start(name) for name in words}
    failures = int(not _hears(alive["listener"]))
    for number, order in zip(itertools.cycle((signal.SIGKILL, signal.SIGINT)), itertools.permutations(words), strict=False):
        for name in order:
            alive[name].send_signal(number)
            alive[name].wait()
            alive[name] = start(name)
            failures += not _hears(alive["listener"])
    return failures


def _hears(listener: subprocess.Popen[bytes]) -> bool:
    """Whether a listener hears depth from now on."""
    assert listener.stdout is not None
    os.set_blocking(listener.stdout.fileno(), False)
    time.sleep(0.5)
    listener.stdout.read()  # of what was before
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        if listener.stdout.read():
            return True
        time.sleep(0.05)
    return False


if __name__ == "__main__":
    for target in targets():
        print(target, flush=True)
