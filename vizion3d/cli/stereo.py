# SPDX-License-Identifier: Apache-2.0
"""vizion3d stereo LEFT RIGHT --calib FILE: depth, disparity, reason of gaps and point cloud of a pair.

Without --calib the pair must be rectified, and there is no depth: disparity alone, as PNG and as PFM in pixels.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from vizion3d.cli.flags import add_option_flags, read_options
from vizion3d.cli.pair import add_pair_arguments
from vizion3d.errors import InputError
from vizion3d.option_records import flag_of
from vizion3d.options import RobotStereoOptions
from vizion3d.runtime.threads import set_threads

if TYPE_CHECKING:
    import numpy as np

    from vizion3d.camera import Calibration
    from vizion3d.rectify import RectifiedPair
    from vizion3d.stereo.pair_check import PairCheck


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("stereo", help="depth of a stereo pair", description=__doc__)
    add_pair_arguments(parser, calib_required=False)
    parser.add_argument(
        "--rectify",
        choices=("yes", "no"),
        help="yes: the images are raw, rectify them by --calib; no: they are rectified (default: as the rows line up, "
        "where that is beyond doubt)",
    )
    add_option_flags(parser, RobotStereoOptions)
    parser.add_argument("--out", type=Path, default=Path("."), help="folder for the results (default: this one)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Match the pair, write the files, print range and timing."""
    import numpy as np

    from vizion3d.cli.files import write_depth_png, write_pfm, write_pictures, write_rgb_png
    from vizion3d.images import load_rgb_pair
    from vizion3d.stereo import Reason, StereoDepthEstimator
    from vizion3d.stereo.pair_check import check_pair
    from vizion3d.visualize import Labels, album, colorize_labels

    options = read_options(arguments, RobotStereoOptions)
    set_threads(options.threads)
    if options.z_near and not arguments.calib:
        raise InputError(
            f"z_near is {options.z_near:g} m, and there are no metres without a calibration; give --calib, or the range in "
            "pixels: --sgbm-max-disparity"
        )
    if arguments.rectify == "yes" and not arguments.calib:
        raise InputError("--rectify yes needs the calibration of the raw images: give --calib")
    images = load_rgb_pair(arguments.left, arguments.right, ("LEFT", "RIGHT"), options)
    pair, calibrations = _as_rectified(*images, arguments)
    left = pair.left
    estimator = StereoDepthEstimator.open(options.model, options)
    start = time.perf_counter()
    prediction = estimator.estimate(pair.left, pair.right, pair.rig, pair.shown, **options.matching())
    depth_m = prediction.masked_depth(options).cpu().numpy()
    seconds = time.perf_counter() - start
    check = check_pair(
        left,
        pair.right,
        pair.rig if arguments.calib else None,
        prediction=prediction,
        limits=options,
        calibrations=calibrations,
        rectify_by=None if arguments.calib and not calibrations else "give --rectify yes",
    )

    valid = np.isfinite(depth_m)
    disparity_px = np.where(valid, prediction.disparity_px.cpu().numpy(), np.nan)
    arguments.out.mkdir(parents=True, exist_ok=True)
    stem = Path(arguments.left).stem
    depth_path, reason_path, cloud_path = (
        arguments.out / f"{stem}_{name}" for name in ("depth.png", "reason.png", "cloud.ply")
    )
    reasons = Labels(prediction.reason(options).cpu().numpy(), [reason.text for reason in Reason])
    write_rgb_png(reason_path, colorize_labels(reasons.indices, reasons.names))
    print(f"{left.shape[1]}x{left.shape[0]} pixels, {estimator.describe()}: {1e3 * seconds:.0f} ms")
    if not arguments.calib:
        pfm_path = reason_path.with_name(f"{stem}_disparity.pfm")
        write_pfm(pfm_path, disparity_px)
        written = write_pictures(arguments.out, stem, album(left, disparity_px=disparity_px, reasons=reasons))
        print(f"disparity on {valid.mean():.1%} of the pixels; depth and a point cloud need a calibration: give --calib")
        _print_faults(check)
        print(f"{pfm_path}  pixels, NaN = no disparity")
        _print_pictures(written, reason_path)
        return 0
    write_depth_png(depth_path, depth_m)
    cloud = prediction.point_cloud(left, options, edge_filter=options.cloud_edge_filter)
    cloud.write_ply(cloud_path)
    dense = cloud.dense()
    pictures = album(left, depth_m=depth_m, disparity_px=disparity_px, cloud=(dense.points, dense.colors), reasons=reasons)
    written = write_pictures(arguments.out, stem, pictures)
    if nearest_m := prediction.nearest_m(options):
        print(f"nearest depth {nearest_m:.2f} m, set by {flag_of(prediction.nearest_set_by(options))}")
    if valid.any():
        near, middle, far = np.nanpercentile(depth_m, (0, 50, 100))
        print(f"depth {near:.3f} to {far:.3f} m, median {middle:.3f} m, on {valid.mean():.1%} of the pixels")
    else:
        print(f"no pixel has a depth below {options.z_far} m: check the calibration, and whether left and right are swapped")
    _print_faults(check)
    print(f"{depth_path}  16-bit, millimetres, 0 = no depth\n{cloud_path}  OpenGL axes, metres")
    _print_pictures(written, reason_path)
    return 0


def _as_rectified(
    left: np.ndarray, right: np.ndarray, arguments: argparse.Namespace
) -> tuple[RectifiedPair, tuple[Calibration, Calibration] | None]:
    """The pair of (H, W, 3) images with its rig, rectified if it is raw; and the calibrations, if any, of one that was not."""
    from vizion3d.calibration_files import load_calibrations
    from vizion3d.camera import StereoRig
    from vizion3d.errors import CalibrationError
    from vizion3d.rectify import RectifiedPair, Rectifier
    from vizion3d.stereo.raw_or_rectified import is_raw

    size = left.shape[1], left.shape[0]
    if not arguments.calib:
        return RectifiedPair(left, right, StereoRig.uncalibrated(*size)), None
    files = arguments.left, arguments.right
    calibrations = load_calibrations(arguments.calib, size, images=files, cameras=arguments.cameras)
    as_they_are = RectifiedPair(left, right, StereoRig.from_calibrations(*calibrations, size)), calibrations
    if arguments.rectify == "no":
        return as_they_are
    try:
        rectifier = Rectifier.from_calibrations(*calibrations, size)
    except CalibrationError:
        if arguments.rectify:
            raise
        return as_they_are  # of a calibration that can rectify nothing the images cannot be raw ones
    if not arguments.rectify:
        if not is_raw(left, right, rectifier):
            return as_they_are
        print("the images are raw by how their rows line up, and are rectified (--rectify yes)")
    return rectifier(left, right), None


def _print_faults(check: PairCheck) -> None:
    """One line about what ruins the depth, with the cure of the worst; none if nothing does."""
    if faults := check.faults:
        others = "".join(f"; {fault.what}: {fault.value}" for fault in faults[1:])
        print(f"{faults[0].level}: {faults[0]}{others}")


def _print_pictures(paths: list[Path], reason_path: Path) -> None:
    print(f"{reason_path}  why a pixel has no value")
    for path in paths:
        print(f"{path}  {'all pictures in one' if path.stem.endswith('_overview') else 'to look at'}")
