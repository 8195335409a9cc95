# SPDX-License-Identifier: Apache-2.0
"""What is measured of a model: its network by each engine, a frame, and what is made of one; with the ceiling of each."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from vizion3d.networks import Subject, drawn_pair, open_subject
from vizion3d.options import ENGINES, StereoOptions
from vizion3d.runtime.built import RECORD, engine_folder, open_folder, size_of
from vizion3d.runtime.eager import EagerNetwork
from vizion3d.stereo import StereoDepthEstimator, StereoPrediction
from vizion3d.stereo.matchers import WITHOUT_WEIGHTS

_BLOCK, _DISPARITY_STEP = 5, 16


@dataclass(frozen=True)
class Case:
    """Something to measure.

    Attributes:
        name: what it is.
        run: does it once.
        ceiling: "mm" or "memcpy", of which it has `amount`; or the name of another case, which is its ceiling as it is; "" for
            one that is only a ceiling.
        amount: floating-point operations or bytes that cannot be avoided.
        model: that it belongs to.
        engine: by which it runs, "" if by none.
    """

    name: str
    run: Callable[[], Any]
    ceiling: str
    amount: float = 0.0
    model: str = ""
    engine: str = ""


def model_cases(
    model: str, size_wh: tuple[int, int], values: Mapping[str, Any], engines: Collection[str] = ("eager",)
) -> tuple[list[Case], list[str]]:
    """What there is to measure of a model with images of a size.

    Args:
        model: "sgbm", or what names weights.
        size_wh: of the images.
        values: options by name, see `open_subject`.
        engines: by which its network is run, of those that are built.

    Returns:
        The cases, and those of the engines that are not built.

    Raises:
        InputError, WeightsError: as `open_subject`.
    """
    label = os.path.basename(model)
    if model in WITHOUT_WEIGHTS:
        return _matching(label, size_wh, values), []
    subject = open_subject(model, size_wh, values)
    runs, missing = _by_engine(subject, engines)
    operations = _operations(subject)
    cases = [Case(f"{label} network, {name}", run, "mm", operations, label, name) for name, run in runs.items()]
    return [*cases, Case(f"{label} frame, eager", subject.estimate, "mm", operations, label)], missing


def _by_engine(subject: Subject, engines: Collection[str]) -> tuple[dict[str, Callable[[], Any]], list[str]]:
    """The network's runs by engine, eager first, and the engines that are not built or not installed."""
    weight = next(subject.network.parameters())
    device = weight.device
    eager = EagerNetwork(subject.network, device, weight.dtype)
    runs: dict[str, Callable[[], Any]] = {"eager": partial(eager, *subject.inputs)}
    missing = []
    for engine in (name for name in ENGINES if name in engines and name != "eager"):
        try:
            folder = engine_folder(engine, subject.network) / size_of(subject.inputs)
        except ImportError:  # of what runs it
            missing.append(engine)
            continue
        if (folder / RECORD).is_file():
            runs[engine] = partial(open_folder(engine, folder, device), *subject.inputs)
        else:
            missing.append(engine)
    return runs, missing


def _operations(subject: Subject) -> float:
    """Multiplications and additions of one pass."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        subject.network(*subject.inputs)
    return float(counter.get_total_flops())


def _matching(label: str, size_wh: tuple[int, int], values: Mapping[str, Any]) -> list[Case]:
    """Those of sgbm: beside OpenCV alone, as far as that searches, and what comes after beside the copy of what is made."""
    frame, rig = drawn_pair(size_wh)
    options = StereoOptions()
    estimator = StereoDepthEstimator.open(label, options)
    prediction = estimator.estimate(frame.left, frame.right, rig)
    searched = math.ceil((prediction.max_disparity_px or size_wh[0] / 6) / _DISPARITY_STEP) * _DISPARITY_STEP
    plain = cv2.StereoSGBM.create(
        numDisparities=searched,
        blockSize=_BLOCK,
        P1=8 * _BLOCK**2,
        P2=32 * _BLOCK**2,
        uniquenessRatio=10,
        mode=cv2.STEREO_SGBM_MODE_SGBM_3WAY,
    )
    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (frame.left, frame.right)]
    beside = f"OpenCV 3WAY, grey, {searched} disparities"
    return [
        Case(beside, partial(plain.compute, *grey), ""),
        Case(f"{label} frame", partial(estimator.estimate, frame.left, frame.right, rig), beside, model=label),
        Case(
            "depth, mask and cloud of a frame",
            partial(_outputs, prediction, frame.left, options),
            "memcpy",
            sum(one.nbytes for one in _outputs(prediction, frame.left, options)),
        ),
    ]


def _outputs(prediction: StereoPrediction, rgb: np.ndarray, options: StereoOptions) -> list[np.ndarray]:
    """What a frame becomes, from the disparity on."""
    anew = dataclasses.replace(prediction)  # which remembers nothing of what was made before
    cloud = anew.point_cloud(rgb, options, edge_filter=options.cloud_edge_filter)
    return [anew.depth_m.cpu().numpy(), anew.valid(options).cpu().numpy(), cloud.points, cloud.colors]
