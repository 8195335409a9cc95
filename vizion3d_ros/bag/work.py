# SPDX-License-Identifier: Apache-2.0
"""Make all segments of a job, or a shard of them: one after the other or in several processes, anew or where others stopped.

What is there is known from depth.json beside the files, which only one process writes.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from vizion3d.errors import InputError, Vizion3dError
from vizion3d.runtime.threads import set_threads
from vizion3d_ros.bag.job import Job
from vizion3d_ros.bag.on_ray import make_on_ray
from vizion3d_ros.bag.pipelines import Pipeline, open_pipeline
from vizion3d_ros.bag.segment import SegmentReport, make_segment
from vizion3d_ros.bag.writer import UNFINISHED, check_new, told, write_metadata, write_whole

STATE = "depth.json"
_TRIES = 3
_LOOK_S = 0.5

OnSegment = Callable[[SegmentReport], object]


class Output:
    """The folder of a recording that is made.

    Attributes:
        folder: where it is.
        segments: reports by the index of their segment.
    """

    def __init__(self, folder: Path, identity: dict[str, Any], segments: dict[int, SegmentReport] | None = None) -> None:
        self.folder = folder
        self._identity = identity
        self.segments = segments or {}

    @classmethod
    def begin(cls, folder: Path, job: Job) -> Output:
        """An empty one. Raises InputError if something is there."""
        check_new(folder)
        output = cls(folder, job.identity())
        folder.mkdir(parents=True, exist_ok=True)
        output.save()
        return output

    @classmethod
    def load(cls, folder: Path) -> Output:
        """The one that is there, as far as its files are. Raises InputError if there is none."""
        try:
            state = json.loads((folder / STATE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(f"{folder} has no {STATE}, so it is no recording that was begun here") from None
        except ValueError as error:
            raise InputError(f"{folder / STATE} is damaged ({error}); begin in another folder") from None
        try:
            reports = {int(index): SegmentReport(**report) for index, report in state["segments"].items()}
            names = {index: report.metadata["relative_file_paths"] for index, report in reports.items()}
            identity = dict(state["job"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{folder / STATE} is not what this version writes ({error!r}); begin in another folder") from None
        there = {index for index in reports if all((folder / name).is_file() for name in names[index])}
        return cls(folder, identity, {index: report for index, report in reports.items() if index in there})

    @classmethod
    def resume(cls, folder: Path, job: Job) -> Output:
        """The one that is there, if it is of this job. Raises InputError if it is of another."""
        output = cls.load(folder)
        output.check_same(job.identity(), "what is asked for now")
        output.segments = {index: report for index, report in output.segments.items() if report.whole}
        return output

    def check_same(self, identity: dict[str, Any], what: str) -> None:
        """Raise InputError, naming the differences, if this is of another job."""
        if other := [key for key, value in identity.items() if self._identity.get(key) != value]:
            if "settings" in other:
                mine, theirs = self._identity["settings"], identity["settings"]
                other += [f"{key} {mine.get(key)!r} and {value!r}" for key, value in theirs.items() if mine.get(key) != value]
            raise InputError(f"{self.folder} and {what} differ in {', '.join(other)}; begin in another folder")

    def add(self, index: int, report: SegmentReport) -> None:
        """Take a segment whose file is there, and tell it to those who read."""
        self.segments[index] = report
        with told(self.folder):
            self.save()
            self.write_metadata()

    def save(self) -> None:
        """Write what is known."""
        state = {"job": self._identity, "segments": {index: asdict(self.segments[index]) for index in sorted(self.segments)}}
        write_whole(self.folder / STATE, json.dumps(state, indent=1))

    def write_metadata(self) -> None:
        """Make what is there a recording."""
        write_metadata(self.folder, [self.segments[index].metadata for index in sorted(self.segments)])


def work(
    job: Job,
    output: Output,
    pipeline: Pipeline,
    *,
    segments: Iterable[int],
    jobs: int,
    stop: Callable[[], bool],
    on_frame: Callable[[int], object],
    tell: Callable[[str], object],
    ray: str = "",
) -> None:
    """Make those segments that are not there yet.

    Args:
        job: what to do.
        output: where to.
        pipeline: for work in this process.
        segments: which ones.
        jobs: in how many processes.
        stop: whether to end early.
        on_frame: is called with a number of frames that are done.
        tell: is called with what a user should know.
        ray: address of a cluster that works instead of this process; "local" starts one.

    Raises:
        DependencyError: Ray is asked for and missing.
        InputError: the recording cannot be read any more, nothing can be written, or processes end again and again.
    """
    missing = [index for index in segments if index not in output.segments]
    if ray and missing:

        def add(index: int, report: SegmentReport) -> None:
            output.add(index, report)
            on_frame(report.frames + len(report.skipped))

        make_on_ray(ray, job, output.folder, missing, stop, add)
    elif jobs > 1 and len(missing) > 1:
        _work_in_processes(job, output, missing, min(jobs, len(missing)), stop, on_frame, tell)
    else:
        for index in missing:
            if stop():
                break
            output.add(index, make_segment(job, index, pipeline, output.folder, stop, lambda: on_frame(1)))
    shutil.rmtree(output.folder / UNFINISHED, ignore_errors=True)


def shard(count: int, which: int, of: int) -> range:
    """The segments of a shard: stretches that follow each other, as equal as may be; `which` counts from 1."""
    return range(count * (which - 1) // of, count * which // of)


def merge(folders: Sequence[Path], target: Path) -> Output:
    """Make one recording of the shards of a job. Files are linked where that can be.

    Raises:
        InputError: they are not all of one job, or something is missing.
    """
    parts = [Output.load(folder) for folder in folders]
    first = parts[0]
    segments: dict[int, SegmentReport] = {}
    sources: dict[int, Path] = {}
    for part in parts:
        part.check_same(first._identity, str(first.folder))
        for index, report in part.segments.items():
            if report.whole and index not in segments:
                segments[index], sources[index] = report, part.folder
    frames, size = first._identity["frames"], first._identity["segment_frames"]
    if missing := sorted({*range(-(-frames // size))} - {*segments}):
        names = ", ".join(map(str, missing[:10])) + " ..." * (len(missing) > 10)
        raise InputError(
            f"of {frames} frames in files of {size} those of the files {names} are missing; finish all shards first"
        )
    check_new(target)
    target.mkdir(parents=True, exist_ok=True)
    output = Output(target, first._identity, segments)
    for index, folder in sources.items():
        for name in segments[index].metadata["relative_file_paths"]:
            _link(folder / name, target / name)
    output.save()
    output.write_metadata()
    return output


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # of another disc, or one that knows no links
        shutil.copyfile(source, target)


def _work_in_processes(
    job: Job,
    output: Output,
    missing: Sequence[int],
    jobs: int,
    stop: Callable[[], bool],
    on_frame: Callable[[int], object],
    tell: Callable[[str], object],
) -> None:
    """Hand segments out; what a process that died was at is done again by another."""
    context = multiprocessing.get_context("spawn")
    waiting = deque(missing)
    tries: Counter[int] = Counter()
    at_work: dict[Connection, int] = {}
    idle: list[Connection] = []
    try:
        while at_work or (waiting and not stop()):
            while waiting and not stop() and len(at_work) < jobs:
                if not idle:
                    here, there = context.Pipe()
                    with _interrupts_held():
                        context.Process(target=_serve, args=(there, job, output.folder), daemon=True).start()
                    there.close()
                    idle.append(here)
                with suppress(BrokenPipeError):  # of one that died idle, which is noticed below
                    idle[-1].send(waiting[0])
                at_work[idle.pop()] = waiting.popleft()
            for connection in wait(list(at_work), timeout=_LOOK_S):
                index = at_work.pop(connection)  # type: ignore[call-overload]
                report = _answer(connection)  # type: ignore[arg-type]
                if report is None:
                    waiting.appendleft(index)
                    _count_death(tries, index, tell)
                    continue
                idle.append(connection)  # type: ignore[arg-type]
                output.add(index, report)
                on_frame(report.frames + len(report.skipped))
    finally:
        for connection in (*idle, *at_work):
            connection.close()  # which ends the process


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Processes that are started here get no Ctrl-C before they ask for it: it would end them while they import."""
    resource_tracker.ensure_running()  # whose start lets through again what it holds
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _answer(connection: Connection) -> SegmentReport | None:
    """What a process has made; None if it is dead. Raises what was raised in it."""
    try:
        answer = connection.recv()
    except (EOFError, ConnectionResetError):
        return None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _count_death(tries: Counter[int], index: int, tell: Callable[[str], object]) -> None:
    tries[index] += 1
    if tries[index] == _TRIES:
        raise InputError(
            f"processes were killed {_TRIES} times at one place, maybe for want of memory; give fewer --jobs, and --resume"
        )
    tell("a process was killed; what it was at is done again")


def _serve(connection: Connection, job: Job, folder: Path) -> None:
    """Make segments in a process of its own until the other end of the connection is closed."""
    stopped = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stopped.set())  # which a terminal sends to all
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    parent = multiprocessing.parent_process()
    set_threads(job.settings.threads)
    pipeline = open_pipeline(job.settings)
    with suppress(EOFError, BrokenPipeError):
        while True:
            index = connection.recv()
            try:
                answer: object = make_segment(
                    job, index, pipeline, folder, lambda: stopped.is_set() or not (parent and parent.is_alive())
                )
            except Vizion3dError as error:
                answer = error
            connection.send(answer)
