# SPDX-License-Identifier: Apache-2.0
"""How options are written down: frozen dataclasses whose fields know their range, unit and meaning, and check their values.

What options there are is in `vizion3d.options`; what a door derives from a record it derives by `walk` and `build`.
"""

from __future__ import annotations

import dataclasses
import math
import operator
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from vizion3d.errors import InputError

T = TypeVar("T", bound="Options")


def option(
    default: Any,
    text: str,
    *,
    unit: str = "",
    limits: tuple[float, float] | None = None,
    choices: tuple[str, ...] = (),
    read_only: bool = False,
) -> Any:
    """A field of a record of options.

    Args:
        default: its type is the option's: bool, int, float, str, or a tuple of a fixed number of int or float.
        text: what it does, in one sentence.
        unit: of the value.
        limits: smallest and largest legal value, of each number of a tuple.
        choices: the legal strings.
        read_only: cannot change while something runs with it.
    """
    metadata = {
        "kind": type(default),
        "text": text,
        "unit": unit,
        "limits": limits,
        "choices": choices,
        "read_only": read_only,
    }
    return dataclasses.field(default=default, metadata=metadata)


def with_default(kind: type[Options], name: str, default: Any) -> Any:
    """The option of another record, for a door at which it has another default."""
    return dataclasses.field(default=default, metadata=kind.__dataclass_fields__[name].metadata)


@dataclass(frozen=True)
class Options:
    """Base of records of options. Numbers may be given as strings.

    Raises:
        InputError: a value is of the wrong type, not among its choices or outside its limits.
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(field.default, Options) and not isinstance(value, type(field.default)):
                raise InputError(f"{field.name} is {value!r}; a {type(field.default).__name__} is needed")
            if "kind" in field.metadata:
                object.__setattr__(self, field.name, _checked(field, value))


def walk(kind: type[Options]) -> Iterator[tuple[str, dataclasses.Field]]:
    """Every option of a record by its name, ``group.name`` in a group."""
    for field in dataclasses.fields(kind):
        if isinstance(field.default, Options):
            yield from ((f"{field.name}.{name}", inner) for name, inner in walk(type(field.default)))
        elif "kind" in field.metadata:
            yield field.name, field


def flag_of(name: str) -> str:
    """The flag of the command for an option: "sgbm.max_disparity" -> "--sgbm-max-disparity"."""
    return "--" + name.replace(".", "-").replace("_", "-")


def range_text(field: dataclasses.Field) -> str:
    """What values are legal, with their unit; "" if all are."""
    choices, limits, unit = (field.metadata[key] for key in ("choices", "limits", "unit"))
    numbers = "{:g} to {:g} {}".format(*limits, unit) if limits else unit
    return " | ".join(choices) or numbers.rstrip()


def value_of(options: Options, name: str) -> Any:
    """The value of an option by the name that `walk` gives it."""
    return operator.attrgetter(name)(options)


def build(kind: type[T], values: Mapping[str, Any]) -> T:
    """The record with these values by `walk`'s names; what is not named has its default.

    Raises:
        InputError: a value is not legal; the message begins with the full name.
    """
    arguments = {}
    for field in dataclasses.fields(kind):
        if isinstance(field.default, Options):
            prefix = f"{field.name}."
            own = {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}
            try:
                arguments[field.name] = build(type(field.default), own)
            except InputError as error:
                raise InputError(f"{prefix}{error}") from None
        elif field.name in values:
            arguments[field.name] = values[field.name]
    return kind(**arguments)


def opening_part(options: Options, kind: type[T]) -> T:
    """Of these options those that cannot change while something runs with them, the rest at its defaults."""
    return build(kind, {name: value_of(options, name) for name, field in walk(kind) if field.metadata["read_only"]})


def without_effect(options: Options, running: str) -> str:
    """A sentence about options that were set for another matcher or network than the running one; "" if there are none."""
    kind = type(options)
    grouped = {name: field for name, field in walk(kind) if "." in name}
    idle = [
        f"{name} is {value}"
        for name, field in grouped.items()
        if not name.startswith(f"{running}.") and (value := value_of(options, name)) != field.default
    ]
    own = ", ".join(name for name in grouped if name.startswith(f"{running}."))
    return f"{', '.join(idle)} without effect: {running} is running, whose own options are {own or 'none'}" if idle else ""


def finite_number(name: str, value: object, *, positive: bool = False) -> float:
    """A number, which may be given as a string.

    Args:
        name: what to call it in messages.
        value: the number.
        positive: whether it must be above 0.

    Raises:
        InputError: it is not a number, not finite, or not positive.
    """
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{name} is {value!r}; it must be a number") from None
    if not math.isfinite(number):
        raise InputError(f"{name} is {number}; it must be finite")
    if positive and number <= 0:
        raise InputError(f"{name} is {number}; it must be positive")
    return number


def _checked(field: dataclasses.Field, value: Any) -> Any:
    """The value in the type of its option."""
    if value is None and field.default is None:
        return None
    name, kind = field.name, field.metadata["kind"]
    if kind is tuple:
        return _checked_tuple(field, value)
    choices, limits = field.metadata["choices"], field.metadata["limits"]
    value = str(value) if str(value) in choices else _converted(name, value, kind)  # some choices are numbers
    if choices and value not in choices:
        raise InputError(f'{name} is "{value}"; it must be one of: {", ".join(choices)}')
    if limits and not limits[0] <= value <= limits[1]:
        raise InputError(f"{name} is {value}; it must be from {range_text(field)}")
    return value


def _checked_tuple(field: dataclasses.Field, value: Any) -> tuple[Any, ...]:
    defaults: tuple[Any, ...] = field.default  # type: ignore[assignment]
    if isinstance(value, str) or not hasattr(value, "__len__") or len(value) != len(defaults):
        raise InputError(f"{field.name} is {value!r}; it must be {len(defaults)} numbers, for example {defaults}")
    numbers = tuple(_converted(field.name, number, type(default)) for number, default in zip(value, defaults, strict=True))
    limits = field.metadata["limits"]
    if limits and not all(limits[0] <= number <= limits[1] for number in numbers):
        raise InputError(f"{field.name} is {numbers}; each must be from {range_text(field)}")
    return numbers


def _converted(name: str, value: Any, kind: type) -> Any:
    if kind is str:
        if not isinstance(value, (str, os.PathLike)):
            raise InputError(f"{name} is {value!r}; it must be text")
        return os.fspath(value)
    if kind is bool:
        if str(value) not in ("True", "False"):  # numpy's are fine
            raise InputError(f"{name} is {value!r}; it must be true or false")
        return str(value) == "True"
    number = finite_number(name, value)
    if kind is int and number != int(number):
        raise InputError(f"{name} is {number}; it must be a whole number")
    return kind(number)
