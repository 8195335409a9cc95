# SPDX-License-Identifier: Apache-2.0
"""What a node says of its frames: right for any count, and over when the camera is."""

from __future__ import annotations

import pytest

from vizion3d_ros import diagnostics as module
from vizion3d_ros.diagnostics import FrameDiagnostics


@pytest.fixture
def clock(monkeypatch):
    """A time that only the test moves on."""

    class Clock:
        now_s = 1000.0

        def monotonic(self) -> float:
            return self.now_s

        perf_counter = monotonic

    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.mark.parametrize("count", range(1, 45))
def test_p95_is_never_below_p50(clock, count):
    diagnostics = FrameDiagnostics()
    for number in range(count):
        diagnostics.add("estimate", float(number))
    p50, p95, largest = diagnostics.percentiles_ms()["estimate"]
    assert p50 <= p95 <= largest == 1e3 * (count - 1)
    below_50, below_95 = (sum(1e3 * number <= p for number in range(count)) / count for p in (p50, p95))
    assert 0.5 <= below_50 < 0.5 + 1 / count + 1e-9 and 0.95 <= below_95 < 0.95 + 1 / count + 1e-9


@pytest.mark.parametrize("period_s", [0.03, 1.0, 20.0])
def test_durations_end_when_the_camera_does_and_are_of_one_run(clock, period_s):
    diagnostics = FrameDiagnostics()
    for _ in range(10):
        diagnostics.add("estimate", 5.0)
        clock.now_s += period_s
        assert diagnostics.percentiles_ms() == {"estimate": (5000, 5000, 5000)}
    clock.now_s += 3 * period_s + 10
    assert diagnostics.percentiles_ms() == {}
    diagnostics.add("estimate", 1.0)
    assert diagnostics.percentiles_ms() == {"estimate": (1000, 1000, 1000)}


@pytest.mark.parametrize("period_s", [0.1, 1.0, 4.0, 15.0])
def test_the_rate_of_a_slow_camera_does_not_come_and_go(clock, period_s):
    diagnostics = FrameDiagnostics()
    for _ in range(60):
        diagnostics.frame_done()
        clock.now_s += period_s / 2
        if diagnostics.frames > 50:
            assert diagnostics.rate_hz() == pytest.approx(1 / period_s, rel=0.25)
        clock.now_s += period_s / 2
    clock.now_s += max(5.0, 3 * period_s)
    assert diagnostics.rate_hz() == 0
