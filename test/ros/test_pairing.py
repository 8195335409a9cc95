# SPDX-License-Identifier: Apache-2.0
"""Matching by stamp: complete, in order, and deaf to nothing."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vizion3d_ros.pairing import Pairing, Skew

TOPICS = ("left", "left_info", "right", "right_info")
MS = 1_000_000


def feed(pairing, messages):
    """Add (topic, stamp) messages whose content is their own (topic, stamp); the matched tuples."""
    matches = [pairing.add(topic, stamp, (topic, stamp)) for topic, stamp in messages]
    return [match for match in matches if match is not None]


@given(st.permutations(TOPICS))
def test_a_tuple_has_the_order_of_the_topics_whatever_the_order_of_arrival(order):
    assert feed(Pairing(TOPICS), [(topic, 5) for topic in order]) == [tuple((topic, 5) for topic in TOPICS)]


@given(st.lists(st.sampled_from(TOPICS), max_size=60), st.integers(1, 4))
def test_exact_matches_only_equal_stamps_and_counts_what_it_drops(topics, queue_size):
    pairing = Pairing(TOPICS, queue_size=queue_size)
    counts = dict.fromkeys(TOPICS, 0)
    messages = []
    for topic in topics:
        counts[topic] += 1
        messages.append((topic, counts[topic]))
    matches = feed(pairing, messages)
    assert all(len({stamp for _, stamp in match}) == 1 for match in matches)
    waiting = sum(len(queue) for queue in pairing._waiting.values())
    assert len(messages) == 4 * pairing.matched + sum(pairing.dropped.values()) + waiting
    assert all(len(queue) <= queue_size for queue in pairing._waiting.values())


@given(st.integers(0, 30), st.integers(1, 10), st.integers(-(10**12), 10**12))
def test_leftovers_of_an_earlier_pass_never_silence_the_next(leftovers, queue_size, start):
    pairing = Pairing(("left", "right"), queue_size=queue_size)
    feed(pairing, [("left", 10**15 + i) for i in range(leftovers)])  # far in the future of the next pass
    second = feed(pairing, [(topic, start + i) for i in range(20) for topic in ("left", "right")])
    assert len(second) == 20
    assert pairing.jumps_back == (1 if leftovers else 0)


def test_the_same_pass_again_matches_again():
    pairing = Pairing(("left", "right"), queue_size=3)
    messages = [(topic, i) for i in range(5) for topic in ("left", "right")]
    assert len(feed(pairing, messages * 4)) == 20


def test_tolerance_takes_the_nearest_and_keeps_out_what_is_farther():
    pairing = Pairing(("left", "right"), tolerance_ns=5 * MS)
    assert feed(pairing, [("left", 0), ("left", 33 * MS), ("right", 32 * MS)]) == [(("left", 33 * MS), ("right", 32 * MS))]
    assert feed(pairing, [("left", 100 * MS), ("right", 106 * MS)]) == []
    assert feed(pairing, [("right", 105 * MS)]) == [(("left", 100 * MS), ("right", 105 * MS))]


@given(
    st.integers(5, 200).map(lambda period_ms: period_ms * MS),
    st.floats(-0.49, 0.49),
    st.integers(0, 30),
    st.integers(1, 1000),
    st.integers(0, 10**6),
)
def test_no_tolerance_mixes_neighbouring_frames(period_ns, offset, late_frames, tolerance_ms, seed):
    """Whatever the tolerance, and however late right is: frame by frame, once two frames have told the period."""
    random = Random(seed)
    offset_ns = round(offset * period_ns)
    pairing = Pairing(("left", "right"), tolerance_ms * MS, queue_ns=(late_frames + 2) * period_ns)
    arrivals = [(n, random.random(), "left", n) for n in range(80)]
    arrivals += [(n + late_frames, random.random(), "right", n) for n in range(80)]
    matched, came = [], Counter()
    for _, _, topic, n in sorted(arrivals):
        if random.random() < 0.2:
            continue  # lost
        came[n] += n > late_frames + 10
        frame = pairing.add(topic, 10**18 + n * period_ns + (offset_ns if topic == "right" else 0), n)
        if frame and pairing.period_ns() is not None and n > late_frames + 10:
            matched.append(frame)
    assert all(left == right for left, right in matched)
    if abs(offset_ns) < min(tolerance_ms * MS, (period_ns - 1) // 2):
        assert len(matched) == sum(count == 2 for count in came.values())


@pytest.mark.parametrize("delay_frames", [0, 5, 15, 28])
def test_a_camera_that_is_late_pairs_as_long_as_the_queue_is_longer(delay_frames):
    """30 Hz, the same stamps, right up to 0.93 s later than left."""
    period_ns = 33 * MS
    pairing = Pairing(("left", "right"))
    arrivals = sorted([(n, "left", n) for n in range(100)] + [(n + delay_frames + 0.5, "right", n) for n in range(100)])
    assert len(feed(pairing, [(topic, 10**18 + n * period_ns) for _, topic, n in arrivals])) == 100
    skew = pairing.skew()
    assert skew is None or skew.offset_ns == 0


def test_what_is_later_than_the_queue_is_told_from_stamps_that_differ():
    period_ns = 33 * MS
    arrivals = sorted([(n, "left", n) for n in range(100)] + [(n + 40.5, "right", n) for n in range(100)])
    late = Pairing(("left", "right"))
    assert feed(late, [(topic, n * period_ns) for at, topic, n in arrivals if at < 100]) == []
    assert late.skew() == Skew("right", 40 * period_ns, 0)
    offset = Pairing(("left", "right"))
    assert feed(offset, [(topic, n * period_ns + (12 * MS if topic == "right" else 0)) for _, topic, n in arrivals]) == []
    assert offset.skew() == Skew("right", None, 12 * MS)


def test_stamps_of_zero_are_seen():
    pairing = Pairing(("left", "right"))
    feed(pairing, [("left", 5), ("right", 0), ("left", 6), ("right", 0)])
    assert pairing.are_zero() == ["right"]


def test_drops_name_the_missing_partner():
    pairing = Pairing(("left", "right"), queue_size=2)
    feed(pairing, [("left", i) for i in range(5)])
    assert pairing.dropped == {"left without right": 3}


def test_matches_come_in_order():
    pairing = Pairing(("left", "right"))
    matches = feed(pairing, [("left", 1), ("left", 2), ("right", 2), ("right", 1), ("left", 3), ("right", 3)])
    assert [match[0][1] for match in matches] == [2, 3]


def test_skew_names_the_topic_that_is_farthest():
    pairing = Pairing(("left", "middle", "right"))
    assert pairing.skew() is None
    feed(pairing, [("left", 100), ("middle", 101), ("right", 90)])
    assert pairing.skew() == Skew("right", None, -10)
