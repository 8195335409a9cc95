# SPDX-License-Identifier: Apache-2.0
"""Cost of the Depth Anything V2 networks as a table: parameters and multiply-accumulates, counted without weights."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from vizion3d.lifting.models.depth_anything import CONFIGS, DepthAnythingConfig, DepthAnythingV2

INPUTS = ((518, 518), (518, 686))


def giga_macs(config: DepthAnythingConfig, height: int, width: int) -> float:
    """Multiply-accumulates of matrix products, convolutions and attention for one picture, in 1e9."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        DepthAnythingV2(config).eval().requires_grad_(False)(torch.empty(1, 3, height, width))
    return counter.get_total_flops() / 2e9


def main() -> None:
    print("| network | M parameters | " + " | ".join(f"G MAC {height} x {width}" for height, width in INPUTS) + " |")
    print("|---|---:|" + "---:|" * len(INPUTS))
    for name, config in CONFIGS.items():
        with torch.device("meta"):
            parameters = sum(parameter.numel() for parameter in DepthAnythingV2(config).parameters())
        costs = " | ".join(f"{giga_macs(config, *size):.2f}" for size in INPUTS)
        print(f"| {name} | {parameters / 1e6:.1f} | {costs} |")


if __name__ == "__main__":
    main()
