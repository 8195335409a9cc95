# SPDX-License-Identifier: Apache-2.0
"""Real and drawn pairs whose truth is known: those that `accuracy` and `sigma` are measured on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from vizion3d.evaluate import StereoCase, find_pairs
from vizion3d.synthetic.benchmark import CASE_NAMES, EVERYDAY_NAMES, draw

DATA = Path(os.environ.get("VIZION3D_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")
WINDOWS = (("teddy", 3), ("wood2", 2), ("aloe", 2), ("aloe", 3))


def cases() -> Iterator[tuple[str, StereoCase]]:
    """(part of the page on accuracy, case)."""
    if (DATA / "stereo").is_dir():
        real = {pair.name: pair.load() for pair in find_pairs(DATA / "stereo")}
        yield from (("Real pairs", case) for case in real.values())
        yield from (("Windows of real pairs", real[name].window(part)) for name, part in WINDOWS)
    yield from (("Drawn pairs", draw(name)) for name in CASE_NAMES)


def everyday() -> Iterator[StereoCase]:
    """Pairs as a camera in good order sees them."""
    return (draw(name) for name in EVERYDAY_NAMES)
