# SPDX-License-Identifier: Apache-2.0
"""Build an engine for a network and a size, compare its numbers with torch's, and keep it for those who load the network."""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import rmtree

import torch
from torch import nn

from vizion3d.errors import DependencyError, EngineError, InputError
from vizion3d.options import ENGINES
from vizion3d.runtime.built import RECORD, engine_folder, engine_module, open_folder, size_of

# Largest difference of 99.9 % of the numbers, as a part of the range of torch's. Other orders of summation stay below 2e-4 of
# it, also where single pixels of S2M2 change their match; bfloat16 is at 1e-2 and more.
TOLERANCES = {torch.float32: 5e-4, torch.float16: 2e-2}


@dataclass(frozen=True)
class Difference:
    """How far an engine's output is from torch's, in the unit of the output.

    Attributes:
        p50, p999, maximum: of the absolute difference; infinite where only one of the two is a number.
        extent: largest minus smallest number of torch's output.
    """

    p50: float
    p999: float
    maximum: float
    extent: float

    @classmethod
    def of(cls, found: torch.Tensor, expected: torch.Tensor) -> Difference:
        """Of two outputs of one shape."""
        found, expected = found.detach().float().flatten().cpu(), expected.detach().float().flatten().cpu()
        off = torch.where(found == expected, 0, (found - expected).abs())  # equal infinities among them
        off = torch.where(found.isnan() & expected.isnan(), 0, off).nan_to_num(math.inf, posinf=math.inf).sort().values
        known = expected[expected.isfinite()]
        extent = float(known.max() - known.min()) if len(known) else 0.0
        p50, p999 = (float(off[math.ceil(part * len(off)) - 1]) for part in (0.5, 0.999))
        return cls(p50, p999, float(off[-1]), extent)

    def __str__(self) -> str:
        return f"p50 {self.p50:.1e}, p99.9 {self.p999:.1e}, maximum {self.maximum:.1e}, of a range of {self.extent:.3g}"


def build_engine(network: nn.Module, inputs: tuple[torch.Tensor, ...], engine: str) -> tuple[Path, list[Difference]]:
    """Build an engine for inputs like these; one that is there already is replaced.

    Args:
        network: on its device, in its precision.
        inputs: what it gets at that size, of a scene with something in it: what is built answers it and its mirror image.
        engine: one of `ENGINES` but eager.

    Returns:
        Where it is, and for each output the larger difference of the two.

    Raises:
        InputError: there is no such engine, or eager, which needs no building.
        DependencyError: a package is missing.
        EngineError: it cannot be built, or its numbers are not those of torch.
    """
    if engine not in ENGINES or engine == "eager":
        raise InputError(f'engine is "{engine}"; what can be built is: {", ".join(ENGINES[1:])}')
    try:
        folder = engine_folder(engine, network) / size_of(inputs)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(prefix=".build-", dir=folder.parent) as draft,
            torch.inference_mode(False),
            torch.no_grad(),
        ):
            place = Path(draft) / "engine"
            place.mkdir()
            differences = _build_into(place, network, inputs, engine)
            if folder.exists():
                rmtree(folder)
            place.rename(folder)
    except ImportError as error:
        raise DependencyError(
            f"engine {engine} cannot be built here: {error}; install what the extra {engine} names"
        ) from error
    except (EngineError, OSError):
        raise
    except Exception as error:  # of compilers and exporters, of any kind
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        raise EngineError(f"engine {engine} cannot be built for this network: {what}; use another engine") from error
    return folder, differences


def _build_into(place: Path, network: nn.Module, inputs: tuple[torch.Tensor, ...], engine: str) -> list[Difference]:
    """Build, read back, compare."""
    inputs = tuple(one.clone() for one in inputs)  # not made in inference mode, which exporters refuse
    weight = next(network.parameters())
    engine_module(engine).build(network, inputs, place)
    record = {
        "engine": engine,
        "version": engine_module(engine).version(),
        "size": size_of(inputs),
        "one_output": isinstance(network(*inputs), torch.Tensor),
    }
    (place / RECORD).write_text(json.dumps(record), encoding="utf-8")
    run = open_folder(engine, place, weight.device)
    differences = compare(run, network, inputs)
    worst = max(differences, key=lambda one: one.p999 / one.extent if one.extent else one.p999)
    tolerance = TOLERANCES[weight.dtype]
    if not worst.p999 <= tolerance * worst.extent:
        raise EngineError(
            f"engine {engine} answers otherwise than torch: {worst}; 99.9 % of the numbers must be within {tolerance:g} of the "
            "range, so it is not kept; use another engine"
        )
    record["differences"] = [asdict(one) for one in differences]
    (place / RECORD).write_text(json.dumps(record), encoding="utf-8")
    return differences


def compare(run: object, network: nn.Module, inputs: tuple[torch.Tensor, ...]) -> list[Difference]:
    """The differences of all outputs, for the inputs and for these upside down, of which the exporter knew nothing."""
    larger: list[Difference] = []
    for given in (inputs, tuple(one.flip(-2).contiguous() for one in inputs)):
        outputs = [[one] if isinstance(one, torch.Tensor) else list(one) for one in (run(*given), network(*given))]  # type: ignore[operator]
        found = [Difference.of(*pair) for pair in zip(*outputs, strict=True)]
        larger = [max(pair, key=lambda one: one.p999) for pair in zip(larger or found, found, strict=True)]
    return larger
