# SPDX-License-Identifier: Apache-2.0
"""Matching by stamp: complete, in order, and deaf to nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vizion3d_ros.pairing import Pairing

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
    assert feed(pairing, [("left", 0), ("left", 8 * MS), ("right", 7 * MS)]) == [(("left", 8 * MS), ("right", 7 * MS))]
    assert feed(pairing, [("left", 100 * MS), ("right", 106 * MS)]) == []
    assert feed(pairing, [("right", 105 * MS)]) == [(("left", 100 * MS), ("right", 105 * MS))]


def test_drops_name_the_missing_partner():
    pairing = Pairing(("left", "right"), queue_size=2)
    feed(pairing, [("left", i) for i in range(5)])
    assert pairing.dropped == {"left without right": 3}


def test_matches_come_in_order():
    pairing = Pairing(("left", "right"))
    matches = feed(pairing, [("left", 1), ("left", 2), ("right", 2), ("right", 1), ("left", 3), ("right", 3)])
    assert [match[0][1] for match in matches] == [2, 3]


def test_offset_names_the_topic_that_is_farthest():
    pairing = Pairing(("left", "middle", "right"))
    assert pairing.offset_ns() is None
    feed(pairing, [("left", 100), ("middle", 101), ("right", 90)])
    assert pairing.offset_ns() == ("right", -10)
