# SPDX-License-Identifier: Apache-2.0
"""The command `vizion3d`. One module a subcommand; each imports what is heavy only when it runs.

Subcommands of other packages, such as those that need ROS, are found through the entry-point group ``vizion3d.commands``.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
from importlib.metadata import entry_points

import vizion3d
from vizion3d.cli import bench, calib, doctor, engine, eval, mono, recalibrate, stereo, weights
from vizion3d.cli.flags import FlagFormatter, in_flags
from vizion3d.errors import Vizion3dError
from vizion3d.runtime.threads import wait_passively


def main(arguments: list[str] | None = None) -> int:
    """Run a subcommand.

    Returns:
        Exit status: 0, or 2 for a mistake in what was given, which is told in one line, or 141 if who read the output (`head`)
        had enough of it, as for other commands.
    """
    try:
        try:
            return _run(arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # where the rest goes when Python ends
        return 141


def make_parser() -> argparse.ArgumentParser:
    """The command with its subcommands, those of other packages among them; what is parsed has `run`."""
    parser = argparse.ArgumentParser(prog="vizion3d", description="Camera images to depth, disparity and point clouds.")
    parser.add_argument("--version", action="version", version=f"vizion3d {vizion3d.__version__}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    further = (entry.load() for entry in entry_points(group="vizion3d.commands"))
    for module in (mono, stereo, eval, weights, engine, bench, doctor, calib, recalibrate, *further):
        module.add_parser(subparsers)
    return parser


def _run(arguments: list[str] | None) -> int:
    options = make_parser().parse_args(arguments)
    wait_passively()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be in the encoding of the terminal
    handler = logging.StreamHandler()
    handler.setFormatter(FlagFormatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    try:
        return options.run(options)
    except BrokenPipeError:
        raise
    except (Vizion3dError, OSError) as error:
        print(f"vizion3d: error: {in_flags(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
