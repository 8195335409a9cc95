# SPDX-License-Identifier: Apache-2.0
"""The exact door to monocular depth: an array in, tensors out. The API, the command line and the node use it."""

from __future__ import annotations

import os

import numpy as np
import torch

from vizion3d.camera import PinholeCamera
from vizion3d.errors import InputError
from vizion3d.images import check_rgb, rgb_tensor
from vizion3d.lifting.models import DepthKind, MonoModel, open_model
from vizion3d.lifting.prediction import MonoPrediction
from vizion3d.options import MONO_MODEL, MonoOptions


class MonoDepthEstimator:
    """Pictures to depth with one network, loaded once.

    Args:
        model: a registry name (`vizion3d weights list`), a path or an http(s) address; or a model of your own, which brings
            its device.
        device: "auto", "cpu", "mps", "cuda" or "cuda:N".
        precision: "auto" (float16 on CUDA, else float32), "float32" or "float16".
        max_depth_m: range in metres of a metric weights file that is not in the registry; None takes the registry's, or
            relative depth.
        input_size: shorter side of the picture in the network, pixels; larger sees finer structures and takes longer.
        engine: what runs the network, see `MonoOptions.engine`.

    Attributes:
        model: the network.

    Raises:
        InputError: no such device, precision or engine, or a number out of range.
        WeightsError: the weights cannot be had or are not those of a network for one picture.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | MonoModel = MONO_MODEL,
        device: str = "auto",
        *,
        precision: str = "auto",
        max_depth_m: float | None = None,
        input_size: int = 518,
        engine: str = "eager",
    ) -> None:
        options = MonoOptions(device=device, precision=precision, input_size=input_size, engine=engine)
        if isinstance(model, (str, os.PathLike)):
            model = open_model(model, options, max_depth_m)
        elif not hasattr(model, "predict"):
            raise InputError(f"model is {model!r:.60}; a name, a path, an address or a network is needed")
        self.model = model

    @classmethod
    def open(
        cls, model: str | os.PathLike[str], options: MonoOptions, *, max_depth_m: float | None = None
    ) -> MonoDepthEstimator:
        """The estimator that these options describe."""
        return cls(open_model(model, options, max_depth_m))

    @property
    def is_metric(self) -> bool:
        """Whether depth is in metres."""
        return self.model.kind is DepthKind.METRES

    @property
    def needs_camera(self) -> bool:
        """Whether there are metres only with the focal length of the camera."""
        return getattr(self.model, "needs_camera", False)

    def require_camera(self, camera: PinholeCamera | None, remedy: str) -> None:
        """Raise `InputError` if there is no camera and must be one; it ends with what helps."""
        if camera is None and self.needs_camera:
            raise InputError(f"{self.model.name} gives metres only with the focal length of the camera; {remedy}")

    def describe(self) -> str:
        """Weights, device, precision and scale in one line."""
        return self.model.describe()

    def warm_up(self) -> None:
        """Estimate an empty picture on a GPU, so that the first real one does not pay for what is done only once."""
        if self.model.device.type != "cpu":
            width, height = 640, 480
            camera = PinholeCamera(width, height, width, width, width / 2, height / 2)
            self.estimate(np.zeros((height, width, 3), np.uint8), camera)

    @torch.no_grad()
    def estimate(self, rgb: np.ndarray, camera: PinholeCamera | None = None) -> MonoPrediction:
        """Estimate the depth of a picture.

        Args:
            rgb: (H, W, 3) uint8.
            camera: that took it, at its size, where it is known. Some networks need it for metres (`needs_camera`).

        Raises:
            InputError: it is not such an array, is empty, or is too long and thin; or there is no camera and must be one.
        """
        check_rgb(rgb, "the image")
        self.require_camera(camera, "pass the camera")
        return MonoPrediction(*self.model.predict(rgb_tensor(rgb, self.model.device), camera))
