# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a stereo pair and its calibration, and how to mend it; of files, a robot or a recording.

  vizion3d doctor LEFT RIGHT --calib FILE
  vizion3d doctor --live --left NAMESPACE --right NAMESPACE
  vizion3d doctor --bag FOLDER --left NAMESPACE --right NAMESPACE

Of topics it looks at some seconds and writes one page: types, rates, QoS, stamps, calibration, images, nearest depth, depth
step, and the parameters to set. The exit status is 0 if no error was found, 1 otherwise.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vizion3d.cli.pair import add_pair_arguments
from vizion3d.errors import InputError

if TYPE_CHECKING:
    from vizion3d.camera import Calibration, StereoRig
    from vizion3d.stereo.findings import Finding

_MARKS = {"ok": "ok   ", "unknown": "?    ", "warning": "WARN ", "error": "ERROR"}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "doctor",
        help="check a stereo pair and its calibration, a robot or a recording",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_pair_arguments(parser, images_required=False, calib_required=False)
    topics = parser.add_argument_group("topics")
    topics.add_argument("--live", action="store_true", help="look at the topics of a running robot")
    topics.add_argument("--bag", type=Path, metavar="PATH", help="look at those of a rosbag2 recording")
    for side in ("left", "right"):
        topics.add_argument(
            f"--{side}",
            dest=f"{side}_topics",
            default=side,
            metavar="NAMESPACE",
            help=f"where image and camera_info of the {side} camera are, or the image topic (default: %(default)s)",
        )
    topics.add_argument("--seconds", type=float, default=10.0, help="how long to look (default: %(default)s)")
    parser.set_defaults(run=run, examine_topics=None)


def run(options: argparse.Namespace) -> int:
    """Print what was found, one line a check.

    Raises:
        InputError: an image, calibration file or recording does not exist or cannot be read, or there is no such topic.
    """
    if options.live or options.bag:
        return _run_on_topics(options)
    if not (options.left and options.right and options.calib):
        raise InputError("nothing to look at; give LEFT RIGHT --calib FILE, --live, or --bag PATH")
    return _run_on_files(options)


def _run_on_topics(options: argparse.Namespace) -> int:
    if (options.live and options.bag) or options.left or options.calib:
        raise InputError("LEFT RIGHT --calib FILE, --live and --bag PATH are three things to look at; give one")
    if options.seconds <= 0:
        raise InputError(f"--seconds is {options.seconds:g}; it must be more than 0")
    if options.examine_topics is None:
        raise InputError("nothing that reads topics is installed; give LEFT RIGHT --calib FILE")
    text, is_wrong = options.examine_topics(options.bag, options.left_topics, options.right_topics, options.seconds)
    print(text)
    return int(is_wrong)


def _run_on_files(options: argparse.Namespace) -> int:
    """Match the pair with sgbm and check it."""
    from vizion3d.images import load_rgb_pair
    from vizion3d.stereo import StereoDepthEstimator
    from vizion3d.stereo.pair_check import check_pair

    left, right = load_rgb_pair(options.left, options.right, ("LEFT", "RIGHT"))
    for path in options.calib:
        if not Path(path).is_file():
            raise InputError(f"--calib: there is no file {path}")
    size_wh = left.shape[1], left.shape[0]
    rig, calibrations, findings = _load_rig(options, size_wh)
    prediction = None
    if rig and left.shape == right.shape:
        prediction = StereoDepthEstimator("sgbm").estimate(left, right, rig)
    findings += check_pair(left, right, rig, prediction=prediction, calibrations=calibrations).findings
    for finding in findings:
        print(f"{_MARKS[finding.level]} {finding}")
    return int(any(finding.level == "error" for finding in findings))


def _load_rig(
    options: argparse.Namespace, size_wh: tuple[int, int]
) -> tuple[StereoRig | None, tuple[Calibration, Calibration] | None, list[Finding]]:
    """The rig and what it is made of, None if the files describe none, and what there is to say about the files."""
    from vizion3d.calibration_files import load_calibrations
    from vizion3d.camera import StereoRig
    from vizion3d.errors import CalibrationError
    from vizion3d.stereo.findings import Finding
    from vizion3d.stereo.rig_check import check_calibrated_size

    images = options.left, options.right
    try:
        left, right = load_calibrations(options.calib, size_wh, images=images, cameras=options.cameras)
    except CalibrationError as error:
        return None, None, [Finding("error", "calibration", str(error))]  # the message holds the advice
    try:
        rig = StereoRig.from_calibrations(left, right, size_wh)
    except CalibrationError as error:
        try:
            # Swapped cameras are put right, so that the images can be judged by themselves.
            rig = StereoRig.from_calibrations(right, left, size_wh)
        except CalibrationError:
            return None, None, [Finding("error", "calibration", str(error))]
        swapped = Finding("error", "calibration", "the right camera is given first", "exchange the two files of --calib")
        return rig, (right, left), [swapped]
    findings = [Finding("ok", "calibration", "describes a stereo rig"), check_calibrated_size(left, size_wh)]
    return rig, (left, right), findings
