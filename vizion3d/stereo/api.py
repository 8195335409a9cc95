# SPDX-License-Identifier: Apache-2.0
"""The easy door to stereo depth: a command with pictures in any form, a result with everything a script may want."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial

import numpy as np

from vizion3d import runtime, weights
from vizion3d.camera import PinholeCamera, StereoRig
from vizion3d.errors import InputError
from vizion3d.images import ImageInput, load_rgb_pair
from vizion3d.option_records import finite_number, opening_part, with_default
from vizion3d.options import PAGE_STEREO_MODEL, StereoOptions
from vizion3d.records import HoldsArrays
from vizion3d.rectify import Shown
from vizion3d.results import DepthResult, far_end
from vizion3d.runtime.loaded import LoadedModels
from vizion3d.stereo.estimator import StereoDepthEstimator, common_size
from vizion3d.stereo.matchers import WITHOUT_WEIGHTS
from vizion3d.stereo.pair_check import PairCheck, check_pair
from vizion3d.stereo.prediction import StereoPrediction

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Rig:
    """The rig in the numbers of the page, which come first in the configuration."""

    focal_length: float = 1000.0
    cx: float = 640.0
    cy: float = 360.0
    baseline: float = 100.0
    doffs: float = 0.0


@dataclass(frozen=True)
class StereoDepthAdvancedConfig(StereoOptions, _Rig):
    """The rig, and what counts as valid. Numbers may be given as strings.

    Attributes:
        focal_length: fx in pixels.
        focal_length_y: fy in pixels; None is fx.
        cx, cy: principal point of the left image in pixels.
        baseline: distance of the cameras in **millimetres**.
        doffs: cx_right - cx_left in pixels, added to the disparity.
        z_near: point clouds begin at this distance, metres; 0 is as near as the matcher looks.
        z_far: point clouds end before this distance, metres.
        conf_threshold: point clouds keep pixels with at least this confidence, 0..1.
        occ_threshold: point clouds keep pixels with at least this visibility, 0..1.
        scale_factor: size to match at, as a part of the image size; None or 0 is automatic.
        cloud_edge_filter: leave pixels that hang between two surfaces out of point clouds. Off, unlike at the other doors,
            so that the cloud is vizion3D's.

    The others are those of `StereoOptions`.

    Raises:
        InputError: a value is not a number or outside its range.
    """

    scale_factor: float | None = with_default(StereoOptions, "scale_factor", None)  # type: ignore[assignment]
    cloud_edge_filter: bool = with_default(StereoOptions, "cloud_edge_filter", False)
    focal_length_y: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("focal_length", "cx", "cy", "baseline", "doffs"):
            positive = name in ("focal_length", "baseline")
            object.__setattr__(self, name, finite_number(name, getattr(self, name), positive=positive))
        if self.focal_length_y is not None:
            object.__setattr__(self, "focal_length_y", finite_number("focal_length_y", self.focal_length_y, positive=True))

    def rig(self, width: int, height: int) -> StereoRig:
        """The rig in metres, for images of this size."""
        fy = self.focal_length if self.focal_length_y is None else self.focal_length_y
        camera = PinholeCamera(width, height, self.focal_length, fy, self.cx, self.cy)
        return StereoRig(camera, self.baseline / 1000, self.doffs)

    @classmethod
    def from_rig(cls, rig: StereoRig) -> StereoDepthAdvancedConfig:
        """The configuration of a known rig, everything else at its default."""
        left = rig.left
        return cls(left.fx, left.cx, left.cy, rig.baseline_m * 1000, rig.doffs_px, focal_length_y=left.fy)


# The one instance by which `StereoDepth` knows that nobody gave a configuration.
_ASSUMED_CONFIG = StereoDepthAdvancedConfig()


@dataclass(repr=False)
class StereoDepthCommand(HoldsArrays):
    """What to do with which pair.

    Attributes:
        left_image, right_image: rectified, of one size: a path, the bytes of a picture file, an RGB array or a PIL image.
        model_backend: weights of S2M2 or LAS2 (a registry name such as "s2m2-s", a path or an address), or "sgbm", which needs
            none.
        return_depth_image: offer `StereoDepthResult.depth_image`.
        return_raw_depth: offer `StereoDepthResult.raw_depth`.
        return_point_cloud: offer `StereoDepthResult.point_cloud`.
        advanced_config: the rig, the validity limits and all other options; without it a rig is assumed, which is logged once.
        shown: of images that `vizion3d.rectify` made from raw ones: which pixels these show; None is all.
    """

    left_image: ImageInput
    right_image: ImageInput
    model_backend: str | os.PathLike[str] = PAGE_STEREO_MODEL
    return_depth_image: bool = True
    return_raw_depth: bool = True
    return_point_cloud: bool = False
    advanced_config: StereoDepthAdvancedConfig = _ASSUMED_CONFIG
    shown: Shown | None = None


@dataclass(frozen=True, eq=False, repr=False)
class StereoDepthResult(DepthResult):
    """Depth, disparity and certainty of each pixel of the left image; arrays are (H, W).

    `depth` is in metres, 0 where invalid; z_far and the thresholds do not act on it. `cloud` is organised, NaN where
    not valid.

    Attributes:
        disparity: float32 pixels of the input images, as the matcher gave it (NaN, infinite or negative possible).
        confidence: float32, 0..1; None if the model gives none.
        occlusion: float32 visibility despite its customary name, 0..1, high = seen by both cameras; None likewise.
        valid: bool, the pixels of the point cloud: z_near, z_far and the thresholds applied.
        reason: uint8, why a pixel is not valid, as `vizion3d.stereo.Reason` has it; 0 where it is.
        make_check: makes `check`.
    """

    disparity: np.ndarray
    confidence: np.ndarray | None
    occlusion: np.ndarray | None
    valid: np.ndarray
    reason: np.ndarray
    make_check: Callable[[], PairCheck] = field(repr=False)

    @cached_property
    def check(self) -> PairCheck:
        """What there is to say about the pair and its rig; `check.faults` is what ruins depth, the worst first."""
        return self.make_check()

    @cached_property
    def disparity_map(self) -> list[list[float]]:
        """`disparity` as H lists of W floats."""
        return self.disparity.tolist()

    @property
    def min_depth(self) -> float:
        """Smallest positive depth in metres; 0.0 if there is none."""
        positive = self.depth[self.depth > 0]
        return float(positive.min()) if positive.size else 0.0

    @property
    def max_depth(self) -> float:
        """Largest depth in metres; 0.0 if there is none."""
        return float(self.depth.max())

    @cached_property
    def depth_image_array(self) -> np.ndarray:
        """uint16 picture of the depth: 65535 closest, 0 farthest and invalid. A few far outliers count as farthest."""
        measured = self.depth > 0
        near, far = self.min_depth, far_end(self.depth[measured]) if measured.any() else 0.0
        if far <= near:
            return np.zeros(self.depth.shape, np.uint16)
        closeness = 1 - (self.depth.astype(np.float64) - near) / (far - near)
        return (65535 * np.where(measured, closeness, 0).clip(0, 1)).astype(np.uint16)


class StereoDepth:
    """Metric depth from a rectified stereo pair.

    Examples:
        >>> config = StereoDepthAdvancedConfig(focal_length=718.856, cx=607.19, cy=185.2, baseline=537.17)
        >>> result = StereoDepth().run(StereoDepthCommand("left.png", "right.png", advanced_config=config))
        >>> result.depth.shape, result.max_depth
    """

    def run(self, command: StereoDepthCommand) -> StereoDepthResult:
        """Match the pair of a command.

        Raises:
            InputError: an image cannot be read or matched, or the command is not one.
            CalibrationError: the rig is impossible.
            DependencyError: later, when an Open3D object is read and Open3D is not installed.
        """
        if not isinstance(command, StereoDepthCommand):
            # Programs look for these first words.
            raise InputError(f"No handler registered for command {type(command).__name__}; StereoDepthCommand is needed")
        config = command.advanced_config
        if not isinstance(config, StereoDepthAdvancedConfig):
            raise InputError(f"advanced_config is {config!r}; a StereoDepthAdvancedConfig is needed")
        if config is _ASSUMED_CONFIG:
            _tell_assumed_rig()
        if not isinstance(command.model_backend, (str, os.PathLike)):
            raise InputError(f"model_backend is {command.model_backend!r}; a name, a path or an address is needed")
        left, right = load_rgb_pair(command.left_image, command.right_image, ("left_image", "right_image"), config)
        rig = config.rig(left.shape[1], left.shape[0])
        common_size(left, right, rig)  # before weights are fetched
        estimator = _open_estimator(command.model_backend, config)
        prediction = estimator.estimate(left, right, rig, command.shown, **config.matching())
        return _result(prediction, estimator, left, right, command)

    @staticmethod
    def unload() -> None:
        """Give back the memory of the matchers, which stay loaded between runs; the next run loads its own again."""
        _LOADED.unload()


@lru_cache(maxsize=1)
def _tell_assumed_rig() -> None:
    """Log once that depth is that of a rig which nobody named."""
    rig = _ASSUMED_CONFIG
    _LOG.warning(
        f"no advanced_config is given: a focal length of {rig.focal_length:g} px and a baseline of {rig.baseline:g} mm are "
        "assumed, so depth is not in the metres of your cameras; give their StereoDepthAdvancedConfig"
    )


def _open_estimator(model: str | os.PathLike[str], config: StereoDepthAdvancedConfig) -> StereoDepthEstimator:
    """Estimators stay loaded between runs; a weights file that was replaced is loaded anew."""
    options = opening_part(config, StereoOptions)
    mtime_ns = None
    if model not in WITHOUT_WEIGHTS:
        runtime.check(options.device, options.precision, options.engine)  # before anything is fetched
        mtime_ns = weights.file_of(model, "stereo", WITHOUT_WEIGHTS).stat().st_mtime_ns
    key = os.fspath(model), options, mtime_ns
    estimator = _LOADED.get(key, lambda: StereoDepthEstimator.open(model, options))
    estimator.tell_without_effect(config)
    return estimator


_LOADED: LoadedModels[StereoDepthEstimator] = LoadedModels()


def _result(
    prediction: StereoPrediction,
    estimator: StereoDepthEstimator,
    left: np.ndarray,
    right: np.ndarray,
    command: StereoDepthCommand,
) -> StereoDepthResult:
    config = command.advanced_config
    cloud = None
    if command.return_point_cloud:
        cloud = prediction.point_cloud(left, config, edge_filter=config.cloud_edge_filter)
    return StereoDepthResult(
        disparity=prediction.disparity_px.cpu().numpy(),
        depth=prediction.depth_m.nan_to_num(0.0).cpu().numpy(),
        confidence=None if prediction.confidence is None else prediction.confidence.cpu().numpy(),
        occlusion=None if prediction.visibility is None else prediction.visibility.cpu().numpy(),
        valid=prediction.valid(config).cpu().numpy(),
        reason=prediction.reason(config).cpu().numpy(),
        # Copies: what the caller does to the arrays later must not change the answer.
        make_check=partial(
            check_pair, left.copy(), right.copy(), prediction.rig, prediction=prediction.on_cpu(), limits=config
        ),
        backend_used=estimator.matcher.name,
        cloud=cloud,
        command=command,
    )
