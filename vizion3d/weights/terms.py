# SPDX-License-Identifier: Apache-2.0
"""Who made which weights and what may be done with them, as THIRD_PARTY.md has it: ``python -m vizion3d.weights.terms``."""

from __future__ import annotations

from pathlib import Path

from vizion3d.weights.architectures import ARCHITECTURES
from vizion3d.weights.registry import RECORDS, WeightsRecord

_BEGIN, _END = "<!-- from the registry: make config -->\n", "<!-- end -->"


def groups() -> list[list[WeightsRecord]]:
    """The records, those under the same terms together."""
    found: dict[tuple[str, str, str], list[WeightsRecord]] = {}
    for record in RECORDS:
        found.setdefault((record.architecture, record.commercial_use, record.basis), []).append(record)
    return list(found.values())


def table() -> str:
    """A row for each of `groups`, in markdown."""
    rows = ["| weights | authors | licence | commercial use | which rests on |", "|---|---|---|---|---|"]
    for group in groups():
        first = group[0]
        names = ", ".join(f"`{record.name}`" for record in group)
        authors = ARCHITECTURES[first.architecture].authors
        rows.append(f"| {names} | {authors} | {first.licence} | {first.commercial_use} | {first.basis} |")
    return "\n".join(rows) + "\n"


def written_into(page: str) -> str:
    """The page with the table of the registry between its two marks."""
    before, _, rest = page.partition(_BEGIN)
    return before + _BEGIN + table() + _END + rest.partition(_END)[2]


def main() -> None:
    """Write THIRD_PARTY.md, in the folder of the repository."""
    page = Path("THIRD_PARTY.md")
    page.write_text(written_into(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
