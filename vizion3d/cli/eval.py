# SPDX-License-Identifier: Apache-2.0
"""vizion3d eval: how right is depth? Bad pixels, errors, too far, confidence, against a truth.

  vizion3d eval LEFT RIGHT --truth FILE [--encoding E] [--calib FILE...]      one pair
  vizion3d eval FOLDER_OR_LIST...                     the pairs of a benchmark's folder, or of a YAML list
  vizion3d eval BAG --truth TOPIC [--stereo LEFT RIGHT]   the pairs of a recording that have a truth of the same stamp
  vizion3d eval BAG --truth TOPIC --mono IMAGE --model M  the same of one camera and a mono model
  vizion3d eval --drawn [NAME...]                     pairs drawn with exact truth
  vizion3d eval IMAGE --truth FILE --encoding E       one picture and a mono model
  vizion3d eval --truth FILE --prediction FILE        two maps

Instead of a model's answer --prediction gives a file, or for several pairs a folder with files of the pairs' names.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vizion3d.cli.recordings import is_recording

if TYPE_CHECKING:
    import numpy as np

    from vizion3d.evaluate import Answer, Encoding, Errors, MonoCase, StereoCase
    from vizion3d.evaluate.report import Result

_BASELINE = "opencv-sgbm"
_MAP_SUFFIXES = (".png", ".pfm", ".npy")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "eval",
        help="how right depth is, against a truth",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "inputs", nargs="*", metavar="INPUT", help="LEFT RIGHT, folders or YAML lists of pairs, a recording, or one image"
    )
    truth = parser.add_argument_group("truth")
    truth.add_argument(
        "--truth",
        metavar="FILE",
        help="map of the left image: PNG of 8 or 16 bits, PFM or npy; of a recording the topic of depth (32FC1 in metres, "
        "16UC1 in millimetres) or DisparityImage of the rectified left image, or of that of --mono",
    )
    truth.add_argument(
        "--encoding",
        metavar="E",
        help="of the truth: disparity (pixels) or depth (metres), divided by a number as in disparity/4; or kitti "
        "(disparity/256), tum (depth/5000), nyu, millimetres, sceneflow, middlebury (default: PFM and npy are disparity)",
    )
    visible = truth.add_mutually_exclusive_group()
    visible.add_argument("--truth-right", metavar="FILE", help="map of the right image, to know what both cameras see")
    visible.add_argument("--mask", metavar="FILE", help="picture, brightest where both cameras see the point")
    truth.add_argument("--calib", nargs="+", default=[], metavar="FILE", help="calibration, as for vizion3d stereo")
    truth.add_argument("--drawn", nargs="*", metavar="NAME", help="drawn pairs (default: all)")
    truth.add_argument("--window", type=int, metavar="N", help="only the middle 1/N of width and height of both images")
    truth.add_argument(
        "--stereo", nargs="+", default=[], metavar="TOPIC", help="of a recording: the cameras, as for vizion3d bag"
    )
    truth.add_argument(
        "--mono",
        nargs="+",
        default=[],
        metavar="TOPIC",
        help="of a recording: one camera, as for vizion3d bag, for a mono model",
    )
    truth.add_argument("--every", type=int, default=1, metavar="N", help="of a recording: only every so many-th pair")
    truth.add_argument(
        "--tolerance", type=float, default=0.0, metavar="S", help="of a recording: stamps that differ by no more are one moment"
    )
    answer = parser.add_argument_group("answer")
    answer.add_argument(
        "--model",
        nargs="+",
        metavar="MODEL",
        help=f"sgbm (default), weights by name, path or address; {_BASELINE} is plain OpenCV, 3WAY",
    )
    answer.add_argument("--prediction", type=Path, metavar="PATH", help="map instead of a model: a file, or a folder of files")
    answer.add_argument("--prediction-encoding", metavar="E", help="of the prediction, as for --encoding")
    answer.add_argument("--device", default="auto", help="auto, cpu, mps, cuda or cuda:N (default: %(default)s)")
    answer.add_argument("--input-size", type=int, default=518, help="of a mono model, pixels (default: %(default)s)")
    answer.add_argument("--max-depth", type=float, metavar="M", help="range of metric mono weights that have no known one")
    answer.add_argument("--z-far", type=float, metavar="M", help="farthest valid depth (default: 50 m, none without --calib)")
    answer.add_argument("--scale", type=float, help="size to match at, as a part of the image size (default: automatic)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write eval.json and the pictures of the errors there")
    parser.set_defaults(run=run, read_cases=None, read_views=None)


@dataclass(frozen=True)
class _Judged:
    """A result and what its picture is made from."""

    result: Result
    errors: Errors
    valid: np.ndarray | None


def run(options: argparse.Namespace) -> int:
    """Compare, print the tables, write JSON and pictures.

    Raises:
        InputError: there is no truth, files do not fit together, or an encoding is not known.
    """
    from vizion3d.cli.files import write_rgb_png
    from vizion3d.evaluate import picture, report

    results = []
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
    for judged in _judge(options):
        results.append(judged.result)
        if options.out:
            name = f"{judged.result.case}_{Path(judged.result.model).stem}_error.png".replace("/", "-")
            write_rgb_png(options.out / name, picture.error_picture(judged.errors, judged.valid))
    print(report.score_table(results) + "\n" + report.LEGEND)
    for title, text in (
        ("Wrong by confidence, % of the answers in each bin (off by > 2 px or 5 %):", report.confidence_table(results)),
        ("Nearer than the search range, match inside the image:", report.range_table(results)),
    ):
        if text:
            print(f"\n{title}\n{text}")
    if not all(result.calibrated for result in results):
        print("\nWithout a calibration, ratios of depths (abs rel, too far, too near) take cx_right - cx_left for 0.")
    if options.out:
        (options.out / "eval.json").write_text(json.dumps(report.as_json(results), indent=1) + "\n")
        print(f"\n{options.out / 'eval.json'} and {len(results)} pictures of errors, *_error.png")
    return 0


def _judge(options: argparse.Namespace) -> Iterator[_Judged]:
    from vizion3d.errors import InputError

    if options.drawn is None and not options.inputs and not (options.truth and options.prediction):
        raise InputError(
            "nothing to compare; give LEFT RIGHT --truth, a folder or list of pairs, --drawn, or --truth --prediction"
        )
    recordings = [path for path in options.inputs if is_recording(Path(path))]
    if recordings:
        _check_recording(options, recordings[0])
        return _judge_views(options) if options.mono else _judge_pairs(options, several=True)
    if options.stereo or options.mono or options.every != 1 or options.tolerance:
        raise InputError("--stereo, --mono, --every and --tolerance are for a recording")
    several = options.drawn is not None or any(Path(p).is_dir() or p.endswith((".yaml", ".yml")) for p in options.inputs)
    if not several and options.inputs and not options.truth:
        raise InputError("there is no truth to compare with; give --truth FILE")
    if several and options.truth:
        raise InputError("--truth is for one pair; folders, lists and --drawn bring theirs")
    if options.prediction and options.model:
        raise InputError("--model and --prediction are both given; one answer is enough")
    if not several and len(options.inputs) < 2:
        if options.window:
            raise InputError("--window is for pairs of images")
        return _judge_map(options)
    if not several and len(options.inputs) > 2:
        raise InputError(
            f"{len(options.inputs)} images are given; two make a pair, several pairs go in a folder or a YAML list"
        )
    return _judge_pairs(options, several)


def _check_recording(options: argparse.Namespace, path: str) -> None:
    """Raise InputError if the options do not go with a recording."""
    from vizion3d.errors import InputError

    if len(options.inputs) > 1 or options.drawn is not None:
        raise InputError(f"{path} is a recording; give one recording and nothing else")
    if not options.truth:
        raise InputError(f"there is no truth to compare with; give --truth and the topic of {path} that has it")
    if options.prediction or options.encoding or options.calib or options.mask or options.truth_right:
        raise InputError(
            "--prediction, --encoding, --calib, --mask and --truth-right are for files; a recording says it itself"
        )
    if options.every < 1:
        raise InputError(f"--every is {options.every}; it must be at least 1")
    if not 0 <= options.tolerance <= 1:
        raise InputError(f"--tolerance is {options.tolerance:g}; it must be from 0 to 1 s")
    if options.read_cases is None:
        raise InputError(f"{path} is a recording, and nothing that reads them is installed; give pairs of images")
    if options.mono and (options.stereo or options.window):
        raise InputError(
            f"--{'stereo' if options.stereo else 'window'} is for pairs, and --mono for one camera; give one of them"
        )


def _judge_pairs(options: argparse.Namespace, several: bool) -> Iterator[_Judged]:
    """One result a pair and model, one pair in memory at a time."""
    import numpy as np

    from vizion3d.errors import InputError
    from vizion3d.evaluate import Errors, evaluate
    from vizion3d.evaluate.maps import check_same_sense
    from vizion3d.evaluate.report import Result

    if options.window and options.prediction:
        raise InputError("--window is for models; a file has the answer of the whole image")
    models = (
        [_file_model(options)] if options.prediction else [_open_model(name, options) for name in options.model or ["sgbm"]]
    )
    for case in _cases(options, several):
        for name, model in models:
            answer = model(case)
            evaluation = evaluate(case, answer)
            if not several:  # somebody gave an encoding, and may have given a wrong one
                answered = answer.disparity_px if answer.valid is None else np.where(answer.valid, answer.disparity_px, np.nan)
                check_same_sense(answered, case.truth_px, f"the disparity of {name}", f"the truth {options.truth}")
            result = Result(case.name, name, evaluation, answer.seconds, case.rig is not None)
            yield _Judged(result, Errors.of_disparity(answer.disparity_px, case.truth_px, case.doffs_px), answer.valid)


def _cases(options: argparse.Namespace, several: bool) -> Iterator[StereoCase]:
    from vizion3d.evaluate import PairFiles, find_pairs

    cases: Iterator[StereoCase]
    if options.inputs and is_recording(Path(options.inputs[0])):
        cases = options.read_cases(Path(options.inputs[0]), options.stereo, options.truth, options.every, options.tolerance)
    elif several:
        files = (pair for path in options.inputs for pair in find_pairs(path))
        cases = (pair.load() for pair in files)
    else:
        left, right = options.inputs
        name = Path(left).stem
        pair = PairFiles(
            name,
            left,
            right,
            options.truth,
            _encoding(options.encoding),
            options.truth_right,
            options.mask,
            tuple(options.calib),
        )
        cases = iter([pair.load()])
    for case in cases:
        yield case.window(options.window) if options.window else case
    if options.drawn is not None:
        from vizion3d.synthetic.benchmark import CASE_NAMES, draw

        for drawn_name in options.drawn or CASE_NAMES:
            yield draw(drawn_name)


def _open_model(name: str, options: argparse.Namespace) -> tuple[str, Callable[[StereoCase], Answer]]:
    from vizion3d.evaluate.predict import opencv_sgbm, predict

    if name == _BASELINE:
        return name, opencv_sgbm
    from vizion3d.stereo import StereoDepthEstimator

    estimator = StereoDepthEstimator(name, options.device)
    return name, lambda case: predict(estimator, case, z_far=options.z_far, scale_factor=options.scale)


def _file_model(options: argparse.Namespace) -> tuple[str, Callable[[StereoCase], Answer]]:
    """The files of --prediction as if a model had just answered them."""
    from vizion3d.errors import InputError
    from vizion3d.evaluate import Answer, read_map
    from vizion3d.evaluate.maps import disparity_from_depth

    def find(name: str) -> Path:
        if not options.prediction.is_dir():
            return options.prediction
        files = [options.prediction / f"{name}{suffix}" for suffix in _MAP_SUFFIXES]
        for file in files:
            if file.is_file():
                return file
        raise InputError(f"there is no prediction for the pair {name}; looked for {', '.join(map(str, files))}")

    def answer(case: StereoCase) -> Answer:
        path = find(case.name)
        values, encoding = read_map(path, _encoding(options.prediction_encoding))
        return Answer(values if encoding.kind == "disparity" else disparity_from_depth(values, case.rig, path))

    return options.prediction.name, answer


def _judge_map(options: argparse.Namespace) -> Iterator[_Judged]:
    """One picture or none: a depth or disparity map against another."""
    from vizion3d.calibration_files import load_stereo_rig
    from vizion3d.errors import InputError
    from vizion3d.evaluate import Errors, evaluate_depth, evaluate_disparity, read_map
    from vizion3d.evaluate.maps import check_same_sense, disparity_from_depth
    from vizion3d.evaluate.report import Result

    truth, encoding = read_map(options.truth, _encoding(options.encoding))
    if options.prediction:
        values, own = read_map(options.prediction, _encoding(options.prediction_encoding))
        name = f"{options.prediction} (read as {own})"
    elif encoding.kind == "disparity":
        raise InputError(f"the truth {options.truth} is disparity; a mono model gives depth, give both images of the pair")
    else:
        values, own = _picture_depth(options, truth), encoding
        name = (options.model or ["the model"])[0]
    if values.shape != truth.shape:
        sizes = [f"{m.shape[1]}x{m.shape[0]}" for m in (values, truth)]
        raise InputError(f"{name} is {sizes[0]} but {options.truth} is {sizes[1]}; they must be equal")
    rig = load_stereo_rig(options.calib, (truth.shape[1], truth.shape[0])) if options.calib else None
    if own.kind != encoding.kind:
        if encoding.kind == "depth":
            truth = disparity_from_depth(truth, rig, options.truth)
        else:
            values = disparity_from_depth(values, rig, options.prediction)
    check_same_sense(values, truth, name, f"the truth {options.truth} (read as {encoding})")
    case = Path(options.truth).stem
    model = options.prediction.name if options.prediction else name
    if own.kind == encoding.kind == "depth":
        yield _Judged(Result(case, model, evaluate_depth(values, truth)), Errors.of_depth(values, truth), None)
    else:
        doffs_px = rig.doffs_px if rig else 0.0
        evaluation = evaluate_disparity(values, truth, doffs_px=doffs_px)
        result = Result(case, model, evaluation, calibrated=rig is not None)
        yield _Judged(result, Errors.of_disparity(values, truth, doffs_px), None)


def _judge_views(options: argparse.Namespace) -> Iterator[_Judged]:
    """One result for each image of a camera that was recorded with its depth."""
    from vizion3d.evaluate import Errors, evaluate_depth
    from vizion3d.evaluate.report import Result

    depth_of = _open_mono(options)
    path = Path(options.inputs[0])
    for case in options.read_views(path, options.mono, options.truth, options.every, options.tolerance):
        depth_m = depth_of(case)
        result = Result(case.name, options.model[0], evaluate_depth(depth_m, case.truth_m))
        yield _Judged(result, Errors.of_depth(depth_m, case.truth_m), None)


def _picture_depth(options: argparse.Namespace, truth_m: np.ndarray) -> np.ndarray:
    """Depth of one picture by a mono model."""
    from vizion3d.calibration_files import load_calibration
    from vizion3d.errors import InputError
    from vizion3d.evaluate import MonoCase
    from vizion3d.images import load_rgb
    from vizion3d.lens_rays import pinhole_part

    depth_of = _open_mono(options)
    rgb = load_rgb(options.inputs[0], "IMAGE")
    if rgb.shape[:2] != truth_m.shape:
        sizes = [f"{m.shape[1]}x{m.shape[0]}" for m in (rgb, truth_m)]
        raise InputError(f"{options.inputs[0]} is {sizes[0]} but {options.truth} is {sizes[1]}; they must be equal")
    size_wh = rgb.shape[1], rgb.shape[0]
    camera = pinhole_part(load_calibration(options.calib[0], size_wh), size_wh) if options.calib else None
    return depth_of(MonoCase(options.inputs[0], rgb, truth_m, camera, "give --calib FILE"))


def _open_mono(options: argparse.Namespace) -> Callable[[MonoCase], np.ndarray]:
    """Depth by a mono model; a relative one is scaled and shifted to the truth of each picture, and that is said."""
    from vizion3d.errors import InputError
    from vizion3d.evaluate.predict import aligned_depth
    from vizion3d.lifting import DepthKind, MonoDepthEstimator

    if not options.model or len(options.model) != 1 or options.model[0] in ("sgbm", _BASELINE):
        raise InputError("one picture needs one mono model; give --model with the name or path of its weights")
    estimator = MonoDepthEstimator(
        options.model[0], options.device, input_size=options.input_size, max_depth_m=options.max_depth or None
    )
    told: set[DepthKind] = set()

    def depth(case: MonoCase) -> np.ndarray:
        estimator.require_camera(case.camera, case.no_camera)
        prediction = estimator.estimate(case.rgb, case.camera)
        if prediction.is_metric:
            return prediction.depth_m.cpu().double().numpy()
        if prediction.kind not in told:
            told.add(prediction.kind)
            print(f"the model gives {prediction.kind.value}: it is scaled and shifted to fit the truth best")
        is_inverse = prediction.kind is DepthKind.INVERSE
        return aligned_depth(prediction.known.cpu().double().numpy(), case.truth_m, is_inverse=is_inverse)

    return depth


def _encoding(text: str | None) -> Encoding | None:
    from vizion3d.evaluate import Encoding

    return Encoding.parse(text) if text else None
