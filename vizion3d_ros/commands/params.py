# SPDX-License-Identifier: Apache-2.0
"""vizion3d params KIND: the parameter file of a node with every default, to change and to start the node with."""

from __future__ import annotations

import argparse

from vizion3d_ros.parameters import to_yaml
from vizion3d_ros.settings import YAML_FILES


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("params", help="print the parameter file of a ROS node", description=__doc__)
    parser.add_argument("kind", choices=[name.removesuffix(".yaml") for name in YAML_FILES], help="which node")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the file."""
    print(to_yaml(YAML_FILES[f"{arguments.kind}.yaml"]), end="")
    return 0
