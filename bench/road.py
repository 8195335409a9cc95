# SPDX-License-Identifier: Apache-2.0
"""sgbm and the messages of a frame beside what cannot be avoided, on one thread and a drawn pair of 960x540.

What is compared runs in turns in one process, in processor seconds, medians, which a machine that does other things at the
time prolongs least. "memcpy" copies as many bytes as the messages of a frame hold, those that carry numbers; sigma, colours
and compressed pictures, made only for who listens, have a row without a target. "plain" is OpenCV's StereoSGBM 3WAY on the
grey images with sgbm's own parameters, searching 160 px, a sixth of the width, as sgbm counts it. sgbm itself searches 192 px,
so that what is nearer is not taken for something far, and from the first column on.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np

from bench.target import Target
from vizion3d.camera import PinholeCamera, StereoRig
from vizion3d.options import ValidityLimits
from vizion3d.runtime.memory import keep_freed_memory
from vizion3d.runtime.threads import set_threads
from vizion3d.stereo import StereoDepthEstimator
from vizion3d.stereo.matchers.sgbm.search import open_matcher, search, search_right
from vizion3d.stereo.resize import ResizePlan
from vizion3d.stereo.search_range import BEYOND_PX
from vizion3d.synthetic import default_scene, render_stereo

WIDTH, HEIGHT = 960, 540
RANGE_PX = WIDTH // 6
NUMBERS = ("depth/image_rect", "depth/camera_info", "disparity", "points2", "reason", "confidence", "occlusion")
"""Topics that the targets are about."""
RIG = StereoRig(PinholeCamera(WIDTH, HEIGHT, 700, 700, WIDTH / 2, HEIGHT / 2), 0.12)


def targets() -> Iterator[Target]:
    """All rows, if there is a ROS."""
    if importlib.util.find_spec("rclpy") is None:
        return
    set_threads(1)
    keep_freed_memory()
    frame = render_stereo(default_scene(), RIG)
    yield from of_messages(frame)
    yield from of_sgbm(frame)


def of_messages(frame: Any) -> Iterator[Target]:
    """Everything between the matcher and the middleware."""
    from std_msgs.msg import Header

    from vizion3d_ros.conversions import point_cloud

    prediction = StereoDepthEstimator("sgbm").estimate(frame.left, frame.right, RIG)
    points = prediction.points(ValidityLimits())
    sent = messages(frame, prediction, edge_filter=False).values()
    count = sum(len(getattr(getattr(message, "image", message), "data", b"")) for message in sent)
    of_cloud = len(point_cloud(points, frame.left, Header()).data)
    source, copy = np.ones((2, count), np.uint8)
    found = seconds(
        31,
        {
            "memcpy": lambda: np.copyto(copy, source),
            "memcpy of the cloud": lambda: np.copyto(copy[:of_cloud], source[:of_cloud]),
            "packing": lambda: point_cloud(points, frame.left, Header()),
            "messages": lambda: messages(frame, prediction, edge_filter=False),
            "filtered": lambda: messages(frame, prediction, edge_filter=True),
            "others": lambda: messages(frame, prediction, edge_filter=False, of_numbers=False),
        },
    )
    memcpy = found["memcpy"]
    yield Target("packing of the cloud", "memcpy", found["packing"] / memcpy, 6, found["memcpy of the cloud"] / memcpy)
    yield Target("messages of numbers without edge filter", "memcpy", found["messages"] / memcpy, 9, 1)
    yield Target("messages of numbers with edge filter", "memcpy", found["filtered"] / memcpy, 14, 1)
    yield Target("sigma, colours and compressed pictures", "memcpy", found["others"] / memcpy)


def messages(frame: Any, prediction: Any, *, edge_filter: bool, of_numbers: bool = True) -> dict[str, Any]:
    """The messages of a frame on `NUMBERS`, or on all other topics; of a copy of the prediction, with nothing computed yet."""
    from std_msgs.msg import Header

    from vizion3d_ros.settings import StereoFrameSettings
    from vizion3d_ros.stereo_frames import StereoPair, outputs

    pair = StereoPair(frame.left, frame.right, RIG, Header())
    makers = outputs(dataclasses.replace(prediction), pair, StereoFrameSettings(cloud_edge_filter=edge_filter))
    return {topic: make() for topic, make in makers.items() if (topic in NUMBERS) is of_numbers}


def of_sgbm(frame: Any) -> Iterator[Target]:
    """The matcher beside OpenCV's own; its ceiling are its two searches."""
    estimator = StereoDepthEstimator("sgbm")
    pair = [estimator._at_working_size(image, ResizePlan.fit(HEIGHT, WIDTH)) for image in (frame.left, frame.right)]
    views = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (frame.left, frame.right)]
    halves = [cv2.resize(view, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for view in views]
    searched = RANGE_PX + BEYOND_PX
    found = seconds(
        9,
        {
            "plain": lambda: open_matcher(RANGE_PX).compute(*views),
            "plain, as far": lambda: open_matcher(searched).compute(*views),
            "search": lambda: search(*views, searched),
            "check": lambda: search_right(*halves, searched / 2),
            "match": lambda: estimator.matcher.match(*pair),
            "frame": lambda: messages(frame, estimator.estimate(frame.left, frame.right, RIG), edge_filter=True),
        },
    )
    plain, searches = found["plain"], found["search"] + found["check"]
    yield Target("sgbm: left-right check", "plain", found["check"] / plain, 0.2)
    yield Target("sgbm: matcher", "plain", found["match"] / plain, 1.5, searches / plain)
    yield Target("sgbm: estimate and messages of numbers", "plain", found["frame"] / plain, 1.9, searches / plain)
    far = found["plain, as far"]
    yield Target("sgbm: matcher beside OpenCV searching as far", "plain, 192 px", found["match"] / far, None, searches / far)


def seconds(rounds: int, functions: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median processor seconds of functions that run in turns, after one turn that does not count."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds + 1):
        for name, function in functions.items():
            begun = time.process_time()
            function()
            times[name].append(time.process_time() - begun)
    return {name: statistics.median(found[1:]) for name, found in times.items()}
