# SPDX-License-Identifier: Apache-2.0
"""A record of options <-> ROS parameters with descriptions and ranges, the YAML file of their defaults, and the page of docs.

The record owns names, defaults, descriptions and limits (`vizion3d.option_records`); everything else here is derived from it.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from vizion3d.errors import InputError
from vizion3d.option_records import Options, build, flag_of, range_text, value_of, walk

if TYPE_CHECKING:
    from rclpy.node import Node
    from rclpy.parameter import Parameter

T = TypeVar("T", bound=Options)

# What rclpy itself reads, some of it later than we look.
OF_RCLPY = ("use_sim_time", "start_type_description_service", "qos_overrides.")


def declare(node: Node, settings_type: type[T]) -> T:
    """Declare every option as a parameter of the node and give the values that it was started with.

    A whole number is taken where a number is wanted. Names that are no parameter are warned of: a file may hold those of other
    nodes too.

    Raises:
        InputError: a value from the command line or a file has the wrong type or is out of range.
    """
    from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
    from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException

    values = {}
    overrides: dict[str, Parameter] = node._parameter_overrides  # rclpy tells them nowhere else
    check_qos({name: one.value for name, one in overrides.items() if name.startswith("qos_overrides.")})
    doubles = {one.name: one.value for one in as_doubles(settings_type, overrides.values()) if one is not overrides[one.name]}
    for name, field in walk(settings_type):
        metadata = field.metadata
        descriptor = ParameterDescriptor(
            description=describe(field),
            additional_constraints=f"one of: {', '.join(metadata['choices'])}" if metadata["choices"] else "",
            # YAML makes an integer of the choice 12, and of the floats [0, 1].
            dynamic_typing=metadata["kind"] is tuple or any(map(str.isdigit, metadata["choices"])),
        )
        if metadata["limits"]:
            low, high = metadata["limits"]
            if metadata["kind"] is float:
                descriptor.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=float(high))]
            elif metadata["kind"] is int:
                descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high))]
        default: Any = field.default
        default = list(default) if metadata["kind"] is tuple else default
        try:
            values[name] = node.declare_parameter(
                name, doubles.get(name, default), descriptor, ignore_override=name in doubles
            ).value
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            raise InputError(f"parameter {name}: {error}. {describe(field)}") from None
    for sentence in unknown(overrides, [name for name, _ in walk(settings_type)]):
        node.get_logger().warning(sentence)
    return _build(settings_type, values)


def check_qos(overrides: dict[str, Any]) -> None:
    """Refuse overrides of QoS that rclpy would raise for in the middle of work, when the first listener comes.

    Raises:
        InputError: a policy is set to what it cannot be.
    """
    from rclpy.qos import DurabilityPolicy, HistoryPolicy, ReliabilityPolicy

    policies = {"history": HistoryPolicy, "reliability": ReliabilityPolicy, "durability": DurabilityPolicy}
    for name, value in overrides.items():
        policy = name.rpartition(".")[2]
        if policy == "depth" and not (type(value) is int and 0 < value < 2**31):
            raise InputError(f"parameter {name} is {value!r}; it must be a whole number from 1 to {2**31 - 1}")
        words = [word for word in policies[policy].short_keys() if word != "unknown"] if policy in policies else []
        if words and not (isinstance(value, str) and value.lower() in words):
            raise InputError(f"parameter {name} is {value!r}; it must be one of: {', '.join(words)}")


def unknown(given: Iterable[str], known: Iterable[str]) -> list[str]:
    """A sentence about each given name that is no parameter, with the nearest one that is."""
    known = list(known)
    sentences = []
    for name in given:
        if name in known or name.startswith(OF_RCLPY):
            continue
        near = difflib.get_close_matches(name, known, n=1) or [one for one in known if one.rpartition(".")[2] == name]
        meant = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
        sentences.append(f"parameter {name} is not known and without effect; {meant}")
    return sentences


def as_doubles(settings_type: type[Options], changes: Iterable[Parameter]) -> list[Parameter]:
    """The parameters with whole numbers as floats where an option is one: YAML and `ros2 param set` make integers of 3."""
    from rclpy.parameter import Parameter

    floats = {name for name, field in walk(settings_type) if field.metadata["kind"] is float}
    return [
        Parameter(one.name, Parameter.Type.DOUBLE, float(one.value))
        if one.name in floats and one.type_ == Parameter.Type.INTEGER
        else one
        for one in changes
    ]


def updated(settings: T, changes: dict[str, Any]) -> T:
    """The settings with some values changed; names that are not options (use_sim_time) are passed over.

    Raises:
        InputError: a value is not among its choices or outside its limits.
    """
    values = {name: value_of(settings, name) for name, _ in walk(type(settings))}
    return _build(type(settings), values | {name: value for name, value in changes.items() if name in values})


def fixed_difference(settings: Options, changed: Options) -> str:
    """The first option that cannot change while something runs with it and is not the same in both; "" if all are."""
    fixed = (name for name, field in walk(type(settings)) if field.metadata["read_only"])
    return next((name for name in fixed if value_of(settings, name) != value_of(changed, name)), "")


def to_yaml(settings_type: type[Options]) -> str:
    """The ROS parameter file that holds every default, each with its description."""
    lines = ["# Every parameter at its default. Generated from the code: make config", "/**:", "  ros__parameters:"]
    open_group = ""
    for name, field in walk(settings_type):
        group, _, own_name = name.rpartition(".")
        if group and group != open_group:
            lines.append(f"    {group}:")
        open_group = group
        indent = "      " if group else "    "
        lines += [f"{indent}# {describe(field)}", f"{indent}{own_name}: {_yaml_value(field.default)}"]
    return "\n".join(lines) + "\n"


def to_markdown(settings_type: type[Options], elsewhere: type[Options]) -> str:
    """A table of the options for people.

    Args:
        settings_type: all of them, as parameters of a node.
        elsewhere: those that the command has too.
    """
    flags = {name for name, _ in walk(elsewhere)}
    lines = ["| parameter | flag of the command | default | legal | while running | |", "|---|---|---|---|---|---|"]
    for name, field in walk(settings_type):
        flag = f"`{flag_of(name)}`" if name in flags else ""
        legal = range_text(field).replace("|", "\\|")
        changes = "" if field.metadata["read_only"] else "yes"
        lines.append(f"| `{name}` | {flag} | `{_yaml_value(field.default)}` | {legal} | {changes} | {field.metadata['text']} |")
    return "\n".join(lines) + "\n"


def _build(settings_type: type[T], values: dict[str, Any]) -> T:
    try:
        return build(settings_type, values)
    except InputError as error:
        raise InputError(f"parameter {error}") from None


def _yaml_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return str(list(value))
    return f'"{value}"' if isinstance(value, str) else str(value)


def describe(field: dataclasses.Field) -> str:
    """What an option does, with its legal values, in one line."""
    extras = [range_text(field), "set at start" if field.metadata["read_only"] else ""]
    extra = "; ".join(filter(None, extras))
    return field.metadata["text"] + (f" [{extra}]" if extra else "")
