# SPDX-License-Identifier: Apache-2.0
"""The easy door to monocular depth: a command with a picture in any form, a result with everything a script may want."""

from __future__ import annotations

import logging
import math
import os
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch

from vizion3d import runtime, weights
from vizion3d.camera import Calibration, PinholeCamera
from vizion3d.errors import InputError
from vizion3d.geometry import points_along
from vizion3d.images import ImageInput, load_rgb
from vizion3d.lens_rays import kept_rays, pinhole_part, wide_lens_trouble
from vizion3d.lifting.estimator import MonoDepthEstimator
from vizion3d.lifting.models import DepthKind
from vizion3d.lifting.prediction import PSEUDO_FAR_M, PSEUDO_NEAR_M, MonoPrediction
from vizion3d.option_records import finite_number, opening_part
from vizion3d.options import MONO_MODEL, MonoOptions
from vizion3d.pointcloud import PointCloud
from vizion3d.records import HoldsArrays
from vizion3d.results import DepthResult, far_end
from vizion3d.runtime.loaded import LoadedModels

_LOG = logging.getLogger(__name__)

_COUNTS_PER_METRE = 6553  # of the 16-bit depth in which vizion3D 1 passed its clouds on; kept for equal points


@dataclass(frozen=True)
class _Camera:
    """The camera and the scale, which come first in the configuration."""

    fx: float | None = None
    fy: float | None = None
    cx: float | None = None
    cy: float | None = None
    distortion: tuple[float, ...] = ()
    distortion_model: str = "plumb_bob"
    max_depth_m: float | None = None


# "Advance", not "Advanced", is the public name: programs import it.
@dataclass(frozen=True)
class DepthEstimationAdvanceConfig(MonoOptions, _Camera):
    """The camera of the point cloud, and the scale of a metric network. Numbers may be given as strings.

    Attributes:
        fx, fy: focal lengths in pixels; None is 0.85 of the picture's width, for both, which is good enough for the cloud but
            not for networks that take their metres from it: these need both.
        cx, cy: principal point in pixels; None is half the picture's width and height.
        distortion: coefficients of the lens, if the picture is not rectified.
        distortion_model: "plumb_bob", "rational_polynomial" or "equidistant", as in CameraInfo.
        max_depth_m: range of a metric weights file that is not in the registry, metres.

    The others are those of `MonoOptions`.

    Raises:
        InputError: a value is not a number, not finite or outside its range, or a focal length or range is not positive.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("fx", "fy", "cx", "cy", "max_depth_m"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, finite_number(name, value, positive=name not in ("cx", "cy")))
        try:
            coefficients = tuple(finite_number("distortion", number) for number in self.distortion)
        except TypeError:
            raise InputError(f"distortion is {self.distortion!r}; it must be a sequence of numbers") from None
        object.__setattr__(self, "distortion", coefficients)

    def calibration(self, width: int, height: int) -> Calibration:
        """The camera of a picture of this size, with the defaults filled in."""
        fx, fy = (0.85 * width if f is None else f for f in (self.fx, self.fy))
        cx = width / 2 if self.cx is None else self.cx
        cy = height / 2 if self.cy is None else self.cy
        K = (fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0)
        P = (fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0)
        identity = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
        return Calibration(width, height, K, tuple(self.distortion), identity, P, self.distortion_model)

    def camera(self, width: int, height: int) -> PinholeCamera | None:
        """The camera of a picture of this size as far as networks are told; None if its focal lengths are a guess."""
        return None if self.fx is None or self.fy is None else pinhole_part(self.calibration(width, height))


@dataclass(repr=False)
class DepthEstimationCommand(HoldsArrays):
    """What to do with which picture.

    Attributes:
        image_input: a path, the bytes of a picture file, a numpy array (RGB) or a PIL image.
        model_backend: a registry name (`vizion3d weights list`), a path or an address of weights for one picture.
        return_depth_image: offer `DepthEstimationResult.depth_image`.
        return_raw_depth: offer `DepthEstimationResult.raw_depth`.
        return_point_cloud: offer `DepthEstimationResult.point_cloud`.
        advanced_config: the camera, the scale of a metric network and all other options.
    """

    image_input: ImageInput
    model_backend: str | os.PathLike[str] = MONO_MODEL
    return_depth_image: bool = True
    return_raw_depth: bool = True
    return_point_cloud: bool = False
    advanced_config: DepthEstimationAdvanceConfig = field(default_factory=DepthEstimationAdvanceConfig)


@dataclass(frozen=True, eq=False, repr=False)
class DepthEstimationResult(DepthResult):
    """Depth of each pixel; arrays are (H, W).

    `depth` is the network's own map, NaN where there is nothing to measure, such as sky. `cloud` is a plain list of points;
    without a metric network its metres are made up (see `relative_cloud_depth`).

    Attributes:
        kind: what the numbers of `depth` mean: inverse depth (larger is nearer) or depth (larger is farther), both of unknown
            scale and shift, or metres.
    """

    kind: DepthKind

    @property
    def is_metric(self) -> bool:
        """Whether `depth` is in metres."""
        return self.kind is DepthKind.METRES

    @property
    def min_depth(self) -> float:
        """Smallest finite value of `depth`; NaN if there is none."""
        return _extent(self.depth)[0]

    @property
    def max_depth(self) -> float:
        """Largest finite value of `depth`; NaN if there is none."""
        return _extent(self.depth)[1]

    @cached_property
    def depth_image_array(self) -> np.ndarray:
        """uint16 picture of the depth: 65535 closest, 0 farthest; of depth, a few far outliers count as farthest."""
        low, high = _extent(self.depth)
        if not high > low:
            return np.zeros(self.depth.shape, np.uint16)
        is_inverse = self.kind is DepthKind.INVERSE
        if not is_inverse:
            high = far_end(self.depth[np.isfinite(self.depth)])
        closeness = (self.depth - np.float32(low)) / np.float32(high - low)
        closeness = np.where(np.isfinite(closeness), closeness if is_inverse else 1 - closeness, 0).clip(0, 1)
        return (65535 * closeness).astype(np.uint16)


class DepthEstimation:
    """Depth from one picture.

    Examples:
        >>> result = DepthEstimation().run(DepthEstimationCommand("room.jpg", return_point_cloud=True))
        >>> result.cloud.write_ply("room.ply")
    """

    experimental = False  # public: programs ask it of every task

    def run(self, command: DepthEstimationCommand) -> DepthEstimationResult:
        """Estimate the depth of a command's picture.

        Raises:
            InputError: the picture cannot be read, or the command is not one.
            WeightsError: the weights cannot be had or loaded.
            DependencyError: later, when an Open3D object is read and Open3D is not installed.
        """
        if not isinstance(command, DepthEstimationCommand):
            # Programs look for these first words.
            raise InputError(f"No handler registered for command {type(command).__name__}; DepthEstimationCommand is needed")
        config = command.advanced_config
        if not isinstance(config, DepthEstimationAdvanceConfig):
            raise InputError(f"advanced_config is {config!r}; a DepthEstimationAdvanceConfig is needed")
        if not isinstance(command.model_backend, (str, os.PathLike)):
            raise InputError(f"model_backend is {command.model_backend!r}; a name, a path or an address is needed")
        rgb = load_rgb(command.image_input, "image_input", config)
        estimator = _open_estimator(command.model_backend, config)
        size_wh = rgb.shape[1], rgb.shape[0]
        camera = config.camera(*size_wh)
        estimator.require_camera(camera, "set fx and fy of advanced_config")
        if estimator.needs_camera and (trouble := wide_lens_trouble(config.calibration(*size_wh), size_wh)):
            _LOG.warning("%s", trouble)
        prediction = estimator.estimate(rgb, camera)
        return DepthEstimationResult(
            depth=prediction.known.cpu().numpy(),
            backend_used=estimator.model.name,
            cloud=_cloud(prediction, rgb, config) if command.return_point_cloud else None,
            command=command,
            kind=prediction.kind,
        )

    @staticmethod
    def unload() -> None:
        """Give back the memory of the networks, which stay loaded between runs; the next run loads its own again."""
        _LOADED.unload()


def relative_cloud_depth(inverse_depth: np.ndarray) -> np.ndarray:
    """Depth of a relative map in pseudo-metres, for looking at: 0.5 m nearest, NaN from 10 m on.

    The map is spread linearly over 0.5 to 10 m and cut to whole 1/6553 m, as vizion3D 1 does, which leaves out the farthest
    pixels. A constant map has no depth.

    Args:
        inverse_depth: (H, W) float32, larger is nearer.

    Returns:
        (H, W) float32.
    """
    low, high = map(np.float32, _extent(inverse_depth))
    if not high > low:
        return np.full_like(inverse_depth, np.nan)
    known = np.where(np.isfinite(inverse_depth), inverse_depth, np.float32(np.nan))
    distance = 1 - (known - low) / (high - low)
    metres = PSEUDO_NEAR_M + distance * (PSEUDO_FAR_M - PSEUDO_NEAR_M)
    counts = np.floor((_COUNTS_PER_METRE * metres).clip(1, 65535))
    depth = counts.astype(np.float32) / np.float32(_COUNTS_PER_METRE)
    return np.where(depth < PSEUDO_FAR_M, depth, np.float32(np.nan))


def _extent(values: np.ndarray) -> tuple[float, float]:
    """Smallest and largest finite value, NaN if there is none."""
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (math.nan, math.nan)


def _cloud(prediction: MonoPrediction, rgb: np.ndarray, config: DepthEstimationAdvanceConfig) -> PointCloud:
    """The cloud of the page: that of all doors if depth is in metres, else along the same rays with the page's depth."""
    size_wh = rgb.shape[1], rgb.shape[0]
    rays = kept_rays(config.calibration(*size_wh), size_wh)
    if prediction.kind is not DepthKind.INVERSE:
        return prediction.point_cloud(rgb, rays).dense()
    depth = torch.from_numpy(relative_cloud_depth(prediction.known.cpu().numpy()))
    return PointCloud(points_along(torch.from_numpy(rays.copy()), depth).numpy(), rgb).dense()


def _open_estimator(model: str | os.PathLike[str], config: DepthEstimationAdvanceConfig) -> MonoDepthEstimator:
    """Estimators stay loaded between runs; a file that was replaced is loaded anew."""
    options = opening_part(config, MonoOptions)
    runtime.check(options.device, options.precision, options.engine)  # before anything is fetched
    mtime_ns = weights.file_of(model, "mono").stat().st_mtime_ns
    return _LOADED.get(
        (os.fspath(model), options, config.max_depth_m, mtime_ns),
        lambda: MonoDepthEstimator.open(model, options, max_depth_m=config.max_depth_m),
    )


_LOADED: LoadedModels[MonoDepthEstimator] = LoadedModels()
