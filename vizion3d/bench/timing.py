# SPDX-License-Identifier: Apache-2.0
"""Times of several things, taken in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch


def take_turns(
    runs: Mapping[str, Callable[[], Any]],
    rounds: int,
    device: torch.device,
    wall_clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Run each once to warm up, then each in turn, `rounds` times.

    Args:
        runs: what is run, by name.
        rounds: how many times each is measured.
        device: on a GPU its own events are read, which tell what it did and not when Python came back.
        wall_clock: in seconds; of the CPU.

    Returns:
        Seconds of each round by name.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    clock = _on_gpu if device.type == "cuda" else lambda run: _on_cpu(run, wall_clock)
    with torch.no_grad():
        for run in runs.values():
            clock(run)
        for _ in range(rounds):
            for name, run in runs.items():
                seconds[name].append(clock(run))
    return seconds


def _on_cpu(run: Callable[[], Any], wall_clock: Callable[[], float]) -> float:
    start = wall_clock()
    run()
    return wall_clock() - start


def _on_gpu(run: Callable[[], Any]) -> float:
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    run()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1e3
