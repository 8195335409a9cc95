# SPDX-License-Identifier: Apache-2.0
"""From times to a page: each beside its ceiling and, if given, beside an earlier run."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from vizion3d import __version__
from vizion3d.bench.cases import Case
from vizion3d.bench.ceiling import Ceiling, ceilings
from vizion3d.bench.timing import take_turns

_WORTH_IT = 0.95  # of eager's time; an engine that gains less is not worth its building
_BUSY = 0.5  # others at work for each processor, from which on times lie


@dataclass(frozen=True)
class Row:
    """A measured time and what it is to be compared with.

    Attributes:
        name: what was measured.
        seconds: median.
        spread: upper minus lower quartile, as a part of the median.
        ceiling: name of its ceiling; "" if it has none.
        ceiling_s: the time in which that would do as much.
        model, engine: of a network.
    """

    name: str
    seconds: float
    spread: float
    ceiling: str
    ceiling_s: float
    model: str = ""
    engine: str = ""

    @property
    def ratio(self) -> float:
        """How many times its ceiling it takes."""
        return self.seconds / self.ceiling_s if self.ceiling_s else float("nan")


@dataclass(frozen=True)
class Report:
    """What was measured, where, and with what else going on.

    Attributes:
        machine: device, versions, threads, load.
        rates: what the machine does at most, by ceiling, in FLOP or B a second.
        rows: the times.
    """

    machine: dict[str, Any]
    rates: dict[str, float]
    rows: list[Row]

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        rows = [{**asdict(row), "ratio": row.ratio if row.ceiling_s else None} for row in self.rows]
        return {"machine": self.machine, "rates": self.rates, "rows": rows}

    def text(self, before: Mapping[str, Any] | None = None) -> str:
        """The page; `before` is `as_json` of another run, with which it is compared by multiples of the ceilings."""
        machine = self.machine
        busy = machine["load"] > _BUSY * machine["processors"]
        lines = [
            f"vizion3d {machine['vizion3d']}, torch {machine['torch']}, OpenCV {machine['opencv']}, Python {machine['python']}",
            f"{machine['device']}, {machine['threads']} of {machine['processors']} processors used, load {machine['load']:.1f}"
            + (" (busy: ratios hold, times do not)" if busy else ""),
            f"images {machine['size']}; medians of {machine['rounds']} rounds in turn; "
            + ", ".join(f"{name} {rate / 1e9:.1f} G{machine['units'][name]}/s" for name, rate in self.rates.items()),
            "",
        ]
        return "\n".join([*lines, *_table(self.rows, before)])


def measure(cases: Sequence[Case], size_wh: tuple[int, int], rounds: int, device: torch.device) -> Report:
    """Run the cases and the ceilings in turn."""
    known = ceilings(device)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0  # of what else goes on, so before
    runs = {**{name: one.run for name, one in known.items()}, **{case.name: case.run for case in cases}}
    times = take_turns(runs, rounds, device)
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    machine = {**_machine(device), "load": load, "rounds": rounds, "size": "x".join(map(str, size_wh))}
    machine["units"] = {name: one.unit for name, one in known.items()}
    rates = {name: one.amount / medians[name] for name, one in known.items()}
    return Report(machine, rates, [_row(case, times[case.name], medians, known) for case in cases])


def recommended(rows: Sequence[Row]) -> dict[str, tuple[str, float]]:
    """For each model whose network ran by several engines: the one to take, and its time as a part of eager's."""
    found = {}
    for model in dict.fromkeys(row.model for row in rows):
        seconds = {row.engine: row.seconds for row in rows if row.model == model and row.engine}
        if len(seconds) > 1:
            best = min(seconds, key=seconds.__getitem__)
            part = seconds[best] / seconds["eager"]
            found[model] = (best, part) if part < _WORTH_IT else ("eager", 1.0)
    return found


def _row(case: Case, seconds: Sequence[float], medians: Mapping[str, float], known: Mapping[str, Ceiling]) -> Row:
    median = medians[case.name]
    spread = (np.quantile(seconds, 0.75) - np.quantile(seconds, 0.25)) / median
    ceiling_s = medians.get(case.ceiling, 0.0)
    if case.ceiling in known:
        ceiling_s *= case.amount / known[case.ceiling].amount
    return Row(case.name, median, float(spread), case.ceiling, ceiling_s, case.model, case.engine)


def _machine(device: torch.device) -> dict[str, Any]:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    return {
        "device": name,
        "processors": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "vizion3d": __version__,
        "torch": torch.__version__,
        "opencv": cv2.__version__,
        "python": platform.python_version(),
    }


def _processor() -> str:
    """What the processor calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return f"{named or platform.processor() or 'CPU'} ({torch.backends.cpu.get_cpu_capability()})"


def _table(rows: Sequence[Row], before: Mapping[str, Any] | None) -> list[str]:
    earlier = {row["name"]: row for row in before["rows"]} if before else {}
    head = ["what", "ms", "spread", "ceiling ms", "times the ceiling", "ceiling"]
    cells = [[*head, "before", "now : before"] if before else head]
    for row in rows:
        has = bool(row.ceiling_s)
        line = [row.name, f"{1e3 * row.seconds:.2f}", f"{100 * row.spread:.0f} %", f"{1e3 * row.ceiling_s:.2f}" if has else ""]
        line += [
            f"{row.ratio:.2f}" if has else "",
            row.ceiling if row.ceiling in ("mm", "memcpy") else "the same by OpenCV" * has,
        ]
        if before:
            then = earlier.get(row.name, {}).get("ratio")
            line += [f"{then:.2f}", f"{row.ratio / then:.2f}"] if then and has else ["", ""]
        cells.append(line)
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    lines = [
        "| "
        + " | ".join(c.ljust(w) if i in (0, 5) else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        + " |"
        for line in cells
    ]
    rule = "|" + "|".join("-" * (w + 2) if i in (0, 5) else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return [lines[0], rule, *lines[1:]]
