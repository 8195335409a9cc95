# SPDX-License-Identifier: Apache-2.0
"""Numbers that users give in commands."""

from __future__ import annotations

import math

from vizion3d.errors import InputError


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
