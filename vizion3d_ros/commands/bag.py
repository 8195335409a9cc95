# SPDX-License-Identifier: Apache-2.0
"""vizion3d bag INPUT... --out DIR: depth of every frame of a recording, none dropped, as another recording.

INPUT is a rosbag2 folder or file (sqlite3, mcap, compressed, split) or a .bag file of ROS 1; several are read as one. The
cameras are found where only one pair, or one camera, can be meant. What is written is a rosbag2 with the stamps of the input,
in files that can be read as soon as they are there: an end in the middle costs the one at work at most, and --resume goes on.

  vizion3d bag INPUT... --list                       what is in it, what is wrong, and the command to run
  vizion3d bag INPUT... --out DIR [--stereo LEFT RIGHT | --mono IMAGE [INFO]] [options of the matcher]
  vizion3d bag FOLDER_OR_FILM --calib FILE... --out DIR [--as png,ply,npz]
  vizion3d bag INPUT... --out DIR --shard 2/4        a part of it, on any machine, to be joined by:
  vizion3d bag merge SHARD... --out DIR

Frames that cannot be used are left out, counted and named. The exit status is 0 if all that can be read was written, 1 if the
input is damaged, 2 for a mistake, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vizion3d.cli.flags import add_option_flags, in_flags, read_options
from vizion3d.cli.pair import add_cameras_argument
from vizion3d.errors import DependencyError, InputError
from vizion3d.option_records import flag_of, walk
from vizion3d.runtime.threads import set_threads
from vizion3d_ros.settings import MonoFrameSettings, StereoFrameSettings

if TYPE_CHECKING:
    from vizion3d_ros.bag.job import Job
    from vizion3d_ros.bag.plan import Plan
    from vizion3d_ros.bag.segment import SegmentReport

_LOG = logging.getLogger(__name__)
_NAMED = 5  # of what is skipped; all of it is in depth.json
_LEAST_HZ = 0.001
_MOST = 1e9  # of every number: seconds that nanoseconds of 64 bits can hold


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "bag",
        help="depth of every frame of a recording",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="recordings; or merge and the folders of shards")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the new recording")
    parser.add_argument("--list", action="store_true", help="say what is in the recording, and how to go on; write nothing")
    parser.add_argument(
        "--calib-out", type=Path, metavar="DIR", help="with --list: write the calibrations as YAML files into this folder"
    )
    what = parser.add_argument_group("what to read")
    what.add_argument(
        "--stereo",
        nargs="+",
        default=[],
        metavar="TOPIC",
        help="namespaces or image topics of the left and the right camera; or image and camera_info of both, four names",
    )
    what.add_argument(
        "--mono", nargs="+", default=[], metavar="TOPIC", help="namespace or image topic; or image and camera_info"
    )
    what.add_argument("--start", type=float, default=0.0, metavar="S", help="seconds from the beginning of the recording")
    what.add_argument("--end", type=float, metavar="S", help="where to end, in the same seconds")
    what.add_argument("--every", type=int, default=1, metavar="N", help="only every so many-th frame")
    what.add_argument(
        "--tolerance",
        type=float,
        default=0.0,
        metavar="S",
        help="stamps of left and right that differ by no more are one moment",
    )
    what.add_argument(
        "--rectify",
        choices=("yes", "no"),
        dest="rectify_by_hand",
        help="yes: the images are raw; no: they are rectified (default: as the rows line up, else by the names of the topics)",
    )
    what.add_argument("--calib", nargs="+", default=[], metavar="FILE", help="calibration, for pictures and films")
    add_cameras_argument(what)
    what.add_argument("--rate", type=float, default=0.0, metavar="HZ", help="of pictures (default: that of the film, or 10)")
    write = parser.add_argument_group("what to write")
    write.add_argument(
        "--as",
        type=_names,
        default=(),
        dest="forms",
        metavar="FORMS",
        help="png,ply,npz: files of each frame (default: a recording)",
    )
    write.add_argument(
        "--only",
        type=_names,
        default=(),
        metavar="NAMES",
        help="depth,disparity,points,... (default: all), and depth/color,..., which show the others",
    )
    write.add_argument("--namespace", default="", metavar="NS", help="of the new topics (default: that of the cameras)")
    write.add_argument(
        "--copy-inputs", action="store_true", help="write all topics of the input as well, from --start to --end"
    )
    write.add_argument("--storage", choices=("mcap", "sqlite3"), default="mcap", help="(default: %(default)s)")
    write.add_argument("--compress", choices=("zstd",), help="smaller and slower")
    write.add_argument(
        "--segment",
        type=int,
        default=0,
        metavar="N",
        help="frames a file; an end in the middle costs no more (default: by size)",
    )
    how = parser.add_argument_group("how to work")
    how.add_argument("--resume", action="store_true", help="go on with what is in --out")
    how.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (default: %(default)s)")
    how.add_argument(
        "--ray", default="", metavar="ADDRESS", help="let a Ray cluster work that sees all paths as this machine does; or local"
    )
    how.add_argument("--shard", type=_shard, default=(1, 1), metavar="I/N", help="only this part of the recording")
    add_option_flags(
        parser.add_argument_group("options of frames"), StereoFrameSettings, MonoFrameSettings, without=("rectify",)
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Do it.

    Raises:
        InputError: something that was given cannot be used, or the recording cannot be read.
        DependencyError: rosbags is missing.
    """
    try:
        import rosbags  # noqa: F401
    except ImportError as error:
        raise DependencyError("recordings need the package rosbags: pip install rosbags") from error
    is_merge = arguments.inputs[0] == "merge" and not Path("merge").exists()
    if arguments.out is None and (is_merge or not arguments.list):
        raise InputError("give --out DIR, the folder for the new recording; or --list to see what is in this one")
    if is_merge:
        return _merge(arguments)
    _check_numbers(arguments)
    if arguments.list:
        from vizion3d_ros.bag.pictures import is_pictures
        from vizion3d_ros.doctor.overview import overview

        paths = [Path(name) for name in arguments.inputs]
        if is_pictures(paths):
            raise InputError(f"{paths[0]} is pictures or a film, and --list is for recordings; give --calib FILE and --out DIR")
        print(overview(paths, arguments.stereo, arguments.mono, arguments.calib_out))
        return 0
    return _record(arguments)


def _check_numbers(arguments: argparse.Namespace) -> None:
    for name, least in (("every", 1), ("jobs", 1), ("segment", 0), ("start", 0), ("tolerance", 0), ("rate", 0)):
        if not least <= getattr(arguments, name) <= _MOST:
            raise InputError(f"--{name} is {getattr(arguments, name):g}; it must be at least {least}, and {_MOST:g} at most")
    if 0 < arguments.rate < _LEAST_HZ:
        raise InputError(f"--rate is {arguments.rate:g}; it must be at least {_LEAST_HZ:g}, or 0 for that of the film")
    if unknown := [form for form in arguments.forms if form not in ("png", "ply", "npz")]:
        raise InputError(f"--as {','.join(unknown)}: there is no such form; there are png, ply and npz")
    if arguments.ray and arguments.jobs > 1:
        raise InputError("--ray and --jobs are two ways; give one")
    if arguments.calib_out and not arguments.list:
        raise InputError("--calib-out writes what --list has found; give both")
    if arguments.end is not None and not arguments.start < arguments.end <= _MOST:
        raise InputError(
            f"--end is {arguments.end:g} s and --start {arguments.start:g} s; it must be the later one, and {_MOST:g} at most"
        )


def _merge(arguments: argparse.Namespace) -> int:
    from vizion3d_ros.bag.work import merge

    if len(arguments.inputs) < 2:
        raise InputError("nothing to merge; give the folders of all shards: vizion3d bag merge SHARD... --out DIR")
    output = merge([Path(folder) for folder in arguments.inputs[1:]], arguments.out)
    print(f"{sum(report.frames for report in output.segments.values())} frames in {arguments.out}")
    return 0


def _record(arguments: argparse.Namespace) -> int:
    from vizion3d_ros.bag.pictures import open_recording, recognise
    from vizion3d_ros.bag.pipelines import open_pipeline
    from vizion3d_ros.bag.plan import make_plan
    from vizion3d_ros.bag.prepare import choose_cameras, decide_settings, make_job
    from vizion3d_ros.bag.progress import Progress
    from vizion3d_ros.bag.work import Output, shard, work
    from vizion3d_ros.bag.writer import check_new

    inputs = [Path(name) for name in arguments.inputs]
    if not arguments.resume:
        check_new(arguments.out)
    pictures = recognise(inputs, arguments.calib, arguments.cameras, arguments.rate)
    if arguments.calib and pictures is None:
        raise InputError(f"--calib is for pictures and films; {inputs[0]} is a recording, whose CameraInfo counts")
    for flag, is_given in (("--rate", arguments.rate), ("--cameras", arguments.cameras)):
        if is_given and pictures is None:
            raise InputError(f"{flag} is for pictures and films; {inputs[0]} is a recording, which says it itself")
    with closing(open_recording(inputs, pictures)) as bag:
        cameras = choose_cameras(bag, arguments.stereo, arguments.mono, str(inputs[0]))
        settings = _settings(arguments, StereoFrameSettings if len(cameras) == 2 else MonoFrameSettings)
        plan = make_plan(
            bag,
            cameras,
            tolerance_ns=round(arguments.tolerance * 1e9),
            start_s=arguments.start,
            end_s=arguments.end,
            every=arguments.every,
        )
        rectify = None if arguments.rectify_by_hand is None else arguments.rectify_by_hand == "yes"
        settings, size_wh = decide_settings(bag, cameras, plan, settings, rectify, _LOG.info)
        set_threads(settings.threads)
        pipeline = open_pipeline(settings)
        job = make_job(
            bag,
            inputs,
            cameras,
            plan,
            settings,
            size_wh,
            pipeline,
            only=arguments.only,
            namespace=arguments.namespace,
            copy_inputs=arguments.copy_inputs,
            storage=arguments.storage,
            compress=bool(arguments.compress),
            segment_frames=arguments.segment,
            forms=arguments.forms,
            pictures=pictures,
        )
    segments = shard(job.segment_count, *arguments.shard)
    output = Output.resume(arguments.out, job) if arguments.resume else Output.begin(arguments.out, job)
    _announce(job, pipeline.describe(), segments, arguments)
    stop = _Stop()
    done = sum(report.frames + len(report.skipped) for index, report in output.segments.items() if index in segments)
    total = sum(job.rows(index).stop - job.rows(index).start for index in segments)
    with Progress(total, done) as progress, stop:
        work(
            job,
            output,
            pipeline,
            segments=segments,
            jobs=arguments.jobs,
            ray=arguments.ray,
            stop=stop.is_set,
            on_frame=progress.add,
            tell=lambda text: _LOG.warning(text),
        )
    reports = [output.segments[index] for index in segments if index in output.segments]
    _summarise(job.plan, reports, progress, arguments)
    if stop.is_set() and (len(reports) < len(segments) or not all(report.whole for report in reports)):
        print(
            f"interrupted after {sum(report.frames for report in reports)} of {total} frames; go on with --resume",
            file=sys.stderr,
        )
        return 130
    return int(bool(plan.damage))


def _settings(arguments: argparse.Namespace, kind: type[Any]) -> Any:
    """The options of stereo or mono; raises InputError if one of the other was given."""
    own = {name for name, _ in walk(kind)}
    for other, what in ((StereoFrameSettings, "stereo"), (MonoFrameSettings, "one camera")):
        for name, _ in walk(other):
            if name in vars(arguments) and name not in own:
                raise InputError(f"{flag_of(name)} is an option for {what}, and these topics are not")
    return read_options(arguments, kind)


def _announce(job: Job, model: str, segments: Sequence[int], arguments: argparse.Namespace) -> None:
    """What will be done, and how large it will be."""
    from vizion3d.weights.progress import megabytes
    from vizion3d_ros.bag.job import bytes_a_frame
    from vizion3d_ros.bag.prepare import short_name

    sizes = bytes_a_frame(job.outputs, job.settings, job.size_wh)
    frames = sum(job.rows(index).stop - job.rows(index).start for index in segments)
    total = frames * sum(sizes.values())
    largest = max(sizes, key=lambda topic: sizes[topic])
    images = ", ".join(camera.image for camera in job.cameras)
    part = f"part {arguments.shard[0]} of {arguments.shard[1]}: " if arguments.shard[1] > 1 else ""
    print(f"{part}{frames} frames of {images}, {job.size_wh[0]}x{job.size_wh[1]}, {model}")
    about = f"about {megabytes(total)}{' before compression' if job.compress or job.forms else ''}"
    copies = f", and copies of {len(job.copies)} topics" if job.copies else ""
    print(f"to {arguments.out}: {', '.join(job.outputs.values())}; {about}, {short_name(largest)} the most of it{copies}")
    free = shutil.disk_usage(arguments.out).free
    if total > free and not (job.compress or job.forms):
        _LOG.warning(
            f"there are {megabytes(free)} free at {arguments.out}: it will not fit; what makes it smaller is --every, --only, "
            "--cloud-decimation, --no-cloud-organized, --depth-encoding 16UC1, --compress zstd"
        )


def _summarise(plan: Plan, reports: Sequence[SegmentReport], progress: Any, arguments: argparse.Namespace) -> None:
    from vizion3d_ros.bag.plan import Skipped

    skipped = sorted([*plan.skipped, *(Skipped(*one) for report in reports for one in report.skipped)])
    frames = sum(report.frames for report in reports)
    seconds: Counter[str] = Counter()
    for report in reports:
        seconds.update(report.seconds)
    stages = ", ".join(f"{stage} {value:.1f} s" for stage, value in seconds.items())
    print(f"{frames} frames in {arguments.out}; {progress.rate_text()}" + (f" ({stages})" if stages else ""))
    if skipped:
        print(f"left out: {len(skipped)}" + (f", the first {_NAMED} of them" if len(skipped) > _NAMED else ""))
        for one in skipped[:_NAMED]:
            print(f"  {in_flags(str(one))}")
    faults = Counter(
        text for report in reports for _, text in {fault[1].partition(":")[0]: fault for fault in report.faults}.values()
    )
    for text, count in faults.most_common():
        print(f"pair check, {count} of {len(reports)}: {in_flags(text)}")
    if plan.damage:
        print(f"the recording can be read no further than this: {plan.damage}", file=sys.stderr)


class _Stop:
    """Ctrl-C and SIGTERM as a wish: the file at work is finished as far as it is. A second one ends at once."""

    def __init__(self) -> None:
        self._wished = False
        self._before: dict[int, Any] = {}

    def is_set(self) -> bool:
        """Whether it was wished."""
        return self._wished

    def __enter__(self) -> _Stop:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._wish)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _wish(self, *_: object) -> None:
        if self._wished:
            raise KeyboardInterrupt
        self._wished = True


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.replace(",", " ").split())


def _shard(text: str) -> tuple[int, int]:
    which, _, of = text.partition("/")
    if not (which.isdigit() and of.isdigit() and 1 <= int(which) <= int(of)):
        raise argparse.ArgumentTypeError(f'"{text}" is no part; it must be I/N with I from 1 to N, for example 2/4')
    return int(which), int(of)
