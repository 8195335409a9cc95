# SPDX-License-Identifier: Apache-2.0
"""Never more than the rate, never less than can be had below it, however frames come."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vizion3d_ros.rate_limit import RateLimit

STEPS_S = st.lists(st.floats(0.001, 2.0), min_size=1, max_size=60)


def admitted(times_s, rate_hz: float, limit: RateLimit | None = None) -> list[float]:
    limit = limit or RateLimit()
    return [now for now in times_s if limit.admits(rate_hz, now)]


@given(STEPS_S, st.floats(0.1, 100.0))
def test_no_stretch_of_time_has_more_than_the_rate_gives(steps_s, rate_hz):
    times = admitted(itertools.accumulate(steps_s), rate_hz)
    for first in range(len(times)):
        for last in range(first, len(times)):
            assert last - first + 1 <= (times[last] - times[first]) * rate_hz + 3 + 1e-6


@given(STEPS_S, st.floats(0.1, 100.0))
def test_what_is_slower_goes_through_whole(steps_s, rate_hz):
    times = list(itertools.accumulate(max(step, 1.001 / rate_hz) for step in steps_s))
    assert admitted(times, rate_hz) == times


@given(st.floats(1.0, 60.0), st.floats(0.05, 1.0), st.integers(0, 999))
def test_jitter_costs_no_rate(camera_hz, part, seed):
    draw = random.Random(seed).uniform
    times = [(number + draw(-0.4, 0.4)) / camera_hz for number in range(300)]
    assert len(admitted(times, part * camera_hz)) == pytest.approx(300 * part, abs=4)


@given(STEPS_S)
def test_a_rate_that_changes_counts_at_once(steps_s):
    times = list(itertools.accumulate(steps_s))
    limit = RateLimit()
    assert admitted(times, 0.0, limit) == times
    assert limit.admits(0.01, times[-1] + 0.001) and not limit.admits(0.01, times[-1] + 50)
    assert limit.admits(1000.0, times[-1] + 50.1)
