# SPDX-License-Identifier: Apache-2.0
"""How right depth is: every stereo model at hand on real and drawn pairs, beside plain OpenCV, as a markdown page.

    python -m bench.accuracy [--out docs/accuracy.md]

Real pairs are looked for in ../shared/data or $VIZION3D_TEST_DATA and left out where there are none. Models are sgbm and the
networks whose weights are in the cache.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2

import vizion3d
from bench.pairs import cases, everyday
from bench.sigma import coverage_table, row
from vizion3d import weights
from vizion3d.evaluate import Answer, StereoCase, evaluate, predict
from vizion3d.evaluate.predict import opencv_sgbm
from vizion3d.evaluate.report import Result, as_json, confidence_table, mean_scores, number, range_table, table
from vizion3d.stereo import StereoDepthEstimator

PLAIN = "opencv-sgbm"
COLUMNS = (
    ("density", "density", "%"),
    ("bad-2", "bad_2", "%"),
    ("bad-2+", "bad_2_unanswered", "%"),
    ("D1", "d1", "%"),
    ("EPE px", "epe_px", "px"),
    ("median px", "median_px", "px"),
    ("abs rel", "abs_rel", "%"),
    ("too far", "too_far", "%"),
    ("too near", "too_near", "%"),
)
SEEN_COLUMNS = (("seen: density", "density", "%"), ("bad-2", "bad_2", "%"))
HEAD = """# How right depth is

Written by `make accuracy`: vizion3d {version}, OpenCV {opencv}. `vizion3d eval` repeats any row.

Shares are in percent of the answers that the model calls **valid** at the default limits; of plain OpenCV all answers count.

* density: pixels with an answer, of those with truth
* bad-2: off by more than 2 px; bad-2+: the same of all pixels with truth, unanswered ones counted as bad
* D1: off by more than 3 px and 5 %; EPE and median: mean and median error; abs rel: mean relative error of depth
* too far: depth more than 1.2 times the true one, the obstacle that recedes
* too near: less than half of the true one, the obstacle that is not there
* seen: density and bad-2 of the pixels that both cameras see; the other columns count hidden pixels too

`{plain}` is OpenCV's StereoSGBM, mode 3WAY, searching as far as sgbm does.
"""
PARTS = {
    "Real pairs": """Middlebury's teddy, wood2 and aloe; sceneflow_0 is drawn, but not here. Only teddy has a calibration: for
the others the columns of depth take cx_right - cx_left for 0.""",
    "Windows of real pairs": """The same middle window of both images, 1/3 or 1/2 of width and height, as a driver's ROI cuts
it: the search range shrinks with the width, the disparities do not.""",
    "Drawn pairs": """`vizion3d.synthetic.benchmark`: 640x480 with exact truth, disparity is 63 px by the depth in metres.

* verged: cx_right - cx_left in px; near: a box that is so many metres away
* wall: plain and evenly lit, with noise in grey levels; slab: plain and slanted, before texture; thin: bars of 1 to 8 px
* gain: of the right image; roll (degrees), rows (px): the right camera is knocked and the rig does not know it
* raw: through a lens, rectified before matching""",
    "Nearer than the search range": """Pixels whose true disparity is beyond the search and whose match is in the image, of all
pixels with truth; and those of them that are valid all the same: all of them too far.""",
    "Sigma": """Of the valid pixels of sgbm those whose depth is off by no more than its `depth/sigma`, which is made to
be two in three, and the median sigma. It is fitted on the everyday pairs (`bench/sigma.py`): noise, exposures and rows as of
a camera in good order. Perfect pairs are better than that, knocked cameras worse. The truth of teddy is rounded to 1/4 px, of
wood2 to 1/2 px and of aloe, of 1282x1110 pixels, to 1 px, which counts as error here.""",
    "Confidence": """Of the answers in each range of confidence, valid or not, those that are off by more than 2 px; – for less
than 0.5 % of the answers. ECE: expected calibration error. AUSE: area under the sparsification error, 0 is a perfect order.""",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="file for the page; without it the page is printed")
    parser.add_argument("--json", type=Path, help="file for all numbers")
    options = parser.parse_args()
    start = time.perf_counter()
    models = open_models()
    parts: dict[str, list[Result]] = {}
    for title, case in cases():
        for name, model in models.items():
            answer = model(case)
            result = Result(case.name, name, evaluate(case, answer), answer.seconds, case.rig is not None)
            parts.setdefault(title, []).append(result)
        print(f"{time.perf_counter() - start:5.0f} s  {case.name}", file=sys.stderr)
    estimator = StereoDepthEstimator()
    sigma = coverage_table([row(estimator, case) for case in (*everyday(), *(case for _, case in cases()))])
    text = page(parts, list(models), sigma)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    else:
        print(text)
    if options.json:
        options.json.write_text(json.dumps(as_json([result for results in parts.values() for result in results]), indent=1))


def open_models() -> dict[str, Callable[[StereoCase], Answer]]:
    """sgbm, the stereo networks whose weights are here, and plain OpenCV."""
    names = ["sgbm", *(r.name for r in weights.RECORDS if r.task == "stereo" and weights.cache_path(r.name).is_file())]
    return {**{name: partial(predict, StereoDepthEstimator(name)) for name in names}, PLAIN: opencv_sgbm}


def page(parts: dict[str, list[Result]], models: list[str], sigma: str) -> str:
    results = [result for part in parts.values() for result in part]
    tables = {
        **{title: score_rows(part, models) for title, part in parts.items()},
        "Nearer than the search range": range_table([result for result in results if result.model != PLAIN]),
        "Sigma": sigma,
        "Confidence": confidence_table(results),
    }
    head = HEAD.format(version=vizion3d.__version__, opencv=cv2.__version__, plain=PLAIN)
    return "\n".join([head, *(f"## {title}\n\n{PARTS[title]}\n\n{text}\n" for title, text in tables.items())])


def score_rows(results: list[Result], models: list[str]) -> str:
    rows = []
    for result in results:
        seen = result.evaluation.valid_non_occluded
        rows.append([result.case, result.model, *cells(result.evaluation.valid.as_dict(), seen and seen.as_dict())])
    for model in models:
        evaluations = [result.evaluation for result in results if result.model == model]
        known = [evaluation for evaluation in evaluations if evaluation.valid_non_occluded]
        rows.append(["**mean**", model, *cells(mean_scores(evaluations, "valid"), mean_scores(known, "valid_non_occluded"))])
    return table(["pair", "model", *(heading for heading, *_ in COLUMNS + SEEN_COLUMNS)], rows)


def cells(valid: dict[str, float], seen: dict[str, float] | None) -> list[str]:
    of_seen = [number(seen[field], unit) if seen else "–" for _, field, unit in SEEN_COLUMNS]
    return [*(number(valid[field], unit) for _, field, unit in COLUMNS), *of_seen]


if __name__ == "__main__":
    main()
