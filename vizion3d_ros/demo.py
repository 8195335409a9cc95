# SPDX-License-Identifier: Apache-2.0
"""The whole road in one command: a camera, a depth node and a viewer, three processes that talk over DDS.

python -m vizion3d_ros.demo                                          the synthetic camera
python -m vizion3d_ros.demo --bag DIR --left /stereo/left --right /stereo/right     a rosbag2 recording
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable

from vizion3d_ros import fast_dds

_STOP_TIMEOUT_S = 5
_DEMO_DOMAIN = "77"


def main(args: list[str] | None = None) -> int:
    """Run the demo; the exit status is the viewer's."""
    parser = argparse.ArgumentParser(prog="python -m vizion3d_ros.demo", description=__doc__.splitlines()[0])
    parser.add_argument("--bag", help="rosbag2 folder to play instead of the synthetic camera")
    parser.add_argument("--left", default="/left", help="namespace of image_rect and camera_info of the left camera in the bag")
    parser.add_argument("--right", default="/right", help="the same of the right camera")
    parser.add_argument("--rate", default="1.0", help="speed of the bag")
    parser.add_argument("--frames", default="", help="frames to watch (default 30, of a bag 6)")
    parser.add_argument("--model", default="sgbm", help="stereo matcher")
    parser.add_argument("--out", default="demo_out", help="folder for the results")
    options = parser.parse_args(args)
    remaps = [
        f"{side}/{topic}:={namespace.rstrip('/')}/{topic}"
        for side, namespace in (("left", options.left), ("right", options.right))
        for topic in ("image_rect", "camera_info")
    ]
    if options.bag:
        topics = [remap.partition(":=")[2] for remap in remaps]
        source = ["bag_player", options.bag, "--loop", "--rate", options.rate, "--wait-for-subscribers", *topics]
    else:
        remaps = []
        source = ["synthetic_camera_node"]
    viewer = _ros_args(
        {"frames": options.frames or (6 if options.bag else 30), "out": options.out, "truth": not options.bag}, remaps
    )
    environment = _environment()
    processes = []
    try:
        processes.append(_start(source[0], source[1:], environment))
        processes.append(_start("stereo_node", _ros_args({"model": options.model}, remaps), environment))
        processes.append(_start("viewer_node", viewer, environment))
        while all(process.poll() is None for process in processes):
            time.sleep(0.1)
        if processes[-1].poll() is None:
            print("error: the camera or the depth node ended early; see above", file=sys.stderr)
            return 1
        return processes[-1].returncode
    except KeyboardInterrupt:
        return 130
    finally:
        _stop(processes)


def _environment() -> dict[str, str]:
    """The large-message profile, and discovery on this machine only, in a domain of the demo's own."""
    return {
        "ROS_DOMAIN_ID": _DEMO_DOMAIN,
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        **fast_dds.environment(),
        **os.environ,
    }


def _ros_args(parameters: dict[str, object], remaps: Iterable[str]) -> list[str]:
    values = {name: str(value).lower() if isinstance(value, bool) else value for name, value in parameters.items()}
    words = [word for name, value in values.items() for word in ("-p", f"{name}:={value}")]
    return ["--ros-args", *words, *(word for remap in remaps for word in ("-r", remap))]


def _start(module: str, arguments: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"vizion3d_ros.{module}", *arguments]
    return subprocess.Popen(command, env=environment, start_new_session=True)


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in reversed(processes):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
    for process in processes:
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()


if __name__ == "__main__":
    sys.exit(main())
