# SPDX-License-Identifier: Apache-2.0
"""Make one segment of a recording: read and decode, estimate, write, each ahead of the next."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vizion3d.errors import InputError, Vizion3dError
from vizion3d_ros.bag.files import FileWriter
from vizion3d_ros.bag.job import Job
from vizion3d_ros.bag.overlap import ahead
from vizion3d_ros.bag.pictures import open_recording
from vizion3d_ros.bag.pipelines import Pipeline
from vizion3d_ros.bag.plan import INFO, LOG, FrameFinder, Skipped
from vizion3d_ros.bag.reader import BagReader
from vizion3d_ros.bag.serialized import read_message
from vizion3d_ros.bag.writer import SegmentWriter, told


@dataclass
class SegmentReport:
    """What became of a segment, in JSON's values.

    Attributes:
        frames: that were written.
        whole: all its frames were worked on; otherwise it has to be done again.
        skipped: frames that came to nothing: (seconds from the beginning, reason).
        faults: what the pair check says of its first frame: (level, text).
        metadata: what metadata.yaml says of its file.
        seconds: that each stage took.
    """

    frames: int = 0
    whole: bool = True
    skipped: list[tuple[float, str]] = field(default_factory=list)
    faults: list[tuple[str, str]] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass
class _Copied:
    topic: str
    log_ns: int
    cdr: bytes


@dataclass
class _Frame:
    row: int
    log_ns: int
    images: list[bytes]
    messages: list[Any] = field(default_factory=list)
    decoded: Any = None
    prediction: Any = None
    trouble: str = ""


def make_segment(
    job: Job,
    index: int,
    pipeline: Pipeline,
    folder: Path,
    stop: Callable[[], bool] = lambda: False,
    on_frame: Callable[[], object] = lambda: None,
) -> SegmentReport:
    """Make a segment.

    Args:
        job: of which it is.
        index: of the segment.
        pipeline: what is done to frames.
        folder: of the recording that is made.
        stop: whether to end before its end, with what is done.
        on_frame: is called after each frame.

    Raises:
        InputError: the recording cannot be read any more, or nothing can be written.
    """
    report = SegmentReport(seconds=dict.fromkeys(("reading", "estimating", "writing"), 0.0))
    with told(folder):
        writer: SegmentWriter | FileWriter = (
            FileWriter(folder, index, job.forms)
            if job.forms
            else SegmentWriter(folder, index, job.topics, job.storage, job.compress)
        )
    try:
        with closing(open_recording(job.inputs, job.pictures)) as bag:
            stages = ahead(_estimated(ahead(_decoded(job, index, pipeline, bag, report)), pipeline, report))
            with closing(stages):  # type: ignore[type-var]
                for item in stages:
                    with told(folder), _timed(report, "writing"):
                        _write(item, job, pipeline, writer, bag, report)
                    if isinstance(item, _Frame):
                        on_frame()
                    if stop():
                        break
        rows = job.rows(index)
        report.whole = report.frames + len(report.skipped) == rows.stop - rows.start
        with told(folder):
            report.metadata = writer.finish()
    except BaseException:
        writer.abort()
        raise
    return report


def _read(job: Job, index: int, bag: BagReader) -> Generator[_Copied | _Frame, None, None]:
    """Images of frames, and copies, in the order of the recording."""
    frames = job.plan.frames[job.rows(index)]
    finder = FrameFinder(job.cameras, frames)
    first, last = job.copied_span_ns(index) if job.copies else (finder.begin_ns, finder.end_ns)
    begin = None if first is None else min(first, finder.begin_ns)
    end = None if last is None else max(last, finder.end_ns)
    wanted = {camera.image for camera in job.cameras} | {*job.copies}
    try:
        if index == 0 and job.copies and first is not None:  # what was said once before, as /tf_static
            latched = [topic for topic in job.copies if bag.topics[topic].is_latched]
            for topic, _, cdr in bag.recorded(latched, None, first):
                yield _Copied(topic, first, cdr)
        for topic, log_ns, cdr in bag.recorded(wanted, begin, end):
            if topic in job.copies and (first is None or first <= log_ns) and (last is None or log_ns < last):
                yield _Copied(topic, log_ns, cdr)
            for row, images in finder.add(topic, log_ns, cdr):
                yield _Frame(row, int(frames[row, 0, LOG]), images)
    except InputError:
        if finder.is_waiting or not job.plan.damage:
            raise
    if finder.is_waiting:
        raise InputError(f"{bag.path} is not what it was when it was looked through: images are gone; begin again")


def _decoded(job: Job, index: int, pipeline: Pipeline, bag: BagReader, report: SegmentReport) -> Generator[Any, None, None]:
    infos = job.plan.info_messages()
    frames = job.plan.frames[job.rows(index)]
    kinds = [bag.topics[camera.image].type_name for camera in job.cameras]
    items = _read(job, index, bag)
    while True:
        with _timed(report, "reading"):
            item = next(items, None)
            if isinstance(item, _Frame):
                which = frames[item.row, :, INFO]
                _decode(item, kinds, [infos[at] if at >= 0 else None for at in which], pipeline)
        if item is None:
            return
        yield item


def _decode(item: _Frame, kinds: list[str], infos: list[Any], pipeline: Pipeline) -> None:
    try:
        images = [read_message(cdr, kind, "an image") for cdr, kind in zip(item.images, kinds, strict=True)]
        item.messages = [message for pair in zip(images, infos, strict=True) for message in pair]
        item.decoded = pipeline.decode(item.messages)
    except Vizion3dError as error:
        item.trouble = str(error)


def _estimated(items: Iterator[Any], pipeline: Pipeline, report: SegmentReport) -> Generator[Any, None, None]:
    with closing(items):  # type: ignore[type-var]
        for item in items:
            if isinstance(item, _Frame) and not item.trouble:
                with _timed(report, "estimating"):
                    try:
                        item.prediction = pipeline.estimate(item.decoded)
                    except Vizion3dError as error:
                        item.trouble = str(error)
            yield item


def _write(
    item: Any, job: Job, pipeline: Pipeline, writer: SegmentWriter | FileWriter, bag: BagReader, report: SegmentReport
) -> None:
    if isinstance(item, _Copied):
        assert isinstance(writer, SegmentWriter)
        writer.write(item.topic, item.log_ns, item.cdr)
        return
    if item.trouble:
        report.skipped.append(Skipped((item.log_ns - job.plan.begin_ns) / 1e9, item.trouble))
        return
    makers = pipeline.outputs(item.prediction, item.decoded)
    for topic, name in job.outputs.items():
        if topic in makers:
            writer.put(topic, name, bag.name_of(item.log_ns), item.log_ns, makers[topic]())
    if not report.frames:
        faults = pipeline.faults(item.messages, item.decoded, item.prediction)
        report.faults = [(fault.level, str(fault)) for fault in faults]
    report.frames += 1


@contextmanager
def _timed(report: SegmentReport, stage: str) -> Iterator[None]:
    since_s = time.perf_counter()
    yield
    report.seconds[stage] += time.perf_counter() - since_s
