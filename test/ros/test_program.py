# SPDX-License-Identifier: Apache-2.0
"""The programs as processes: whatever signal comes, and whenever, they end quietly; and the demo leaves nobody behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from ros_harness import ENVIRONMENT, TIMEOUT_S

from vizion3d_ros.demo.domains import reserved_domain

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def start():
    """Start a module as a program, with SIGINT ignored as a shell does for what it starts in the background."""
    processes: list[subprocess.Popen[str]] = []
    with reserved_domain() as domain:

        def start(*command: str, **environment: str) -> subprocess.Popen[str]:
            before = signal.signal(signal.SIGINT, signal.SIG_IGN)
            try:
                processes.append(
                    subprocess.Popen(
                        [sys.executable, "-m", *command],
                        env={**os.environ, **ENVIRONMENT, "ROS_DOMAIN_ID": str(domain), **environment},
                        cwd=REPOSITORY,
                        stdout=subprocess.PIPE,
                        stderr=subprocess.STDOUT,
                        text=True,
                        start_new_session=True,
                    )
                )
            finally:
                signal.signal(signal.SIGINT, before)
            return processes[-1]

        yield start
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()


def read_until(process: subprocess.Popen[str], text: str) -> None:
    """Read the output up to a line with this text."""
    lines = []
    while line := process.stdout.readline():
        lines.append(line)
        if text in line:
            return
    raise AssertionError(f"ended without {text!r}: {lines}")


def end_quietly(process: subprocess.Popen[str], *signals: signal.Signals) -> None:
    """The signals end it with status 0, and it says nothing of them."""
    for number in signals:
        if process.poll() is None:
            os.killpg(process.pid, number)
        time.sleep(0.05)
    output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, output
    told = [line for line in output.splitlines() if "[INFO]" not in line and "nobody publishes" not in line]
    assert not told


@pytest.mark.parametrize(
    "signals",
    [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM,), (signal.SIGHUP,), (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)],
    ids=lambda signals: " ".join(number.name for number in signals),
)
def test_signals_end_a_running_node_quietly(start, signals):
    node = start("vizion3d_ros.stereo_depth_node")
    read_until(node, "ready (")
    end_quietly(node, *signals)


@pytest.mark.parametrize(
    ("module", "delay_s"),
    [
        ("stereo_depth_node", 0.6),
        ("stereo_depth_node", 1.2),
        ("stereo_depth_node", 1.8),
        ("demo.depth_viewer_node", 1.5),
        ("demo.synthetic_camera_node", 1.5),
    ],
)
def test_signals_during_the_start_are_quiet_too(start, module, delay_s):
    process = start(f"vizion3d_ros.{module}")
    time.sleep(delay_s)  # anywhere between the first import and the first message, as the machine has it
    end_quietly(process, signal.SIGINT, signal.SIGINT)


def test_nohup_is_respected(start):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        node = start("vizion3d_ros.stereo_depth_node")
    finally:
        signal.signal(signal.SIGHUP, before)
    read_until(node, "ready (")
    os.killpg(node.pid, signal.SIGHUP)
    time.sleep(1)
    assert node.poll() is None
    end_quietly(node, signal.SIGINT)


def test_an_end_that_hangs_is_cut_off():
    """As in a deadlock of the middleware: a destructor that never returns and never lets Python run."""
    script = (
        "import ctypes\n"
        "from vizion3d_ros import program\n"
        "program._END_TIMEOUT_S = 0.5\n"
        "class Stuck:\n"
        "    def destroy_node(self):\n"
        "        ctypes.PyDLL(None).pause()\n"  # PyDLL keeps the interpreter's lock
        "program.end(Stuck())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, timeout=TIMEOUT_S, capture_output=True, text=True)
    assert done.returncode == 1
    assert "destroy_node" in done.stderr  # where it hung


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP, signal.SIGKILL], ids=lambda n: n.name)
def test_the_demo_ends_its_children_however_it_ends(start, tmp_path, number):
    demo = start("vizion3d_ros.demo", "--out", str(tmp_path), "--frames", "1000000")
    read_until(demo, "frame   1")
    started = children(demo.pid)
    assert len(started) == 3
    os.kill(demo.pid, number)
    demo.wait(TIMEOUT_S)
    deadline_s = time.monotonic() + TIMEOUT_S
    while alive := [pid for pid in started if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < deadline_s, f"{alive} of {started} still run"
        time.sleep(0.05)
    assert "Traceback" not in demo.stdout.read()


def test_a_wrong_bag_is_told_in_one_sentence(start, tmp_path):
    demo = start("vizion3d_ros.demo", "--bag", str(tmp_path / "none"), "--left", "/l", "--right", "/r", "--out", str(tmp_path))
    output, _ = demo.communicate(timeout=TIMEOUT_S)
    assert demo.returncode == 1
    told = [line for line in output.splitlines() if "[INFO]" not in line and "[WARN]" not in line]
    assert len(told) == 2, output
    assert "none" in told[0] and "does not exist" in told[0]
    assert told[1] == "error: the camera or the depth node ended early; see above"


@pytest.mark.parametrize("arguments", [["z_far:=3"], ["--z-far", "3", "--ros-args", "-p", "model:=sgbm"]])
def test_arguments_that_nobody_reads_are_refused(start, arguments):
    node = start("vizion3d_ros.stereo_depth_node", *arguments)
    output, _ = node.communicate(timeout=TIMEOUT_S)
    text = " ".join(arguments).partition(" --ros-args")[0]
    assert node.returncode == 2
    assert output == f"error: what is {text}? Parameters are given as: --ros-args -p NAME:=VALUE\n"


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes on Linux")
@pytest.mark.parametrize("command", [["demo.depth_viewer_node", "--ros-args", "-p", "out:=b\udce9"], ["bag.player", "b\udce9"]])
def test_an_argument_that_is_not_utf_8_is_told_in_one_sentence(start, command):
    process = start(f"vizion3d_ros.{command[0]}", *command[1:])
    output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 2
    assert re.fullmatch(
        r"error: the argument '.*b\\udce9' is not UTF-8, which ROS wants: rename it, or give a link to it\n", output
    )
