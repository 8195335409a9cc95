# SPDX-License-Identifier: Apache-2.0
"""A frozen dataclass of settings <-> ROS parameters with descriptions and ranges, and the YAML file of their defaults.

The dataclass owns names, defaults, descriptions and limits; everything else here is derived from it.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar

from vizion3d.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from rclpy.node import Node

T = TypeVar("T", bound="DataclassInstance")


def parameter(
    default: Any,
    description: str,
    *,
    limits: tuple[float, float] | None = None,
    choices: tuple[str, ...] = (),
    read_only: bool = False,
) -> Any:
    """A dataclass field that becomes a ROS parameter.

    Args:
        default: its type is the parameter's type: bool, int, float or str.
        description: one sentence with the unit.
        limits: smallest and largest legal value.
        choices: the legal strings.
        read_only: needs a restart of the node.
    """
    metadata = {"description": description, "limits": limits, "choices": choices, "read_only": read_only}
    return dataclasses.field(default=default, metadata=metadata)


def declare(node: Node, settings_type: type[T]) -> T:
    """Declare every field as a parameter of the node and give the values that it was started with.

    Raises:
        InputError: a value from the command line or a file has the wrong type or is out of range.
    """
    from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
    from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException

    values = {}
    for field in dataclasses.fields(settings_type):
        descriptor = ParameterDescriptor(
            description=_describe(field),
            read_only=field.metadata["read_only"],
            additional_constraints=f"one of: {', '.join(field.metadata['choices'])}" if field.metadata["choices"] else "",
        )
        if field.metadata["limits"]:
            low, high = field.metadata["limits"]
            if isinstance(field.default, float):
                descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
            else:
                descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high))]
        try:
            values[field.name] = node.declare_parameter(field.name, field.default, descriptor).value
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            raise InputError(f"parameter {field.name}: {error}. {_describe(field)}") from None
    return build(settings_type, values)


def build(settings_type: type[T], values: dict[str, Any]) -> T:
    """The settings with these values.

    Raises:
        InputError: a value is not among its choices or outside its limits.
    """
    for field in dataclasses.fields(settings_type):
        value = values[field.name]
        choices, limits = field.metadata["choices"], field.metadata["limits"]
        if choices and value not in choices:
            raise InputError(f'parameter {field.name} is "{value}"; it must be one of: {", ".join(choices)}')
        if limits and not limits[0] <= value <= limits[1]:
            raise InputError(f"parameter {field.name} is {value}; it must be from {limits[0]} to {limits[1]}")
    return settings_type(**values)


def updated(settings: T, changes: dict[str, Any]) -> T:
    """The settings with some values changed; names that are not fields (use_sim_time) are passed over."""
    values = dataclasses.asdict(settings)
    return build(type(settings), values | {name: value for name, value in changes.items() if name in values})


def to_yaml(settings_type: type[DataclassInstance]) -> str:
    """The ROS parameter file that holds every default, each with its description."""
    lines = ["# Every parameter at its default. Generated from the code: make config", "/**:", "  ros__parameters:"]
    for field in dataclasses.fields(settings_type):
        lines += [f"    # {_describe(field)}", f"    {field.name}: {_yaml_value(field.default)}"]
    return "\n".join(lines) + "\n"


def _yaml_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def _describe(field: dataclasses.Field) -> str:
    extras = []
    if field.metadata["choices"]:
        extras.append(" | ".join(field.metadata["choices"]))
    if field.metadata["limits"]:
        extras.append("{} to {}".format(*field.metadata["limits"]))
    if field.metadata["read_only"]:
        extras.append("set at start")
    return field.metadata["description"] + (f" [{'; '.join(extras)}]" if extras else "")
