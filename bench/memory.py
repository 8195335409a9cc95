# SPDX-License-Identifier: Apache-2.0
"""The memory that S2M2-S takes in a process of its own, on one thread: python -m bench.memory prints the two numbers."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator

import torch

from bench.target import Target
from vizion3d import runtime
from vizion3d.runtime.memory import keep_freed_memory
from vizion3d.stereo.matchers.s2m2 import S2M2, pad


def targets() -> Iterator[Target]:
    """Two rows, on Linux."""
    if not os.path.exists("/proc/self/statm"):
        return
    command = [sys.executable, "-m", "bench.memory"]
    peak, growth = map(float, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    yield Target("S2M2-S 960x540: most memory beyond its weights", "GB", peak, 0.9)
    yield Target("S2M2-S: growth from the 10th to the 100th frame", "MB", growth, 1.0, 0.0)


def measure() -> tuple[float, float]:
    """The two numbers."""
    torch.set_num_threads(1)
    keep_freed_memory()  # as the nodes do
    network = runtime.load(S2M2(128, 1).eval().requires_grad_(False), "cpu")
    before = resident_bytes()  # the weights are in
    small = 255 * torch.rand(1, 3, 64, 96)
    held = []
    for _ in range(100):
        network(small, small)
        held.append(resident_bytes())
    image = pad(255 * torch.rand(1, 3, 540, 960))
    network(image, image)
    most = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (most - before) / 1e9, (held[-1] - held[9]) / 1e6


def resident_bytes() -> int:
    """What this process holds in memory."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    print(*measure())
