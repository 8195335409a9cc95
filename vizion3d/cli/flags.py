# SPDX-License-Identifier: Apache-2.0
"""The options of the core as flags: a field becomes a flag, the flags become a record again."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import re
from collections.abc import Container
from typing import Any, TypeVar

from vizion3d.option_records import Options, build, flag_of, range_text, walk
from vizion3d.options import RobotMonoOptions, RobotStereoOptions

T = TypeVar("T", bound=Options)

# Names of options that are no plain words, and that of Python for one which the command calls otherwise.
_FLAGS = {
    name: flag_of(name) for kind in (RobotMonoOptions, RobotStereoOptions) for name, _ in walk(kind) if re.search(r"[_.]", name)
} | {"max_depth_m": "--max-depth"}
_NAMES = re.compile(rf"(?<![\w./-])({'|'.join(map(re.escape, _FLAGS))})(?!\w|\.\w)(?:=|:? (?=\[))?(?:\[([^][]*)\])?")


def in_flags(text: str) -> str:
    """A text about options by their names, for those who have flags: "image_range [0, 9]" becomes "--image-range 0 9"."""

    def flag(match: re.Match[str]) -> str:
        numbers = "" if match[2] is None else match[2].replace(",", "")
        return _FLAGS[match[1]] + (f" {numbers}" if match[0] != match[1] else "")

    return _NAMES.sub(flag, text)


class FlagFormatter(logging.Formatter):
    """Log lines with options as flags."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        return in_flags(super().format(record))


def add_option_flags(
    parser: argparse._ActionsContainer,
    *kinds: type[Options],
    names: Container[str] | None = None,
    without: Container[str] = (),
) -> None:
    """Add a flag for every option of a record: ``sgbm.max_disparity`` is ``--sgbm-max-disparity``.

    Args:
        parser: of the command, or a group of it.
        kinds: the record; or several for a command that will know only later which of them it needs.
        names: those that are wanted; None for all.
        without: options that the command asks for in another way.
    """
    options: dict[str, list[dataclasses.Field]] = {}
    for kind in kinds:
        for name, field in walk(kind):
            if name not in without and (names is None or name in names):
                options.setdefault(name, []).append(field)
    for name, fields in options.items():
        field = fields[0]
        default: Any = field.default
        text = field.metadata["text"] + (f" [{legal}]" if (legal := range_text(field)) else "")
        defaults = " or ".join(dict.fromkeys(str(field.default) for field in fields))
        settings: dict[str, Any] = {"dest": name, "help": f"{text} (default: {defaults})".replace("%", "%%")}
        settings["default"] = default if len(kinds) == 1 else argparse.SUPPRESS
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
    given = vars(arguments)
    return build(kind, {name: given[name] for name, _ in walk(kind) if name in given})
