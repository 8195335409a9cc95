# SPDX-License-Identifier: Apache-2.0
"""vizion3d recalibrate PAIRS --calib FILE... --out left.yaml right.yaml: mend the calibration of a rig that was knocked.

PAIRS is LEFT RIGHT, folders of pairs (left/ and right/, left*.png and right*.png, or as `vizion3d eval` knows them, with a
truth), or a rosbag2 recording with --left NAMESPACE --right NAMESPACE, whose CameraInfo serves where --calib is not given.

From matches of any scene it finds how the right camera is turned up or down and about its axis, and its focal length by the
calibrated one; it takes the right camera for the one that moved. Rows see nothing of the baseline and hardly anything of a
turn to the left or right: compare a known distance.

The files describe the images as they come, so images have to be rectified with them. What was calibrated before is never
changed; if the pairs do not get better, nothing is written and the exit status is 1.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from vizion3d.cli.pair import SIDES, add_cameras_argument, named_pairs
from vizion3d.cli.recordings import is_recording
from vizion3d.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from vizion3d.camera import Calibration
    from vizion3d.evaluate import PairFiles
    from vizion3d.stereo.recalibration import Pair, Recalibration, Turn

# A share of valid pixels that is lower by less than this is none the worse: the border of what is rectified has none.
_WORSE_SHARE = 0.05
# What lies beyond z_far says nothing about the calibration.
_ENDLESS_M = 1e5
# Less than this is lost neither in matching nor, by the errors of matches, in the rows.
_NEGLIGIBLE_PX = 0.2


class RecordedPairs(Protocol):
    """What a reader of recordings finds.

    Attributes:
        pairs: left and right images.
        calibrations: of the left and the right camera.
        is_raw: the images are not rectified.
    """

    pairs: list[Pair]
    calibrations: tuple[Calibration, Calibration]
    is_raw: bool


ReadRecording = Callable[[Path, str, str, int], RecordedPairs]
"""(path, left and right namespace, most pairs); packages set it as the parser's default ``read_recording``."""


@dataclass(frozen=True)
class _Truth:
    """True disparity of the left image of one of the pairs, if it is known."""

    disparity_px: np.ndarray
    visible: np.ndarray | None


@dataclass(frozen=True)
class _Material:
    """The pairs, what is known about them, and how they were calibrated."""

    pairs: list[Pair]
    truths: list[_Truth | None]
    left: Calibration
    right: Calibration
    is_left_new: bool
    """The former calibration is not of the images as they come but of raw ones."""


@dataclass(frozen=True)
class _Quality:
    """How good pairs are with a calibration; shares are from 0 to 1, NaN if unknown."""

    matches: int
    row_offset_px: float
    typical_rows_px: float
    roll_deg: float
    vertical_scale: float
    valid_share: float
    wrong_share: float


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "recalibrate",
        help="mend the calibration of a rig that was knocked",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("inputs", nargs="+", metavar="PAIRS", help="LEFT RIGHT, folders of pairs, or a recording")
    parser.add_argument("--calib", nargs="+", default=[], metavar="FILE", help="former calibration, as for vizion3d stereo")
    add_cameras_argument(parser)
    parser.add_argument(
        "--rectify",
        choices=("yes", "no"),
        help="whether the images are raw (default: by the topics of a recording; no, if there is nothing to rectify)",
    )
    parser.add_argument(
        "--left", metavar="NS", default="left", help="namespace of the left camera's topics (default: %(default)s)"
    )
    parser.add_argument("--right", metavar="NS", default="right", help="of the right one (default: %(default)s)")
    parser.add_argument("--pairs", type=int, default=20, metavar="N", help="most pairs that are used (default: %(default)s)")
    parser.add_argument(
        "--out",
        nargs="+",
        type=Path,
        required=True,
        metavar="YAML",
        help="left and right file; one is that of the right camera",
    )
    parser.set_defaults(run=run, read_recording=None)


def run(options: argparse.Namespace) -> int:
    """Find the turn, print what it changes, write the files if it makes the pairs better.

    Raises:
        InputError: the files do not fit together.
        CalibrationError: the calibration cannot be read, or the matches do not tell how the camera is turned.
    """
    from vizion3d.camera import StereoRig
    from vizion3d.stereo.recalibration import recalibrate

    if options.pairs < 1 or len(options.out) > 2:
        raise InputError(
            f"--pairs is {options.pairs} and --out names {len(options.out)} files; at least 1 pair is needed, and 1 or 2 files"
        )
    material = _read(options)
    if len(options.out) == 1 and material.is_left_new:
        raise InputError(
            "--out names 1 file, but that of the left camera, of rectified images, is new too; name two, left first"
        )
    found = recalibrate(material.pairs, material.left, material.right)
    moved_px = found.turn.rows_px(StereoRig.from_calibrations(found.left, found.right))
    if moved_px < _NEGLIGIBLE_PX:
        print(f"the calibration fits: mended it would move rows by {moved_px:.2f} px at most, so nothing is written")
        return 1
    before = _judge(material, material.left, material.right)
    after = _judge(material, found.left, found.right)
    print(_table(found.turn, before, after, len(material.pairs)))
    if not _is_better(before, after):
        print("the pairs do not get better with this, so nothing is written; look for another cause: vizion3d doctor")
        return 1
    _write(options.out, material, found)
    return 0


def _read(options: argparse.Namespace) -> _Material:
    from vizion3d.calibration_files import load_calibrations
    from vizion3d.camera import Calibration

    recordings = [path for path in map(Path, options.inputs) if is_recording(path)]
    calibrations, is_raw = None, None
    truths: list[_Truth | None]
    if recordings:
        if len(options.inputs) > 1:
            raise InputError(f"{len(options.inputs)} inputs are given and {recordings[0]} is a recording; give one recording")
        if options.read_recording is None:
            raise InputError(f"{recordings[0]} is a recording, and nothing that reads them is installed; give pairs of images")
        recorded = options.read_recording(recordings[0], options.left, options.right, options.pairs)
        pairs, calibrations, is_raw = recorded.pairs, recorded.calibrations, recorded.is_raw
        truths = [None] * len(pairs)
    else:
        found = _thinned([*_find_pairs(options.inputs)], options.pairs)
        pairs, truths = [pair for pair, _ in found], [truth for _, truth in found]
    size = pairs[0][0].shape[1], pairs[0][0].shape[0]
    if options.calib:
        calibrations = load_calibrations(options.calib, size, images=_image_names(options.inputs), cameras=options.cameras)
    if calibrations is None:
        raise InputError(
            "the former calibration is not given; give --calib FILE, or one of the left and one of the right camera"
        )
    left, right = (calibration.for_image(size) for calibration in calibrations)
    if _is_raw(options.rectify, is_raw, left, right):
        return _Material(pairs, truths, left, right, is_left_new=False)
    rectified = [Calibration.rectified(*size, camera.P) for camera in (left, right)]
    return _Material(pairs, truths, rectified[0], rectified[1], is_left_new=not _is_plain(left))


def _image_names(inputs: list[str]) -> tuple[str, str] | None:
    return (inputs[0], inputs[1]) if len(inputs) == 2 else None


def _is_raw(asked: str | None, by_topics: bool | None, left: Calibration, right: Calibration) -> bool:
    if asked is not None:
        return asked == "yes"
    if by_topics is not None:
        return by_topics
    if _is_plain(left) and _is_plain(right):
        return False
    raise InputError(
        "the calibration has something to rectify, and the images do not say whether that is done; give --rectify yes for raw "
        "images, --rectify no for rectified ones"
    )


def _is_plain(camera: Calibration) -> bool:
    """Whether raw and rectified images are the same."""
    from vizion3d.camera import Calibration

    plain = Calibration.rectified(camera.width, camera.height, camera.P)
    return (camera.K, camera.R) == (plain.K, plain.R) and not any(camera.D)


def _find_pairs(inputs: list[str]) -> Iterator[Callable[[], tuple[Pair, _Truth | None]]]:
    """A function that reads a pair and its truth, for each pair."""
    places = [Path(name) for name in inputs]
    if not any(place.is_dir() for place in places):
        if len(places) != 2:
            raise InputError(f"of images {len(places)} are given; give LEFT RIGHT, a folder of pairs or a recording")
        yield lambda: (_load(*places), None)
        return
    for place in places:
        yield from _pairs_of_folder(place)


def _pairs_of_folder(folder: Path) -> Iterator[Callable[[], tuple[Pair, _Truth | None]]]:
    from vizion3d.evaluate import find_pairs

    try:
        with_truth = find_pairs(folder)
    except InputError:
        files = named_pairs(folder)
        if not files:
            names = ", ".join(f"{left} {right}" for left, right in SIDES)
            raise InputError(
                f"{folder} holds no pairs; known are folders or files whose names begin with {names}, and pairs with a truth "
                "as vizion3d eval knows them"
            ) from None
        for left, right in files:
            yield lambda left=left, right=right: (_load(left, right), None)  # type: ignore[misc]
        return
    for pair in with_truth:
        yield lambda pair=pair: _load_with_truth(pair)  # type: ignore[misc]


def _load_with_truth(files: PairFiles) -> tuple[Pair, _Truth]:
    case = files.load()
    pair = case.rectified_pair()
    return (pair.left, pair.right), _Truth(case.truth_px, case.visible)


def _load(left: Path, right: Path) -> Pair:
    from vizion3d.images import load_rgb_pair

    return load_rgb_pair(left, right, ("LEFT", "RIGHT"))


def _thinned(pairs: list[Callable[[], tuple[Pair, _Truth | None]]], most: int) -> list[tuple[Pair, _Truth | None]]:
    """At most so many, evenly spread."""
    count = min(most, len(pairs))
    return [pairs[i * len(pairs) // count]() for i in range(count)]


def _judge(material: _Material, left: Calibration, right: Calibration) -> _Quality:
    """Rectify with these calibrations, then look at the rows and at what can be matched."""
    import numpy as np

    from vizion3d.evaluate import evaluate_disparity
    from vizion3d.options import ValidityLimits
    from vizion3d.rectify import Rectifier
    from vizion3d.stereo import StereoDepthEstimator
    from vizion3d.stereo.recalibration import rectified_matches
    from vizion3d.stereo.row_check import RowReport

    matches = rectified_matches(material.pairs, left, right)
    rows = RowReport.from_matches(matches)
    limits = ValidityLimits(z_far=_ENDLESS_M)
    estimator, rectify = StereoDepthEstimator("sgbm"), Rectifier.from_calibrations(left, right)
    valid_shares, wrong_shares = [], []
    for pair, truth in zip(material.pairs, material.truths, strict=True):
        prediction = estimator.estimate(*rectify(*pair))
        valid = prediction.valid(limits).cpu().numpy()
        valid_shares.append(valid.mean())
        if truth:
            disparity_px = prediction.disparity_px.cpu().numpy()
            scores = evaluate_disparity(disparity_px, truth.disparity_px, valid=valid, visible=truth.visible).valid
            wrong_shares.append(scores.bad_2)
    return _Quality(
        len(matches),
        rows.offset_px,
        float(np.median(np.abs(matches[:, 3] - matches[:, 1]))),
        rows.roll_deg,
        rows.vertical_scale,
        float(np.mean(valid_shares)),
        float(np.mean(wrong_shares)) if wrong_shares else float("nan"),
    )


def _is_better(before: _Quality, after: _Quality) -> bool:
    return after.typical_rows_px < before.typical_rows_px and after.valid_share > before.valid_share - _WORSE_SHARE


def _table(turn: Turn, before: _Quality, after: _Quality, pairs: int) -> str:
    import math

    rows = [
        ("", "before", "after", ""),
        ("rows, median offset", f"{before.row_offset_px:+.2f}", f"{after.row_offset_px:+.2f}", "px, positive: right is lower"),
        ("rows, of a usual point", f"{before.typical_rows_px:.2f}", f"{after.typical_rows_px:.2f}", "px off"),
        ("roll", f"{before.roll_deg:+.2f}", f"{after.roll_deg:+.2f}", "deg, positive: right is turned clockwise"),
        (
            "scale",
            f"{before.vertical_scale:.4f}",
            f"{after.vertical_scale:.4f}",
            "height in the right image by that in the left one",
        ),
        ("valid pixels", f"{before.valid_share:.1%}", f"{after.valid_share:.1%}", "sgbm, left and right agree"),
    ]
    if not math.isnan(before.wrong_share):
        rows.append(
            ("off by > 2 px", f"{before.wrong_share:.1%}", f"{after.wrong_share:.1%}", "of the valid pixels with a truth")
        )
    lines = [f"{name:<24}{old:>9}{new:>9}  {note}".rstrip() for name, old, new, note in rows]
    lines += [
        "",
        f"the right camera, from {turn.matches} of {turn.of_matches} matches in {pairs} pair{'s' * (pairs > 1)}:",
        f"  looks {abs(turn.pitch_deg):.3f} deg further {'up' if turn.pitch_deg > 0 else 'down'} "
        f"(+- {turn.pitch_error_deg:.2g})",
        f"  its image is turned {abs(turn.roll_deg):.3f} deg {'clockwise' if turn.roll_deg > 0 else 'counterclockwise'} "
        f"(+- {turn.roll_error_deg:.2g})",
        f"  its focal length is {turn.focal_ratio:.4f} of the calibrated one (+- {turn.focal_ratio_error:.2g})"
        if turn.focal_ratio != 1
        else "  its focal length is the calibrated one",
        "rows tell nothing of the baseline, and next to nothing of a turn to the side: compare a known distance",
    ]
    return "\n".join(lines)


def _write(paths: list[Path], material: _Material, found: Recalibration) -> None:
    from vizion3d.calibration_files import camera_yaml

    files = [(paths[-1], found.right)]
    if len(paths) == 2:
        files.insert(0, (paths[0], found.left))
    for path, calibration in files:
        path.write_text(camera_yaml(calibration, path.stem), encoding="utf-8")
        print(path)
    print("images have to be rectified with these files from now on, also those that came rectified")
