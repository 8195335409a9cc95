# SPDX-License-Identifier: Apache-2.0
"""So many a second and no more, whatever comes. Plain Python: no rclpy, no clock."""

from __future__ import annotations

import math


class RateLimit:
    """Lets through what keeps below a rate.

    In any time that is at most three more than the rate gives. Where enough comes the rate is reached, whatever the jitter:
    what is late by up to a period does not move those after it.
    """

    def __init__(self) -> None:
        self._due_s = -math.inf

    def admits(self, rate_hz: float, now_s: float) -> bool:
        """Whether what comes now goes through.

        Args:
            rate_hz: which may differ from call to call; 0 lets all through.
            now_s: time on a clock that does not go back.
        """
        if not rate_hz:
            self._due_s = now_s
            return True
        period_s = 1 / rate_hz
        due_s = now_s if self._due_s > now_s + period_s else self._due_s  # the rate was lower, until now
        if now_s < due_s:
            return False
        self._due_s = max(due_s + period_s, now_s - period_s)
        return True
