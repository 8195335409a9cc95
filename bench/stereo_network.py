# SPDX-License-Identifier: Apache-2.0
"""What the stereo networks cost on the CPU, beside each other: arithmetic, time, peak memory, start of a process.

    python -m bench.stereo_network [S2M2-S LAS2-S ...] [--size 640 480] [--threads 1] [--rounds 3]

One pass of each network in turn, each in a fresh process, round after round. Times are medians, in processor seconds, which a
machine that does other things at the time prolongs least. The first network is what the others are compared with. A frame takes
LAS2 two passes unless `las2.left_right_check` is off.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vizion3d.evaluate.report import table
from vizion3d.stereo import StereoDepthEstimator
from vizion3d.stereo.matchers import las2, s2m2

S2M2 = {"S": (128, 1), "M": (192, 2), "L": (256, 3), "XL": (384, 3)}
HEAD = ("network", "GMAC", "of the first", "pass (s)", "of the first", "time : GMAC", "peak MB", "load (s)", "start (s)")
NETWORKS = {f"S2M2-{size}": (s2m2.S2M2, arguments) for size, arguments in S2M2.items()}
NETWORKS |= {f"LAS2-{size}": (las2.LAS2, arguments) for size, arguments in las2.SIZES.items()}


def build(name: str) -> nn.Module:
    """The network with the weights that torch draws."""
    kind, arguments = NETWORKS[name]
    return kind(*arguments).eval()


def multiply_accumulates(name: str, width: int, height: int) -> int:
    """Count the products of convolutions and matrix multiplications, without computing them."""
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        image = torch.empty(1, 3, height, width)
        build(name)(image, image)
    return counter.get_total_flops() // 2


def run_once(file: str, width: int, height: int, threads: int) -> dict[str, float]:
    """In a fresh process: seconds until the network has answered a first small pair, those of loading it among them, and of the
    second pass at full size; the most memory the process ever held."""
    torch.set_num_threads(threads)
    imported = time.process_time()
    network = StereoDepthEstimator(file, "cpu").matcher._network  # type: ignore[attr-defined]
    loaded = time.process_time()
    image = 255 * torch.rand(1, 3, height, width)
    with torch.inference_mode():
        network(image[..., :64, :64], image[..., :64, :64])
        started = time.process_time()
        network(image, image.flip(-1))
        begun = time.process_time()
        network(image, image.flip(-1))
    return {
        "start_s": started,
        "load_s": loaded - imported,
        "pass_s": time.process_time() - begun,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def in_fresh_process(file: Path, width: int, height: int, threads: int) -> dict[str, float]:
    """What `run_once` finds."""
    command = [sys.executable, __file__, "--once", str(file), "--size", str(width), str(height), "--threads", str(threads)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def main() -> None:
    """Print a markdown table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=["S2M2-S", "LAS2-S", "LAS2-M", "LAS2-L"])
    parser.add_argument("--size", nargs=2, type=int, default=(640, 480), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--once", help=argparse.SUPPRESS)
    options = parser.parse_args()
    width, height = options.size
    if options.once:
        print(json.dumps(run_once(options.once, width, height, options.threads)))
        return
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in options.names}
    with tempfile.TemporaryDirectory() as folder:
        for name in options.names:
            torch.save(build(name).state_dict(), Path(folder) / name)
        for _ in range(options.rounds):
            for name in options.names:
                runs[name].append(in_fresh_process(Path(folder) / name, width, height, options.threads))
    print(f"{width}x{height}, {options.threads} thread(s), median of {options.rounds}\n")
    first = options.names[0]
    middle = {n: {key: statistics.median(run[key] for run in found) for key in found[0]} for n, found in runs.items()}
    products = {name: multiply_accumulates(name, width, height) for name in options.names}
    rows = []
    for name, found in middle.items():
        arithmetic, seconds = products[name] / products[first], found["pass_s"] / middle[first]["pass_s"]
        numbers = f"{products[name] / 1e9:.1f} {arithmetic:.3f} {found['pass_s']:.2f} {seconds:.3f} {seconds / arithmetic:.2f}"
        rows.append([name, *numbers.split(), *f"{found['peak_mb']:.0f} {found['load_s']:.2f} {found['start_s']:.2f}".split()])
    print(table(HEAD, rows))


if __name__ == "__main__":
    main()
