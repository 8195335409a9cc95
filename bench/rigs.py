# SPDX-License-Identifier: Apache-2.0
"""Several rigs in one process beside single nodes: processor time of a frame, and memory, as the rigs become more.

python -m bench.rigs                prints the rows. Each rig gets pairs of 160x120 at 5 Hz, and somebody listens to depth and
cloud. "oracle" is a network that costs nothing. Processor seconds, which a busy machine prolongs least.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator

from bench.live import Held, Probe, count
from bench.target import Target

RIGS = 1, 2, 4, 8
ONLY_IF_NAMED = True
SIZE_WH = 160, 120
RATE_HZ = 5.0
_WARM_UP_S, _MEASURE_S = 4.0, 12.0


def targets() -> Iterator[Target]:
    """Rows by number of rigs and model, on Linux, if there is a ROS."""
    if importlib.util.find_spec("rclpy") is None or not os.path.exists("/proc/self/smaps_rollup"):
        return
    for model in ("oracle", "sgbm"):
        found = {rigs: measure(model, rigs) for rigs in RIGS}
        alone_ms, alone_mb = found[1]
        yield Target(f"{model}: a frame of a single node", "ms of processor", alone_ms)
        for rigs in RIGS[1:]:
            yield Target(
                f"{model}: a frame of one of {rigs} rigs, more than that", "ms of processor", found[rigs][0] - alone_ms, 1
            )
        yield Target(f"{model}: memory of 4 rigs", "of one", found[4][1] / alone_mb, 1.2, 1)


def measure(model: str, rigs: int) -> tuple[float, float]:
    """Milliseconds of processor a frame, and MB, of a process with so many rigs."""
    from sensor_msgs.msg import Image, PointCloud2

    namespaces = [f"/rig{number}" for number in range(rigs)]
    with Probe() as probe:
        process = probe.start("bench.rigs", model, str(rigs))
        heard = dict.fromkeys(namespaces, 0)
        for space in namespaces:
            probe.listen(f"{space}/depth/image_rect", Image, lambda _, space=space: heard.update({space: heard[space] + 1}))
            probe.listen(f"{space}/points2", PointCloud2, lambda _: None)
        diagnostics = probe.diagnostics()
        probe.start("bench.live", str(RATE_HZ), *map(str, SIZE_WH), *namespaces)
        probe.wait(lambda: all(heard.values()))
        probe.spin(_WARM_UP_S)

        def published() -> int:
            return sum(count(values, "frames published") for values in diagnostics().values())

        frames, before = published(), Held.of(process.pid)
        probe.spin(_MEASURE_S)
        frames, after = published() - frames, Held.of(process.pid)
        return 1e3 * (after.cpu_s - before.cpu_s) / frames, after.memory_mb


def run(model: str, rigs: int) -> int:
    """The process of the rigs, made as those of `multi_depth_node` are."""
    from vizion3d_ros import fast_dds, program

    fast_dds.use()
    from bench.oracle import OracleMatcher
    from vizion3d.stereo import StereoDepthEstimator
    from vizion3d_ros.multi import make_node
    from vizion3d_ros.rigs import Rig
    from vizion3d_ros.worker import Worker

    program.interrupt_on_signals()
    worker, estimators = Worker(), {}
    shared = {"estimator": StereoDepthEstimator(OracleMatcher())} if model == "oracle" else {}

    def make_nodes(nodes: list) -> None:
        for number in range(rigs):
            nodes.append(make_node(Rig(f"rig{number}", "stereo", f"/rig{number}", {}, {}), worker, estimators, **shared))

    return program.run_nodes(make_nodes, by_events=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(run(sys.argv[1], int(sys.argv[2])))
    for target in targets():
        print(target, flush=True)
