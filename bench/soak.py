# SPDX-License-Identifier: Apache-2.0
"""A node that works for long: what it holds does not grow, and every frame is accounted for.

python -m bench.soak [FRAMES] prints what was held on the way. Pairs of 64x48 go to a node in a process of its own over DDS, one
after the other as their depth arrives; every tenth time three at once, of which the node may replace one. All its outputs
are listened to.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Iterator

from bench.live import ENDED, Camera, Held, Probe, count, median_growth
from bench.target import Target

FRAMES = 20_000
ONLY_IF_NAMED = True
SIZE_WH = 64, 48
_BURST = 10
_STEP_NS = 100_000_000


def targets(frames: int = FRAMES, tell: bool = False) -> Iterator[Target]:
    """Five rows, on Linux, if there is a ROS."""
    if importlib.util.find_spec("rclpy") is None or not os.path.exists("/proc/self/smaps_rollup"):
        return
    held, unaccounted = soak(frames, tell)
    what = f"stereo node, frames {frames // 10} to {frames}"
    yield Target(f"{what}: growth", "MB", median_growth(held, "memory_mb"), 2.0, 0.0)
    for kind in ("threads", "descriptors", "shared_files"):
        yield Target(f"{what}: more {kind.replace('_', ' ')}", "", median_growth(held, kind), 0, 0)
    yield Target(f"stereo node, {frames} frames: without account", "frames", unaccounted, 0, 0)


def soak(frames: int, tell: bool) -> tuple[list[Held], int]:
    """What the node held after the first tenth of the frames, now and then; and frames that nothing is known of."""
    from vizion3d_ros import stereo_frames

    held: list[Held] = []
    with Probe() as probe:
        node = probe.start("bench.oracle", "0")
        newest = 0

        def heard(stamp_ns: int) -> None:
            nonlocal newest
            newest = max(newest, stamp_ns)

        for topic, kind in stereo_frames.OUTPUTS.items():
            probe.listen(topic, kind, heard if topic == "depth/image_rect" else lambda _: None)
        diagnostics = probe.diagnostics()
        camera = Camera(probe.node, SIZE_WH)
        probe.wait(lambda: camera.is_heard)
        sent = lost = 0
        stamp, start = time.time_ns(), time.monotonic()
        while sent < frames:
            for _ in range(1 if sent % _BURST else 3):
                stamp += _STEP_NS
                camera.send(stamp)
                sent += 1
            lost += not probe.wait(lambda: newest == stamp, 2.0)  # noqa: B023, it is called at once
            if sent % max(1, frames // 200) < 3 and sent > frames // 10:
                held.append(Held.of(node.pid))
                if tell and len(held) % 20 == 1:
                    print(
                        f"{sent:6d} frames, {sent / (time.monotonic() - start):.0f} Hz, {lost} without depth: {held[-1]}",
                        flush=True,
                    )
        values = next(iter(diagnostics().values()))
        received, frames_received = count(values, "received left/image_rect"), count(values, "frames received")
        if tell:
            print(f"lost before the node: {sent - received};", {key: values[key] for key in values if "frames" in key})
        unpaired = received - frames_received - count(values, "dropped left/image_rect", "dropped image")
        return held, abs(unpaired) + abs(frames_received - count(values, *ENDED))


if __name__ == "__main__":
    for target in targets(int(sys.argv[1]) if len(sys.argv) > 1 else FRAMES, tell=True):
        print(target)
