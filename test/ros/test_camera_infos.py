# SPDX-License-Identifier: Apache-2.0
"""Whichever way a driver sends CameraInfo: every image gets one, and the right one. No DDS, no clock."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sensor_msgs", reason="sensor_msgs is not installed")

from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo, RegionOfInterest

from vizion3d.errors import CalibrationError
from vizion3d_ros.camera_infos import CameraInfos, FrameCompleter

PERIOD_NS = 33_333_333
START_NS = 1_700_000_000_000_000_000


class Run:
    """Frames of a camera, each PERIOD_NS after the last, through a completer; what came out, by the number of the image."""

    def __init__(self, **options) -> None:
        self.completer = FrameCompleter(["camera"], **options)
        self.infos: dict[int, object] = {}
        self.order: list[int] = []

    def take(self, frames) -> None:
        for frame in frames:
            self.order.append(frame.images[0])
            self.infos[frame.images[0]] = frame.infos[0]

    def image(self, number, at_s=None) -> None:
        at_s = number / 30 if at_s is None else at_s
        self.take(self.completer.add_images([START_NS + number * PERIOD_NS], [number], at_s))

    def info(self, stamp_ns, info, at_s=0.0) -> None:
        self.take(self.completer.add_info("camera", stamp_ns, info, at_s))

    def tick(self, at_s) -> None:
        self.take(self.completer.check_waiting(at_s))


def stamp(number: int) -> int:
    return START_NS + number * PERIOD_NS


@pytest.mark.parametrize("info_ns", [0, START_NS - 10**12, stamp(3), START_NS + 10**15], ids=["zero", "old", "now", "future"])
@pytest.mark.parametrize("before", [0, 1, 7])
@pytest.mark.parametrize("may_lack_info", [False, True])
def test_one_that_is_sent_once_is_good_for_every_image_from_then_on(info_ns, before, may_lack_info):
    run = Run(may_lack_info=may_lack_info)
    for number in range(before):
        run.image(number)
    run.info(info_ns, "calibration", before / 30)
    for number in range(before, 100):
        run.image(number)
    expected = list(range(max(0, before - 1), 100))
    assert run.order == expected and set(run.infos.values()) == {"calibration"}


@given(st.integers(1, 40), st.floats(0, 2), st.booleans())
def test_a_rate_of_its_own_costs_no_image_and_no_waiting(every, late_frames, may_lack_info):
    run = Run(may_lack_info=may_lack_info)
    run.info(stamp(-1), "calibration")
    events = [(number, 1, number) for number in range(100)] + [
        (number + late_frames, 0, number) for number in range(0, 100, every)
    ]
    for at, is_image, number in sorted(events):
        if is_image:
            run.image(number)
        else:
            run.info(stamp(number), "calibration", at / 30)
        if every > 2 and is_image:
            assert run.order[-1] == number  # at once
    run.tick(20.0)
    assert run.order == list(range(100))


@given(st.floats(-2, 0.9), st.integers(0, 8))
def test_where_each_image_has_its_own_it_gets_its_own(late_frames, lost):
    """Before or after its image, and though every one differs; where one is lost, that of the image before."""
    run = Run()
    events = [(float(number), 1, number) for number in range(40)] + [
        (n + late_frames, 0, n) for n in range(40) if n != 10 + lost
    ]
    for at, is_image, number in sorted(events):
        if is_image:
            run.image(number, at / 30)
        else:
            run.info(stamp(number), number, at / 30)
    run.tick(20.0)
    assert run.order == list(range(40))
    for number in (*range(3, 10), *range(32, 40)):
        assert run.infos[number] == number
    assert run.infos[10 + lost] < 10 + lost


@given(st.integers(1, 60), st.integers(0, 20))
def test_a_change_counts_from_its_stamp_on(change, early_frames):
    """The new one comes before the images that it is for, as from a driver that sends it once per mode."""
    run = Run()
    run.info(0, "old")
    for number in range(100):
        if number == max(0, change - early_frames):
            run.info(stamp(change), "new")
        run.image(number)
    assert run.order == list(range(100))
    assert [run.infos[number] for number in run.order] == ["old"] * change + ["new"] * (100 - change)


def test_a_bag_that_loops_and_a_clock_that_goes_back_change_nothing():
    infos = CameraInfos()
    for _ in range(3):
        for number in range(50):
            if number == 0:
                infos.add(stamp(0), "first")
            if number == 25:
                infos.add(stamp(25), "second")
            assert infos.find(stamp(number)) == ("first" if number < 25 else "second")


def test_what_was_on_its_way_and_does_not_come_is_waited_for_a_moment_only():
    run = Run(wait_s=0.25)
    for number in range(5):
        run.info(stamp(number), number, number / 30)
        run.image(number)
    run.image(5)
    assert run.order == [0, 1, 2, 3, 4]
    run.tick(5 / 30 + 0.2)
    assert run.order == [0, 1, 2, 3, 4]
    run.tick(5 / 30 + 0.3)
    assert run.order == [0, 1, 2, 3, 4, 5] and run.infos[5] == 4
    run.image(6)
    assert run.order[-1] == 6  # at once: nothing is expected any more


def test_what_comes_about_one_image_late_is_soon_waited_for_no_longer():
    """Now before the next image, now after it. One that waits in vain goes with the next, and a busy node drops one of two."""
    run, rng, together = Run(), np.random.default_rng(0), 0
    late = 1 + rng.uniform(-0.1, 0.1, 400)
    events = [(float(number), 1, number) for number in range(400)] + [(n + late[n], 0, n) for n in range(400)]
    for at, is_image, number in sorted(events):
        before = len(run.order)
        if is_image:
            run.image(number, at / 30)
        else:
            run.info(stamp(number), number, at / 30)
        together += len(run.order) - before > 1
    assert together < 20


def test_without_any_the_image_goes_on_alone_where_it_may():
    alone, together = Run(may_lack_info=True), Run()
    for run in (alone, together):
        for number in range(30):
            run.image(number)
            run.tick(number / 30)
    assert alone.order[0] <= 8 and alone.order == list(range(alone.order[0], 30)) and set(alone.infos.values()) == {None}
    assert together.order == [] and together.completer.dropped == {"image without camera": 29}
    alone.info(stamp(30), "late")
    alone.image(30)
    assert alone.infos[30] == "late"


def info_of(width, height, roi=(0, 0, 0, 0)) -> CameraInfo:
    x, y, roi_width, roi_height = roi
    return CameraInfo(
        width=width,
        height=height,
        roi=RegionOfInterest(x_offset=x, y_offset=y, width=roi_width, height=roi_height),
        k=[130.0, 0.0, 80.0, 0.0, 130.0, 60.0, 0.0, 0.0, 1.0],
        p=[130.0, 0.0, 80.0, 0.0, 0.0, 130.0, 60.0, 0.0, 0.0, 0.0, 1.0, 0.0],
    )


def test_another_size_without_new_camera_info_is_refused():
    infos, full = CameraInfos(), info_of(640, 480)
    infos.add(0, full)
    infos.check_size(full, 1, (640, 480))
    with pytest.raises(CalibrationError, match="the image is 320x240 now but no CameraInfo for this size came"):
        infos.check_size(full, 2, (320, 240))
    infos.check_size(full, 3, (640, 480))
    half = info_of(320, 240)
    infos.add(4, half)
    infos.check_size(half, 4, (320, 240))
    with pytest.raises(CalibrationError):  # one that was still on its way
        infos.check_size(half, 3, (640, 480))


def test_a_new_roi_without_new_camera_info_is_refused():
    infos, crop = CameraInfos(), info_of(640, 480, (100, 100, 200, 150))
    infos.add(0, crop)
    infos.check_size(crop, 1, (200, 150))
    with pytest.raises(CalibrationError):
        infos.check_size(crop, 2, (400, 300))


def test_images_that_always_were_resized_go_on_and_so_do_those_with_their_own():
    infos, full = CameraInfos(), info_of(640, 480)
    infos.add(0, full)
    for number in range(3):
        infos.check_size(full, number + 1, (320, 240))
    own = info_of(640, 480)
    infos.add(10, own)
    infos.check_size(own, 10, (160, 120))
    infos.check_size(full, 11, (160, 120))
