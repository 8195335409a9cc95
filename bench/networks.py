# SPDX-License-Identifier: Apache-2.0
"""Networks on one thread of the CPU: by torch as multiples of a product of matrices, by OpenVINO as a part of torch's time.

Weights are those that torch draws: time does not depend on them.
"""

from __future__ import annotations

import importlib.util
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from bench.target import Target
from vizion3d.bench import Report, Row, measure, model_cases
from vizion3d.bench.ceiling import ceilings
from vizion3d.lifting.models.depth_anything import CONFIGS, DepthAnythingV2
from vizion3d.networks import open_subject
from vizion3d.runtime.building import build_engine
from vizion3d.stereo.matchers import las2, s2m2

ENGINE = "openvino"
ROUNDS = 3
CPU = torch.device("cpu")


class Measured(NamedTuple):
    """A network and what is asked of it: at most so many products of matrices, and so much of torch's time by the engine."""

    name: str
    network: nn.Module
    size_wh: tuple[int, int]
    in_mm: float | None
    of_eager: float | None


def targets() -> Iterator[Target]:
    """Time of each network, then of the engine, and how far that is from torch."""
    torch.set_num_threads(1)
    for one in (
        Measured("LAS2-S", las2.LAS2(*las2.SIZES["S"]), (640, 480), None, None),
        Measured("Depth Anything V2 ViT-S", drawn_vits(), (686, 518), None, 0.85),
        Measured("S2M2-S", s2m2.S2M2(128, 1), (640, 480), 62.0, None),  # its engine: `bench.exported`
    ):
        with cached_weights(one.network) as file:
            yield from of_network(one, file)


def drawn_vits() -> nn.Module:
    """A ViT-S whose depth varies by about 1, above the zero at which its last layer cuts off: something to compare."""
    network = DepthAnythingV2(CONFIGS["vits"])
    last = network.depth_head.scratch.output_conv2[2]
    with torch.no_grad():
        last.weight *= 30
        last.bias.fill_(2.0)
    return network


@contextmanager
def cached_weights(network: nn.Module) -> Iterator[str]:
    """A file with these weights, in a cache that is empty else and is gone afterwards."""
    before = os.environ.get("VIZION3D_MODEL_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["VIZION3D_MODEL_CACHE"] = folder
        try:
            file = Path(folder) / "drawn.pth"
            torch.save(network.state_dict(), file)
            yield str(file)
        finally:
            del os.environ["VIZION3D_MODEL_CACHE"]
            if before is not None:
                os.environ["VIZION3D_MODEL_CACHE"] = before


def of_network(one: Measured, file: str) -> Iterator[Target]:
    """The rows of one network."""
    wanted = ("eager", ENGINE) if one.of_eager and can_build() else ("eager",)
    name = f"{one.name} {one.size_wh[0]}x{one.size_wh[1]}"
    differences = []
    if ENGINE in wanted:
        subject = open_subject(file, one.size_wh, {"device": "cpu"})
        _, differences = build_engine(subject.network, subject.inputs, ENGINE)
    cases = [case for case in model_cases(file, one.size_wh, {"device": "cpu"}, wanted)[0] if case.engine]
    report = measure(cases, one.size_wh, ROUNDS, CPU)
    product_s = ceilings(CPU)["mm"].amount / report.rates["mm"]
    rows = by_engine(report)
    eager = rows["eager"]
    yield Target(name, "mm", eager.seconds / product_s, one.in_mm, eager.ceiling_s / product_s)
    if ENGINE in wanted:
        yield Target(
            f"{name}, {ENGINE}", "eager", rows[ENGINE].seconds / eager.seconds, one.of_eager, eager.ceiling_s / eager.seconds
        )
        # A network of drawn weights may answer the same everywhere, which proves nothing about the engine.
        known = differences[0].p999 if differences[0].extent else math.nan
        yield Target(f"{name}, {ENGINE}, p99.9 of the difference", "output", known, 1e-3, 0.0)


def can_build() -> bool:
    """Whether the engine is installed."""
    return all(importlib.util.find_spec(package) for package in (ENGINE, "onnx", "onnxscript"))


def by_engine(report: Report) -> dict[str, Row]:
    """The rows by engine."""
    return {row.engine: row for row in report.rows}
