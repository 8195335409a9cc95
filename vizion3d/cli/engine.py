# SPDX-License-Identifier: Apache-2.0
"""Build an engine that runs a network faster than torch does, for images of one size.

  vizion3d engine build las2-s --size 640x480 --engine openvino

What is built is compared with torch, refused if its numbers differ, and kept in the cache of weights for `engine: openvino`
(`--engine openvino`) at every door. Give the options with which the network will run: they are part of it. It belongs to these
weights, this size and precision, these versions and this kind of CPU; for anything else torch runs the network, and says so.
"""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path
from typing import Any

from vizion3d.cli.flags import add_option_flags
from vizion3d.errors import InputError
from vizion3d.option_records import walk
from vizion3d.options import ENGINES, RobotMonoOptions, RobotStereoOptions
from vizion3d.runtime.threads import set_threads

_KINDS = (RobotStereoOptions, RobotMonoOptions)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommands `engine` and `export`."""
    parser = subparsers.add_parser(
        "engine",
        help="build what runs a network faster",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    action = actions.add_parser("build", help="build an engine", description="Build an engine and compare it with torch.")
    add_network_arguments(action)
    action.add_argument("--engine", required=True, choices=ENGINES[1:], help="which one")
    action.set_defaults(run=_build)

    parser = subparsers.add_parser(
        "export",
        help="write a network as one ONNX file",
        description="Write a network, for images of one size, as one ONNX file. Its inputs and outputs are the network's, "
        "not of the pictures.",
    )
    add_network_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="where to, such as network.onnx")
    parser.set_defaults(run=_export)


def add_network_arguments(parser: argparse.ArgumentParser) -> None:
    """Add MODEL, --size and the options that decide on the network and its input."""
    parser.add_argument("model", metavar="MODEL", help="a name from `vizion3d weights list`, a path or an address")
    parser.add_argument("--size", required=True, type=read_size, metavar="WxH", help="of the images, such as 640x480")
    add_network_options(parser)


def add_network_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that decide on the network and its input, of stereo and mono, but for the engine."""
    known: set[str] = {"model", "engine"}
    for kind in _KINDS:
        names = {name for name, field in walk(kind) if field.metadata["read_only"]} - known
        add_option_flags(parser, kind, names=names)
        known |= names


def read_size(text: str) -> tuple[int, int]:
    """ "640x480" -> (640, 480)."""
    if not (found := re.fullmatch(r"(\d+)[xX](\d+)", text)):
        raise argparse.ArgumentTypeError(f'"{text}" is no size; give WIDTHxHEIGHT in pixels, such as 640x480')
    return int(found[1]), int(found[2])


def network_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options that `add_network_options` has added, by name."""
    return {name: vars(arguments)[name] for kind in _KINDS for name, _ in walk(kind) if name in vars(arguments)}


def _build(arguments: argparse.Namespace) -> int:
    """Build, compare, tell."""
    from vizion3d.networks import open_subject
    from vizion3d.runtime.building import build_engine

    set_threads(arguments.threads)
    subject = open_subject(arguments.model, arguments.size, {**network_options(arguments), "engine": "eager"})
    print(f"{subject.title}: building {arguments.engine} for {_shapes(subject.inputs)}", flush=True)
    start = time.perf_counter()
    folder, differences = build_engine(subject.network, subject.inputs, arguments.engine)
    for number, difference in enumerate(differences, 1):
        print(f"output {number} of {len(differences)} against torch: {difference}")
    size = sum(file.stat().st_size for file in folder.rglob("*"))
    print(f"built in {time.perf_counter() - start:.0f} s, {size / 1e6:.0f} MB: {folder}")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    """Write the file."""
    from vizion3d.errors import DependencyError
    from vizion3d.networks import open_subject
    from vizion3d.runtime.exporting import write_onnx

    if not arguments.out.parent.is_dir():
        raise InputError(f"--out: there is no folder {arguments.out.parent}")
    set_threads(arguments.threads)
    subject = open_subject(arguments.model, arguments.size, {**network_options(arguments), "engine": "eager"})
    try:
        write_onnx(subject.network, subject.inputs, arguments.out)
    except ImportError as error:
        raise DependencyError(
            f"writing ONNX needs onnx and onnxscript ({error}); install them: pip install onnx onnxscript"
        ) from error
    print(f"{arguments.out}: {subject.title}, inputs {_shapes(subject.inputs)}, {arguments.out.stat().st_size / 1e6:.0f} MB")
    return 0


def _shapes(inputs: Any) -> str:
    return " and ".join("x".join(map(str, one.shape)) for one in inputs)
