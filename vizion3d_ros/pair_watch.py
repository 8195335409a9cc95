# SPDX-License-Identifier: Apache-2.0
"""What stands of one pair check after another: when to look again, what to say, what is wrong now. Plain Python."""

from __future__ import annotations

import time
from collections import Counter

from vizion3d.stereo.findings import LEVELS, Finding
from vizion3d.stereo.pair_check import PairCheck

# What the scene or the light may have caused is wrong only after so many checks in a row.
_CHECKS_IN_A_ROW = 3
_REPEAT_S = 60.0


class PairWatch:
    """Of one node; to be used on its worker's thread, but for reading the attributes.

    Attributes:
        last: the last check.
        faults: what is wrong now, the worst first.
    """

    def __init__(self) -> None:
        self.last = PairCheck(())
        self.faults: tuple[Finding, ...] = ()
        self._due_s: float | None = None
        self._in_a_row: Counter[str] = Counter()
        self._told_s: dict[str, float] = {}

    @property
    def wrong(self) -> str:
        """What makes every pixel wrong; "" if nothing does."""
        return "; ".join(str(fault) for fault in self.faults if fault.level == "error")

    def due(self, period_s: float, frame_waits: bool) -> bool:
        """Whether to check now; if so, the next check is due after the period.

        A frame that waits goes first. On a node that is always behind one always waits: there a check is put off by one more
        period at most.
        """
        if not period_s:
            return False
        now_s = time.monotonic()
        self._due_s = now_s if self._due_s is None else min(self._due_s, now_s + period_s)  # the period may have changed
        due = now_s >= self._due_s + (period_s if frame_waits else 0.0)
        if due:
            self._due_s = now_s + period_s
        return due

    def take(self, check: PairCheck) -> list[Finding]:
        """Take the result of a check; what is new, or has not been said for long. What is over comes with level "ok".

        What the check could not judge stays as it was.
        """
        self.last = check
        standing = {fault.what: fault for fault in self.faults}
        news = []
        for finding in check.findings:
            if finding.level == "unknown":
                continue
            what, before = finding.what, standing.pop(finding.what, None)
            self._in_a_row[what] = self._in_a_row[what] + 1 if finding.is_fault else 0
            if not finding.is_fault:
                news += [finding] if before else []
            elif before or not finding.passing or self._in_a_row[what] >= _CHECKS_IN_A_ROW:
                standing[what] = finding
                if before is None or before.level != finding.level or time.monotonic() - self._told_s[what] >= _REPEAT_S:
                    self._told_s[what] = time.monotonic()
                    news.append(finding)
        self.faults = tuple(sorted(standing.values(), key=lambda fault: -LEVELS.index(fault.level)))
        return news
