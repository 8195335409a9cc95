# SPDX-License-Identifier: Apache-2.0
"""vizion3d doctor LEFT RIGHT --calib FILE: what is wrong with a stereo pair and its calibration, and how to mend it.

The exit status is 0 if no error was found, 1 otherwise.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vizion3d.cli.pair import add_pair_arguments

if TYPE_CHECKING:
    from vizion3d.camera import Calibration, StereoRig
    from vizion3d.stereo.findings import Finding

_MARKS = {"ok": "ok   ", "unknown": "?    ", "warning": "WARN ", "error": "ERROR"}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("doctor", help="check a stereo pair and its calibration", description=__doc__)
    add_pair_arguments(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Match the pair with sgbm, check, print one line a check.

    Raises:
        InputError: an image or calibration file does not exist, or an image cannot be read.
    """
    from vizion3d.errors import InputError
    from vizion3d.images import load_rgb_pair
    from vizion3d.stereo import StereoDepthEstimator
    from vizion3d.stereo.pair_check import check_pair

    left, right = load_rgb_pair(options.left, options.right, ("LEFT", "RIGHT"))
    for path in options.calib:
        if not Path(path).is_file():
            raise InputError(f"--calib: there is no file {path}")
    size = left.shape[1], left.shape[0]
    rig, calibrations, findings = _load_rig(options, size)
    prediction = None
    if rig and left.shape == right.shape:
        prediction = StereoDepthEstimator("sgbm").estimate(left, right, rig)
    findings += check_pair(left, right, rig, prediction=prediction, calibrations=calibrations).findings
    for finding in findings:
        print(f"{_MARKS[finding.level]} {finding}")
    return int(any(finding.level == "error" for finding in findings))


def _load_rig(
    options: argparse.Namespace, size: tuple[int, int]
) -> tuple[StereoRig | None, tuple[Calibration, Calibration] | None, list[Finding]]:
    """The rig and what it is made of, None if the files describe none, and what there is to say about the files."""
    from vizion3d.calibration_files import load_calibrations
    from vizion3d.camera import StereoRig
    from vizion3d.errors import CalibrationError
    from vizion3d.stereo.findings import Finding
    from vizion3d.stereo.rig_check import check_calibrated_size

    images = options.left, options.right
    try:
        left, right = load_calibrations(options.calib, size, images=images, cameras=options.cameras)
    except CalibrationError as error:
        return None, None, [Finding("error", "calibration", str(error))]  # the message holds the advice
    try:
        rig = StereoRig.from_calibrations(left, right, size)
    except CalibrationError as error:
        try:
            # Swapped cameras are put right, so that the images can be judged by themselves.
            rig = StereoRig.from_calibrations(right, left, size)
        except CalibrationError:
            return None, None, [Finding("error", "calibration", str(error))]
        swapped = Finding("error", "calibration", "the right camera is given first", "exchange the two files of --calib")
        return rig, (right, left), [swapped]
    findings = [Finding("ok", "calibration", "describes a stereo rig"), check_calibrated_size(left, size)]
    return rig, (left, right), findings
