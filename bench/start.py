# SPDX-License-Identifier: Apache-2.0
"""How long a node takes until it is ready, beside a process that does nothing but import torch."""

from __future__ import annotations

import importlib.util
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from bench.target import Target

ROUNDS = 3


def targets() -> Iterator[Target]:
    """One row, if there is a ROS."""
    if importlib.util.find_spec("rclpy") is None:
        return
    from vizion3d_ros.demo.domains import reserved_domain

    torch_s, node_s = [], []
    with reserved_domain() as domain:
        environment = {**os.environ, "ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
        for _ in range(ROUNDS):
            torch_s.append(import_torch_s())
            node_s.append(ready_s(environment))
    yield Target("stereo_depth_node ready", "import torch", statistics.median(node_s) / statistics.median(torch_s), 2.0, 1.0)


def import_torch_s() -> float:
    """Seconds of a process that imports torch."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return time.perf_counter() - start


def ready_s(environment: dict[str, str]) -> float:
    """Seconds until the node says that it is ready."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "vizion3d_ros.stereo_depth_node"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as node:
        assert node.stderr is not None
        for line in node.stderr:
            if "ready (" in line:
                break
        seconds = time.perf_counter() - start
        node.send_signal(signal.SIGINT)
        node.stderr.read()
    return seconds
