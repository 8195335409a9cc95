# SPDX-License-Identifier: Apache-2.0
"""A network with what its estimator gives it for images of a size: for what is done to networks, not to pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from vizion3d import weights
from vizion3d.camera import PinholeCamera, StereoRig
from vizion3d.errors import InputError
from vizion3d.lifting import MonoDepthEstimator
from vizion3d.option_records import build, walk
from vizion3d.options import MonoOptions, StereoOptions
from vizion3d.stereo import StereoDepthEstimator
from vizion3d.stereo.matchers import WITHOUT_WEIGHTS
from vizion3d.synthetic import StereoFrame, default_scene, render_stereo


class Subject(NamedTuple):
    """A network, and how it is used."""

    network: nn.Module
    """On its device, in its precision."""
    inputs: tuple[torch.Tensor, ...]
    """What it gets for a drawn scene."""
    estimate: Callable[[], Any]
    """Estimates that scene: everything before, in and after the network."""
    title: str
    """The estimator's own words."""


def drawn_pair(size_wh: tuple[int, int]) -> tuple[StereoFrame, StereoRig]:
    """The default scene as cameras of that size see it."""
    width, height = size_wh
    camera = PinholeCamera(width, height, 0.8 * width, 0.8 * width, (width - 1) / 2, (height - 1) / 2)
    rig = StereoRig(camera, baseline_m=0.12)
    return render_stereo(default_scene(), rig), rig


def open_subject(model: str | os.PathLike[str], size_wh: tuple[int, int], values: Mapping[str, Any]) -> Subject:
    """The network of a model, run by torch or the engine in `values`, and its inputs for images of a size.

    Args:
        model: names weights: a registry name, a path or an address.
        size_wh: of the images.
        values: options of `MonoOptions` or `StereoOptions` by name, and max_depth; those of the other task are passed over.

    Raises:
        InputError: the model has no network, or an option or the size is not legal.
        WeightsError: the weights cannot be had or loaded.
    """
    if model in WITHOUT_WEIGHTS:
        raise InputError(f"{model} has no network; give weights: a name from `vizion3d weights list`, a path or an address")
    estimate: Callable[[], Any]
    if weights.task_of(model) == "mono":
        options = build(MonoOptions, _of(MonoOptions, values))
        mono = MonoDepthEstimator.open(model, options, max_depth_m=values.get("max_depth") or None)
        frame, rig = drawn_pair(size_wh)
        estimate, title = (lambda: mono.estimate(frame.left, rig.left).depth_m), mono.describe()
    else:
        stereo = StereoDepthEstimator.open(model, build(StereoOptions, _of(StereoOptions, values)))
        frame, rig = drawn_pair(size_wh)
        estimate, title = (lambda: stereo.estimate(frame.left, frame.right, rig).depth_m), stereo.describe()
    return Subject(*_first_call(estimate), estimate, title)


def _of(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    known = {name for name, _ in walk(kind)}
    return {name: value for name, value in values.items() if name in known}


def _first_call(estimate: Callable[[], Any]) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The outermost network that runs, and what it is given."""
    calls: list[tuple[nn.Module, tuple[torch.Tensor, ...]]] = []

    def note(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if not calls:
            calls.append((module, tuple(one.detach().clone() for one in inputs)))

    handle = register_module_forward_pre_hook(note)
    try:
        estimate()
    finally:
        handle.remove()
    return calls[0]
