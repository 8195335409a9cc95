# SPDX-License-Identifier: Apache-2.0
"""How fast vizion3d is on this machine: each time beside the ceiling that the machine sets, so that a busy one can be told.

  vizion3d bench                             sgbm, and the networks whose weights are in the cache
  vizion3d bench las2-s --engine all         by every engine that is built, with advice which to take
  vizion3d bench --ros sgbm --rate 15        a depth node in a process of its own, with a camera that is drawn

The ceiling of a network is the time that as many multiplications take in one large product of matrices (mm, in half precision
on a GPU); that of sgbm is OpenCV alone, that of what comes after a copy of it (memcpy). All run in turn; times are medians.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vizion3d.cli.engine import add_network_options, network_options, read_size
from vizion3d.errors import InputError
from vizion3d.options import ENGINES, ROBOT_STEREO_MODEL
from vizion3d.runtime.threads import set_threads

if TYPE_CHECKING:
    from vizion3d.bench import Report


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "bench", help="how fast this machine is", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help="sgbm or weights (default: sgbm and what is in the cache; of --ros: sgbm)"
    )
    parser.add_argument("--size", type=read_size, default=(640, 480), metavar="WxH", help="of the images (default: 640x480)")
    parser.add_argument("--rounds", type=int, default=7, help="how many times each is run (default: %(default)s)")
    parser.add_argument(
        "--engine", default="eager", choices=(*ENGINES, "all"), help="run networks by this, too, or by all that are built"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="show beside them those that --json has written before")
    node = parser.add_argument_group("a node")
    node.add_argument("--ros", action="store_true", help="measure a depth node from outside")
    node.add_argument("--rate", type=float, default=10.0, help="frames a second of its camera (default: %(default)s)")
    node.add_argument("--seconds", type=float, default=10.0, help="how long to listen (default: %(default)s)")
    add_network_options(parser)
    parser.set_defaults(run=run, measure_node=None)


def run(arguments: argparse.Namespace) -> int:
    """Measure and print.

    Raises:
        InputError: an argument is not legal.
        WeightsError: weights cannot be had or loaded.
    """
    if arguments.rounds < 1:
        raise InputError(f"--rounds is {arguments.rounds}; it must be at least 1")
    before = _read(arguments.compare) if arguments.compare else None
    found = _node(arguments) if arguments.ros else _here(arguments, before)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


def _here(arguments: argparse.Namespace, before: dict[str, Any] | None) -> dict[str, Any]:
    """Matchers and networks in this process."""
    from vizion3d import weights
    from vizion3d.bench import measure, model_cases
    from vizion3d.runtime.device import select_device

    set_threads(arguments.threads)
    cached = (record.name for record in weights.RECORDS if weights.cache_path(record.name).is_file())
    models = arguments.models or [ROBOT_STEREO_MODEL, *cached]
    engines = ENGINES if arguments.engine == "all" else (arguments.engine,)
    values = {**network_options(arguments), "engine": "eager"}
    cases, missing = [], {}
    for model in dict.fromkeys(models):
        of_model, missing[model] = model_cases(model, arguments.size, values, engines)
        cases += of_model
    report = measure(cases, arguments.size, arguments.rounds, select_device(arguments.device))
    print(report.text(before))
    return {**report.as_json(), "engines": _advise(report, missing, arguments.size)}


def _advise(report: Report, missing: dict[str, list[str]], size: tuple[int, int]) -> dict[str, str]:
    """Say which engine to take, and how those that were not there come to be."""
    from vizion3d.bench import recommended

    found = recommended(report.rows)
    if found:
        print()
    for model, (engine, part) in found.items():
        gain = f": {part:.2f} of eager's time" if engine != "eager" else ": no other gains enough"
        print(f"{model}: take --engine {engine}{gain}")
    for model, engines in missing.items():
        for engine in engines:
            command = f"vizion3d engine build {model} --size {size[0]}x{size[1]} --engine {engine}"
            print(f"{model}: {engine} has not been built: {command}")
    return {model: engine for model, (engine, _) in found.items()}


def _node(arguments: argparse.Namespace) -> dict[str, Any]:
    """A depth node from outside."""
    if arguments.measure_node is None:
        raise InputError("--ros: nothing that runs nodes is installed; leave it out")
    if arguments.engine == "all" or len(arguments.models) > 1:
        raise InputError("--ros measures one model with one engine; give one of each")
    if arguments.rate <= 0 or arguments.seconds <= 0:
        raise InputError(f"--rate is {arguments.rate:g} and --seconds {arguments.seconds:g}; both must be more than 0")
    model = arguments.models[0] if arguments.models else ROBOT_STEREO_MODEL
    values = {**network_options(arguments), "engine": arguments.engine}
    text, found = arguments.measure_node(model, arguments.size, arguments.rate, arguments.seconds, values)
    print(text)
    return found


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        assert all("name" in row for row in found["rows"])
    except (OSError, ValueError, KeyError, TypeError, AssertionError):
        raise InputError(f"--compare: {file} is no file that `vizion3d bench --json` has written") from None
    return found
