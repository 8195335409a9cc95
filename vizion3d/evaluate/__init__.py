# SPDX-License-Identifier: Apache-2.0
"""How right is depth: cases with a truth, numbers with definitions, tables, JSON, pictures.

    from vizion3d.evaluate import evaluate, find_pairs, predict
    from vizion3d.stereo import StereoDepthEstimator
    from vizion3d.synthetic.benchmark import draw

    estimator = StereoDepthEstimator("sgbm")
    for case in [draw("near-0.4"), *(files.load() for files in find_pairs("middlebury"))]:
        evaluation = evaluate(case, predict(estimator, case))
        evaluation.valid.density, evaluation.valid.bad_2, evaluation.valid.bad_2_unanswered  # shares, 0 to 1

For maps at hand: `evaluate_disparity` and `evaluate_depth`. `Scores` says which pixels count in which number. Importing
this loads no torch.
"""

from vizion3d.evaluate.cases import MonoCase, StereoCase
from vizion3d.evaluate.confidence import ConfidenceBin, ConfidenceScores, score_confidence
from vizion3d.evaluate.evaluation import BeyondRange, Evaluation, evaluate_depth, evaluate_disparity
from vizion3d.evaluate.maps import ENCODINGS, Encoding, read_map
from vizion3d.evaluate.pairs import PairFiles, find_pairs
from vizion3d.evaluate.predict import Answer, evaluate, predict
from vizion3d.evaluate.scores import Errors, Scores
from vizion3d.evaluate.visibility import left_right_check

__all__ = [
    "ENCODINGS",
    "Answer",
    "BeyondRange",
    "ConfidenceBin",
    "ConfidenceScores",
    "Encoding",
    "Errors",
    "Evaluation",
    "MonoCase",
    "PairFiles",
    "Scores",
    "StereoCase",
    "evaluate",
    "evaluate_depth",
    "evaluate_disparity",
    "find_pairs",
    "left_right_check",
    "predict",
    "read_map",
    "score_confidence",
]
