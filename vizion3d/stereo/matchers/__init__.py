# SPDX-License-Identifier: Apache-2.0
"""What a stereo matcher is to the rest, and how one is opened by name: two images in, disparity with its certainty out.

A matcher without weights is a module with ``load(options)``; a network is a folder with ``load(located, options)``, named in
its row of `vizion3d.weights.ARCHITECTURES`.
"""

from __future__ import annotations

import importlib
import os
from types import ModuleType
from typing import NamedTuple, Protocol

import torch

from vizion3d import runtime, weights
from vizion3d.options import StereoOptions

WITHOUT_WEIGHTS = ("sgbm",)
"""Models that need no weights."""


class Matches(NamedTuple):
    """What a matcher found for each pixel of the left image it was given."""

    disparity: torch.Tensor
    """(1, 1, h, w) float32, x_left - x_right in pixels of the matched images, >= 0; NaN where nothing was found."""
    confidence: torch.Tensor | None
    """(1, 1, h, w) float32 in 0..1, how sure the disparity is; None from a matcher that cannot tell."""
    visibility: torch.Tensor | None
    """(1, 1, h, w) float32 in 0..1, near 1 where the point is seen in the right image as well, near 0 where it is hidden;
    None from a matcher that cannot tell."""
    max_disparity: float | None
    """How far was searched, in pixels of the matched images; None if there is no limit but the image."""
    step: float
    """Smallest increment of the disparity."""
    reason: torch.Tensor | None = None
    """(1, 1, h, w) uint8, why there is no answer, or no sure one, where the matcher knows: NO_TEXTURE, HIDDEN or BORDER of
    `vizion3d.stereo.reasons.Reason`, else 0. HIDDEN and BORDER are what has no visibility."""


class StereoMatcher(Protocol):
    """A way to match two rectified images."""

    name: str
    """As the user chose it."""
    architecture: str
    """Which of the matchers it is; its group in `StereoOptions`."""
    device: torch.device
    """Where it computes; images are brought there and everything after it stays there."""
    image_dtype: torch.dtype
    """Of the images it matches: torch.float32 or torch.uint8."""
    has_confidence: bool
    """Whether its matches come with confidence."""
    has_visibility: bool
    """Whether its matches come with visibility."""
    max_size: tuple[int, int] | None
    """(width, height) to which larger images are reduced by default; None matches at any size."""
    min_side: int
    """Smallest width and height it can match."""
    searched_part_of_width: float | None
    """Largest disparity that it promises by default, as a part of the image width; None if its range cannot be chosen."""

    def match(self, left: torch.Tensor, right: torch.Tensor, max_disparity: float | None = None) -> Matches:
        """Match a pair in which no point in front of the cameras has a negative disparity; the estimator sees to that.

        Args:
            left, right: (1, 3, h, w) RGB, 0..255, of `image_dtype`, on `device`.
            max_disparity: how far to search at least, in pixels of these images, which is further than is promised (see
                `search_range`). None leaves it to the matcher; one whose range cannot be chosen passes over it.
        """
        ...

    def describe(self) -> str:
        """Name, device and how it runs, in one line."""
        ...


def sigma_of_confidence(matcher: StereoMatcher) -> tuple[tuple[float, float], ...]:
    """(lowest confidence, standard deviation of the disparity in pixels of the matched images) in ascending order.

    Empty from a matcher whose confidence nobody has measured against a truth; it is its attribute of this name.
    """
    return getattr(matcher, "sigma_of_confidence", ())


def open_matcher(model: str | os.PathLike[str], options: StereoOptions) -> StereoMatcher:
    """The matcher of that name.

    Args:
        model: one of `WITHOUT_WEIGHTS`; or names weights: a registry name, a path or an address.
        options: device, precision, and the matcher's own.

    Raises:
        InputError: there is no such device or precision.
        WeightsError: the weights cannot be had, or are not those of a stereo network.
    """
    if model in WITHOUT_WEIGHTS:
        return _module(str(model)).load(options)
    runtime.check(options.device, options.precision, options.engine)
    located = weights.locate(model, "stereo", WITHOUT_WEIGHTS)
    matcher = _module(weights.ARCHITECTURES[located.architecture].folder).load(located, options)
    weights.record_first_use(located)
    return matcher


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{name}")
