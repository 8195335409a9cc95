# SPDX-License-Identifier: Apache-2.0
"""What S2M2 costs: multiply-accumulates, and time and peak memory of one pair on the CPU, as a markdown table.

    python bench/s2m2_cost.py [S L ...]

Memory is the largest resident size of a fresh process that loads torch, makes float32 weights and runs once.
"""

import json
import resource
import subprocess
import sys
import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from vizion3d.stereo.matchers.s2m2 import S2M2

SIZES = {"S": (128, 1), "M": (192, 2), "L": (256, 3), "XL": (384, 3)}
IMAGES = ((640, 480), (960, 544))


def multiply_accumulates(size: str, width: int, height: int) -> int:
    """Count the products of convolutions and matrix multiplications, without computing them."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        image = torch.empty(1, 3, height, width)
        S2M2(*SIZES[size])(image, image)
    return counter.get_total_flops() // 2


def run_once(size: str, width: int, height: int) -> dict[str, float]:
    """Run on noise; seconds of the network, and the most memory this process ever held."""
    model = S2M2(*SIZES[size])
    left, right = 255 * torch.rand(2, 1, 3, height, width)
    start = time.perf_counter()
    with torch.inference_mode():
        model(left, right)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def run_in_fresh_process(size: str, width: int, height: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--once", size, str(width), str(height)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    if sys.argv[1:2] == ["--once"]:
        size, width, height = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
        print(json.dumps(run_once(size, width, height)))
        return
    print(f"| size | image | multiply-accumulates (G) | CPU, {torch.get_num_threads()} threads (s) | peak memory (MB) |")
    print("|---|---|---|---|---|")
    for size in sys.argv[1:] or ["S", "L"]:
        for width, height in IMAGES:
            giga = multiply_accumulates(size, width, height) / 1e9
            once = run_in_fresh_process(size, width, height)
            print(
                f"| {size} | {width}×{height} | {giga:.0f} | {once['seconds']:.1f} | {once['peak_mb']:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
