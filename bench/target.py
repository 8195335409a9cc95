# SPDX-License-Identifier: Apache-2.0
"""A number that is to be reached."""

from __future__ import annotations

from dataclasses import dataclass

HEAD = "| what | in | target | measured | ceiling | |\n|---|---|--:|--:|--:|---|"


@dataclass(frozen=True)
class Target:
    """A measured ratio, smaller is better.

    Attributes:
        what: was measured.
        unit: of what it is a multiple.
        measured: the ratio.
        target: which it may not exceed; None if there is none.
        ceiling: what it cannot be smaller than; None if nobody knows.
    """

    what: str
    unit: str
    measured: float
    target: float | None = None
    ceiling: float | None = None

    @property
    def missed(self) -> bool:
        """Whether the target is not reached, which a measurement that is no number never is."""
        return self.target is not None and not self.measured <= self.target

    def __str__(self) -> str:
        numbers = (self.target, self.measured, self.ceiling)
        cells = " | ".join("–" if number is None else f"{number:.3g}" for number in numbers)
        return f"| {self.what} | {self.unit} | {cells} | {'missed' if self.missed else ''} |"
