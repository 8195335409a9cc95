# SPDX-License-Identifier: Apache-2.0
"""What records that hold arrays have in common: they are themselves and equal to nothing else, and print in one line."""

from __future__ import annotations

import dataclasses
from typing import Any


class HoldsArrays:
    """Base of dataclasses with arrays or tensors in them; to be used with ``@dataclass(eq=False, repr=False)``.

    Arrays compare element by element, so that generated ``==`` and ``hash`` would raise; and they print over pages.
    """

    def __repr__(self) -> str:
        fields = (field for field in dataclasses.fields(self) if field.repr)  # type: ignore[arg-type]
        values = ", ".join(f"{field.name}={_in_short(getattr(self, field.name))}" for field in fields)
        return f"{type(self).__name__}({values})"


def _in_short(value: Any) -> str:
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"<{' x '.join(map(str, value.shape))} {str(value.dtype).removeprefix('torch.')}>"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{len(value)} bytes>"
    return " ".join(repr(value).split())
