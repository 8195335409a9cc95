# SPDX-License-Identifier: Apache-2.0
"""Speed without a GPU as ratios: what is wanted, what is measured, and what could not be beaten, side by side.

    python bench/targets.py [road sgbm network start]        without a name all of them, about two minutes

Everything runs on one thread and on a drawn pair of 960x540; what is compared runs in turns in one process, and counts in
processor seconds, medians, which a machine that does other things at the time prolongs least. memcpy copies as many bytes as
the messages of a frame hold. "plain" is OpenCV's StereoSGBM 3WAY on the grey images, searching 160 px. "mm" is one product of
two 2048x2048 float32 matrices.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

WIDTH, HEIGHT = 960, 540
RANGE_PX = WIDTH // 6
MM_GIGA_MACS = 2048**3 / 1e9


class Row(NamedTuple):
    """One line of the table; in units of what it is compared with."""

    what: str
    unit: str
    target: float
    measured: float
    ceiling: float
    """What is left if all but the unavoidable part cost nothing; NaN where nobody knows."""


def main() -> None:
    """Print a markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(PARTS), metavar="PART")
    parser.add_argument("--peak", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        print(network_peak_gb())
        return
    print("| | unit | target | measured | ceiling |\n|---|---|--:|--:|--:|")
    for part in options.parts:
        for row in PARTS[part]():
            print(f"| {row.what} | {row.unit} | {row.target:g} | {row.measured:.2f} | {row.ceiling:.2f} |", flush=True)


def seconds(rounds: int, functions: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median processor seconds of functions that run in turns, after one turn that does not count."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds + 1):
        for name, function in functions.items():
            begun = time.process_time()
            function()
            times[name].append(time.process_time() - begun)
    return {name: statistics.median(found[1:]) for name, found in times.items()}


def drawn_pair() -> Any:
    """A rectified pair as the node has it, decoded."""
    from std_msgs.msg import Header

    from vizion3d.camera import PinholeCamera, StereoRig
    from vizion3d.synthetic import default_scene, render_stereo
    from vizion3d_ros.stereo_frames import StereoPair

    rig = StereoRig(PinholeCamera(WIDTH, HEIGHT, 700, 700, WIDTH / 2, HEIGHT / 2), 0.12)
    frame = render_stereo(default_scene(), rig)
    return StereoPair(frame.left, frame.right, rig, Header())


def messages(prediction: Any, pair: Any, *, edge_filter: bool) -> dict[str, Any]:
    """All messages of a frame; of a copy of the prediction, which has nothing computed yet."""
    from vizion3d_ros import stereo_frames
    from vizion3d_ros.settings import StereoFrameSettings

    settings = StereoFrameSettings(cloud_edge_filter=edge_filter)
    makers = stereo_frames.outputs(dataclasses.replace(prediction), pair, settings)
    return {topic: make() for topic, make in makers.items()}


def road() -> Iterator[Row]:
    """Everything between the matcher and the middleware."""
    import numpy as np
    from std_msgs.msg import Header

    from vizion3d.options import ValidityLimits
    from vizion3d.stereo import StereoDepthEstimator
    from vizion3d_ros import conversions

    pair = drawn_pair()
    prediction = StereoDepthEstimator("sgbm").estimate(pair.left, pair.right, pair.rig)
    points = prediction.points(ValidityLimits())
    sent = messages(prediction, pair, edge_filter=False).values()
    count = sum(len(getattr(getattr(message, "image", message), "data", b"")) for message in sent)
    cloud = conversions.point_cloud(points, pair.left, Header())
    source, target = np.ones((2, count), np.uint8)
    found = seconds(
        31,
        {
            "memcpy": lambda: np.copyto(target, source),
            "memcpy of the cloud": lambda: np.copyto(target[: len(cloud.data)], source[: len(cloud.data)]),
            "packing": lambda: conversions.point_cloud(points, pair.left, Header()),
            "road": lambda: messages(prediction, pair, edge_filter=False),
            "road with edges": lambda: messages(prediction, pair, edge_filter=True),
        },
    )
    least, copied = found["memcpy of the cloud"] / found["memcpy"], found["memcpy"]
    yield Row("packing of the cloud", "memcpy", 6, found["packing"] / copied, least)
    yield Row("all messages, without the edge filter", "memcpy", 9, found["road"] / copied, 1)
    yield Row("all messages, with the edge filter", "memcpy", 14, found["road with edges"] / copied, 1)


def sgbm() -> Iterator[Row]:
    """The matcher beside OpenCV's own."""
    import cv2

    from vizion3d.stereo import StereoDepthEstimator
    from vizion3d.stereo.matchers.sgbm import search
    from vizion3d.stereo.search_range import BEYOND_PX

    pair = drawn_pair()
    estimator = StereoDepthEstimator("sgbm")
    left, right = (estimator._at_working_size(image, _whole(pair)) for image in (pair.left, pair.right))
    views = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (pair.left, pair.right)]
    halves = [cv2.resize(view, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for view in views]
    searched = RANGE_PX + BEYOND_PX
    prediction = estimator.estimate(pair.left, pair.right, pair.rig)
    found = seconds(
        9,
        {
            "plain": lambda: search.open_matcher(RANGE_PX).compute(*views),
            "match": lambda: estimator.matcher.match(left, right),
            "check": lambda: search.search_right(*halves, searched / 2),
            "search": lambda: search.search(*views, searched),
            "estimate": lambda: estimator.estimate(pair.left, pair.right, pair.rig),
            "messages": lambda: messages(prediction, pair, edge_filter=True),
        },
    )
    plain = found["plain"]
    both = (found["search"] + found["check"]) / plain
    yield Row("sgbm: left-right check", "plain", 0.2, found["check"] / plain, float("nan"))
    yield Row("sgbm: matcher", "plain", 1.5, found["match"] / plain, both)
    yield Row("sgbm: estimate and all messages", "plain", 1.9, (found["estimate"] + found["messages"]) / plain, both)


def _whole(pair: Any) -> Any:
    from vizion3d.stereo.resize import ResizePlan

    return ResizePlan.fit(*pair.left.shape[:2])


def network() -> Iterator[Row]:
    """S2M2-S with drawn weights."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from vizion3d import runtime
    from vizion3d.stereo.matchers.s2m2 import S2M2

    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        S2M2(128, 1).eval()(*torch.empty(2, 1, 3, 480, 640))
    loaded = runtime.load(S2M2(128, 1).eval(), "cpu")
    left, right = 255 * torch.rand(2, 1, 3, 480, 640)
    matrix = torch.rand(2048, 2048)
    found = seconds(
        3, {"mm": lambda: matrix @ matrix, "pass": lambda: loaded(left, right), "mm again": lambda: matrix @ matrix}
    )
    mm = min(found["mm"], found["mm again"])
    yield Row("S2M2-S, 640x480", "mm", 62, found["pass"] / mm, counter.get_total_flops() / 2e9 / MM_GIGA_MACS)
    peak = subprocess.run([sys.executable, __file__, "--peak"], check=True, capture_output=True, text=True).stdout
    yield Row("S2M2-S, 960x540: memory beyond the weights", "GB", 0.9, float(peak.split()[0]), float("nan"))
    yield Row("S2M2-S: growth from the 10th to the 100th frame", "MB", 0, float(peak.split()[1]), 0)


def network_peak_gb() -> str:
    """In a fresh process: GB that the network takes beyond its weights, and MB by which it grows in 90 more frames."""
    import torch

    from vizion3d import runtime
    from vizion3d.stereo.matchers.s2m2 import S2M2, pad

    torch.set_num_threads(1)
    model = S2M2(128, 1).eval()
    loaded = runtime.load(model, "cpu")
    before = resident_bytes()
    small = 255 * torch.rand(1, 3, 64, 96)
    for frame in range(100):
        loaded(small, small)
        if frame == 9:
            tenth = resident_bytes()
    grown = (resident_bytes() - tenth) / 1e6
    image = pad(255 * torch.rand(1, 3, HEIGHT, WIDTH))
    loaded(image, image)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return f"{(peak - before) / 1e9} {grown}"


def resident_bytes() -> int:
    """What this process holds in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def start() -> Iterator[Row]:
    """Programs beside the import of torch alone, each in a process of its own."""
    programs = {
        "torch": "import torch",
        "node": "import os, rclpy; from vizion3d_ros.stereo_depth_node import StereoDepthNode as Node; "
        "rclpy.init(); Node(); os._exit(0)",
        "command": "from vizion3d.cli import main; main(['stereo', '--help'])",
    }
    found = seconds_of_processes(3, {name: [sys.executable, "-c", code] for name, code in programs.items()})
    yield Row("start: stereo_depth_node, ready", "import torch", 2, found["node"] / found["torch"], 1)
    yield Row("start: vizion3d stereo", "import torch", 2, found["command"] / found["torch"], 1)


def seconds_of_processes(rounds: int, commands: dict[str, list[str]]) -> dict[str, float]:
    """Like `seconds`, for programs."""

    def spent() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds + 1):
        for name, command in commands.items():
            begun = spent()
            subprocess.run(command, check=True, capture_output=True)
            times[name].append(spent() - begun)
    return {name: statistics.median(found[1:]) for name, found in times.items()}


PARTS: dict[str, Callable[[], Iterator[Row]]] = {"road": road, "sgbm": sgbm, "network": network, "start": start}

if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    from vizion3d.runtime.memory import keep_freed_memory
    from vizion3d.runtime.threads import set_threads

    keep_freed_memory()
    set_threads(1)
    main()
