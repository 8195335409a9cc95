# SPDX-License-Identifier: Apache-2.0
"""What a check says: one finding for each thing that it looked at, in the same words at every door."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "unknown", "warning", "error"]
LEVELS: tuple[Level, ...] = ("ok", "unknown", "warning", "error")
"""From the best to the worst."""


@dataclass(frozen=True)
class Finding:
    """Result of one check.

    Attributes:
        level: "ok", "unknown" (these images do not tell), "warning" (unlikely, or results suffer) or "error" (every pixel is
            wrong).
        what: what was checked.
        value: what was found, with its unit.
        advice: what to do about it; "" if nothing.
        passing: the scene or the light may have caused it, so that it may go by itself.
    """

    level: Level
    what: str
    value: str
    advice: str = ""
    passing: bool = False

    @property
    def is_fault(self) -> bool:
        """Whether something is wrong."""
        return self.level in ("warning", "error")

    def __str__(self) -> str:
        return f"{self.what}: {self.value}" + (f" -> {self.advice}" if self.advice else "")


def judge(fine: bool, what: str, value: str, advice: str, level: Level = "warning", *, passing: bool = False) -> Finding:
    """An ok finding, or one of this level with advice."""
    return Finding("ok", what, value) if fine else Finding(level, what, value, advice, passing)


def within(value: float, limits: tuple[float, float]) -> bool:
    """Whether a value is between two limits."""
    return limits[0] <= value <= limits[1]
