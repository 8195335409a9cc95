# SPDX-License-Identifier: Apache-2.0
"""The exact door to monocular depth: an array in, tensors out. The API, the command line and the node use it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from vizion3d import weights
from vizion3d.errors import InputError
from vizion3d.images import check_rgb, rgb_tensor
from vizion3d.lifting.depth_anything import load_depth_anything, network_size, prepare_image, resize_depth
from vizion3d.runtime.device import select_device, select_dtype

DEFAULT_MODEL = "depth-anything-v2-small"

# Relative depth is spread over this range, for a cloud that can be looked at. Metres in name only.
PSEUDO_NEAR_M = 0.5
PSEUDO_FAR_M = 10.0


@dataclass(frozen=True)
class MonoPrediction:
    """What the network said of each pixel. Tensors are (H, W) float32 on the estimator's device.

    Attributes:
        output: the network's own map. Metric: depth in metres, larger is farther. Relative: inverse depth >= 0 of
            unknown scale and shift, larger is nearer.
        is_metric: which of the two it is.
    """

    output: torch.Tensor
    is_metric: bool

    @cached_property
    def inverse_depth(self) -> torch.Tensor:
        """Larger is nearer. Relative: the network's output. Metric: 1 / depth, in 1/m."""
        return 1 / self.output if self.is_metric else self.output

    @cached_property
    def depth_m(self) -> torch.Tensor:
        """Depth along the optical axis, NaN where there is none.

        Metric: metres. Relative: inverse depth p spread linearly over 0.5 to 10 pseudo-metres of this picture,
        ``0.5 + (1 - (p - min) / (max - min)) * 9.5``, in the right order but not in scale or shape.
        """
        output = torch.where(torch.isfinite(self.output), self.output, torch.nan)
        if self.is_metric:
            return torch.where(output > 0, output, torch.nan)
        if output.isnan().all():
            return output
        finite = output[~output.isnan()]
        low, high = finite.min(), finite.max()
        if high <= low:
            return torch.full_like(output, torch.nan)
        return PSEUDO_NEAR_M + (1 - (output - low) / (high - low)) * (PSEUDO_FAR_M - PSEUDO_NEAR_M)


class MonoDepthEstimator:
    """Pictures to depth with one Depth Anything V2 network, loaded once.

    Args:
        model: a registry name (`vizion3d weights list`), a path or an http(s) address.
        device: "auto", "cpu", "mps", "cuda" or "cuda:N".
        precision: "auto" (float16 on CUDA, else float32), "float32" or "float16".
        max_depth_m: range in metres of a metric weights file that is not in the registry; None takes the registry's, or
            relative depth.
        input_size: shorter side of the picture in the network, pixels; larger sees finer structures and takes longer.

    Attributes:
        weights_path: the file that was loaded.
        is_metric: whether depth is in metres.

    Raises:
        InputError: no such device or precision, or a number out of range.
        WeightsError: the weights cannot be had or are not those of this network.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = DEFAULT_MODEL,
        device: str = "auto",
        *,
        precision: str = "auto",
        max_depth_m: float | None = None,
        input_size: int = 518,
    ) -> None:
        self.device = select_device(device)
        self._dtype = select_dtype(precision, self.device)
        if input_size < 1:
            raise InputError(f"input_size is {input_size}; it must be a positive number of pixels, for example 518")
        self._input_size = input_size
        if max_depth_m is None:
            record = weights.match(model)
            max_depth_m = record.max_depth_m if record else None
        self.weights_path = weights.resolve(model)
        self.max_depth_m = max_depth_m
        network = load_depth_anything(self.weights_path, max_depth_m)
        self._network = network.to(self.device, self._dtype)

    @property
    def is_metric(self) -> bool:
        return self.max_depth_m is not None

    def describe(self) -> str:
        """Weights, device, precision and scale in one line."""
        scale = f"metric up to {self.max_depth_m:g} m" if self.max_depth_m else "relative depth, NOT metres"
        return f"{self.weights_path.name} on {self.device}, {str(self._dtype).removeprefix('torch.')}, {scale}"

    def warm_up(self) -> None:
        """Estimate an empty picture on a GPU, so that the first real one does not pay for what is done only once."""
        if self.device.type != "cpu":
            self.estimate(np.zeros((480, 640, 3), np.uint8))

    @torch.inference_mode()
    def estimate(self, rgb: np.ndarray) -> MonoPrediction:
        """Estimate the depth of a picture.

        Args:
            rgb: (H, W, 3) uint8.

        Raises:
            InputError: it is not such an array, is empty, or is too long and thin.
        """
        check_rgb(rgb, "the image")
        height, width = rgb.shape[:2]
        size = network_size(height, width, self._input_size)
        output = self._network(prepare_image(rgb_tensor(rgb, self.device), size).to(self._dtype))
        return MonoPrediction(resize_depth(output, (height, width))[0], self.is_metric)
