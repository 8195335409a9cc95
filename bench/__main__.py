# SPDX-License-Identifier: Apache-2.0
"""Every target beside what is measured here and now, and beside its ceiling: python -m bench [NAME ...]."""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path

from bench.target import HEAD

FOLDER = Path(__file__).parent


def main(names: list[str]) -> int:
    """Print the rows of the modules of these names, or of all but those that want to be named; 1 if a target is missed."""
    start = time.perf_counter()
    missed = 0
    print(HEAD, flush=True)
    for name in names or sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("__")):
        module = importlib.import_module(f"bench.{name}")
        if not names and getattr(module, "ONLY_IF_NAMED", False):
            continue
        for target in getattr(module, "targets", tuple)():
            print(target, flush=True)
            missed += target.missed
    print(f"\n{missed} missed, {time.perf_counter() - start:.0f} s; all are ratios of things that ran in turn, on one thread")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
