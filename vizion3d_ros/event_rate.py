# SPDX-License-Identifier: Apache-2.0
"""How often something happens now. Plain Python: no rclpy, no clock."""

from __future__ import annotations

from collections import deque

_WINDOW_S = 5.0
_PATIENCE = 3  # periods without an event, after which there is no rate
_SLOWEST_S = 60.0  # or so long


class EventRate:
    """Events a second over the last five seconds; of slower ones by the time between the last two."""

    def __init__(self) -> None:
        self._moments_s: deque[float] = deque()

    def add(self, now_s: float) -> None:
        """It happens."""
        moments = self._moments_s
        while len(moments) > 1 and now_s - moments[0] >= _WINDOW_S:
            moments.popleft()
        moments.append(now_s)

    def hz(self, now_s: float) -> float:
        """The rate."""
        moments = self._moments_s
        recent = sum(now_s - one < _WINDOW_S for one in moments)
        if recent < 2 and len(moments) > 1:
            period_s = moments[-1] - moments[-2]
            if now_s - moments[-1] < min(_PATIENCE * period_s, _SLOWEST_S):
                return 1 / period_s
        return recent / _WINDOW_S
