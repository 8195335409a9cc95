# SPDX-License-Identifier: Apache-2.0
"""vizion3d mono IMAGE...: depth PNG, coloured PNG and point cloud of single pictures."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from vizion3d.cli.flags import add_option_flags, in_flags, read_options
from vizion3d.options import RobotMonoOptions
from vizion3d.runtime.threads import set_threads

if TYPE_CHECKING:
    from vizion3d.camera import Calibration
    from vizion3d.lifting import MonoDepthEstimator


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("mono", help="depth of single pictures", description=__doc__)
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="pictures")
    add_option_flags(parser, RobotMonoOptions)
    parser.add_argument(
        "--calib",
        metavar="FILE",
        help="calibration in any format that `vizion3d calib` reads; without it the field of view is guessed",
    )
    parser.add_argument("--out", type=Path, default=Path("."), help="folder for the results (default: this one)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Estimate each picture and write its files; 1 if one of several pictures failed."""
    from vizion3d.calibration_files import load_calibration
    from vizion3d.errors import Vizion3dError
    from vizion3d.lifting import MonoDepthEstimator

    options = read_options(arguments, RobotMonoOptions)
    set_threads(options.threads)
    calibration = load_calibration(arguments.calib) if arguments.calib else None
    estimator = MonoDepthEstimator.open(options.model, options, max_depth_m=options.max_depth or None)
    print(estimator.describe())
    arguments.out.mkdir(parents=True, exist_ok=True)
    failed = 0
    stems: set[str] = set()
    for number, image in enumerate(arguments.images, 1):
        show_progress(number - 1, len(arguments.images))
        try:
            line = _estimate_one(image, estimator, calibration, options, arguments.out / _unused_stem(image, stems))
        except Vizion3dError as error:
            if len(arguments.images) == 1:
                raise
            failed += 1
            line = f"{image}: skipped: {in_flags(str(error))}"
        show_progress(None, 0)
        print(line)
    return 1 if failed else 0


def _unused_stem(image: str, stems: set[str]) -> str:
    """The name of a picture without its ending, numbered if another one has it."""
    stem, number = Path(image).stem, 1
    while stem in stems:
        number += 1
        stem = f"{Path(image).stem}_{number}"
    stems.add(stem)
    return stem


def _estimate_one(
    image: str, estimator: MonoDepthEstimator, calibration: Calibration | None, options: RobotMonoOptions, out: Path
) -> str:
    """Write the files of a picture, whose names begin with `out`; a line that says what was found."""
    import numpy as np

    from vizion3d.cli.files import write_depth_png, write_rgb_png
    from vizion3d.images import load_rgb
    from vizion3d.lens_rays import kept_rays, pinhole_part
    from vizion3d.lifting import DepthEstimationAdvanceConfig
    from vizion3d.visualize import colorize_depth

    rgb = load_rgb(image, str(image), options)
    height, width = rgb.shape[:2]
    start = time.perf_counter()
    camera = pinhole_part(calibration, (width, height), rectified=options.rectified) if calibration else None
    prediction = estimator.estimate(rgb, camera)
    depth_m = prediction.depth_m.cpu().numpy()
    seconds = time.perf_counter() - start

    assumed = DepthEstimationAdvanceConfig().calibration(width, height)
    rays = kept_rays(calibration or assumed, (width, height), options.rectified)
    write_depth_png(Path(f"{out}_depth.png"), depth_m)
    write_rgb_png(Path(f"{out}_depth_color.png"), colorize_depth(depth_m))
    prediction.point_cloud(rgb, rays).write_ply(f"{out}_cloud.ply")
    found = "the same depth everywhere"
    if np.isfinite(depth_m).any():
        unit = "m" if prediction.is_metric else "pseudo-metres"
        found = f"{np.nanmin(depth_m):.2f} to {np.nanmax(depth_m):.2f} {unit}"
    return f"{image}: {width}x{height}, {found}, {1e3 * seconds:.0f} ms -> {out}_*"


def show_progress(done: int | None, total: int) -> None:
    """A progress bar on standard error, if that is a terminal and there is more than one thing to do; None wipes it."""
    if not sys.stderr.isatty():
        return
    if done is None:
        sys.stderr.write("\r\033[K")
    elif total > 1:
        bar = "#" * round(30 * done / total)
        sys.stderr.write(f"\r[{bar:30}] {done}/{total}")
    sys.stderr.flush()
