# SPDX-License-Identifier: Apache-2.0
"""The options of the core as flags: a field becomes a flag, the flags become a record again."""

from __future__ import annotations

import argparse
from typing import Any, TypeVar

from vizion3d.option_records import Options, build, flag_of, range_text, walk

T = TypeVar("T", bound=Options)


def add_option_flags(parser: argparse.ArgumentParser, kind: type[Options]) -> None:
    """Add a flag for every option of a record: ``sgbm.max_disparity`` is ``--sgbm-max-disparity``."""
    for name, field in walk(kind):
        default: Any = field.default
        text = field.metadata["text"] + (f" [{legal}]" if (legal := range_text(field)) else "")
        settings: dict[str, Any] = {"dest": name, "default": default, "help": text.replace("%", "%%")}
        settings["help"] = f"{settings['help']} (default: %(default)s)"
        metavar = name.rpartition(".")[2].upper()
        if field.metadata["kind"] is bool:
            settings["action"] = argparse.BooleanOptionalAction
        elif field.metadata["kind"] is tuple:
            settings |= {"type": type(default[0]), "nargs": len(default), "metavar": metavar}
        else:
            settings |= {"type": field.metadata["kind"], "metavar": metavar}
        parser.add_argument(flag_of(name), **settings)


def read_options(arguments: argparse.Namespace, kind: type[T]) -> T:
    """The record that the flags of `add_option_flags` make.

    Raises:
        InputError: a value is not legal.
    """
    return build(kind, {name: vars(arguments)[name] for name, _ in walk(kind)})
