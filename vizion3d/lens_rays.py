# SPDX-License-Identifier: Apache-2.0
"""The viewing ray of every pixel, so that the points of a raw (distorted) image are right without rectifying it.

A ray is (X/Z, Y/Z) in the optical frame: times the depth along the optical axis it is the X and Y of a point.

A distortion polynomial is a fit, good only out to where the image radius stops growing with the angle: there the image
folds back, and beyond it the formula puts things where no lens does. Rays are given for pixels on the near side of this
fold, NaN for all others.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.polynomial import polynomial

from vizion3d.camera import Calibration, PinholeCamera
from vizion3d.errors import CalibrationError

# How many numbers D may have; further ones are accepted if they are 0.
_EQUIDISTANT_MODELS = {"equidistant": (4,), "fisheye": (4,)}
_POLYNOMIAL_COUNTS = 4, 5, 8, 12
_MODELS = {"plumb_bob": _POLYNOMIAL_COUNTS, "rational_polynomial": _POLYNOMIAL_COUNTS, **_EQUIDISTANT_MODELS}
_MAX_ERROR_PX = 1e-6
_MAX_COEFFICIENT = 1e6  # those of real lenses are below 1000; products of larger ones overflow
_MAX_NEWTON_STEPS = 12
_PROFILE_SAMPLES = 4096
# The fold is looked for in so many directions, at every so many-th sample.
_DIRECTIONS = 720
_FOLD_STRIDE = 8
# A raw image is looked at in so many columns and rows for what its lens does to metres; so much is let pass.
_STRETCH_SAMPLES = 65
_MAX_STRETCH = 1.1
# So many pixels at a time that their intermediate results stay in the cache, which is faster by a third.
_PIXELS_PER_BLOCK = 1 << 14


def pixel_rays(calibration: Calibration, image_size: tuple[int, int] | None = None, *, rectified: bool = False) -> np.ndarray:
    """Where each pixel of an image looks.

    Takes a fraction of a second for a megapixel of a lens with distortion: keep the result, or use `kept_rays`.

    Args:
        calibration: as published with the image.
        image_size: (width, height) of the image at hand, if it may differ from what the calibration announces.
        rectified: the image is rectified (use P) instead of raw (use K and D).

    Returns:
        (H, W, 2) float64, X/Z and Y/Z in the optical frame of the raw or of the rectified camera. NaN where the
        distortion cannot be inverted and where the ray is 90 degrees or more off the optical axis.

    Raises:
        CalibrationError: not calibrated, a number is not finite, or the distortion model is not known.
    """
    camera = pinhole_part(calibration, image_size, rectified=rectified)
    x = (np.arange(camera.width) - camera.cx) / camera.fx
    y = (np.arange(camera.height) - camera.cy) / camera.fy
    rays = np.stack(np.meshgrid(x, y), axis=-1)
    distortion = _NO_DISTORTION if rectified else _Distortion.from_calibration(calibration)
    if distortion == _NO_DISTORTION:
        return rays
    tolerance = _MAX_ERROR_PX / max(camera.fx, camera.fy)
    flat = rays.reshape(-1, 2)
    for start in range(0, len(flat), _PIXELS_PER_BLOCK):
        block = flat[start : start + _PIXELS_PER_BLOCK]
        block[:] = distortion.undistort(block, tolerance)
    return rays


def rays_of_points(calibration: Calibration, points: np.ndarray, image_size: tuple[int, int] | None = None) -> np.ndarray:
    """Where points of a raw image look; `pixel_rays` for some points, between pixels as well.

    Args:
        calibration: as published with the image.
        points: (N, 2), u and v in pixels.
        image_size: (width, height) of the image at hand, if it may differ from what the calibration announces.

    Returns:
        (N, 2) float64, X/Z and Y/Z; NaN as for `pixel_rays`.

    Raises:
        CalibrationError: see `pixel_rays`.
    """
    camera = pinhole_part(calibration, image_size)
    distortion = _Distortion.from_calibration(calibration)
    image = (points - (camera.cx, camera.cy)) / (camera.fx, camera.fy)
    return image if distortion == _NO_DISTORTION else distortion.undistort(image, _MAX_ERROR_PX / max(camera.fx, camera.fy))


def check_lens(calibration: Calibration, image_size: tuple[int, int] | None = None, *, rectified: bool = False) -> None:
    """Raise the `CalibrationError` that `pixel_rays` would raise, without its work."""
    pinhole_part(calibration, image_size, rectified=rectified)
    if not rectified:
        _Distortion.from_calibration(calibration)


@lru_cache(maxsize=2)
def kept_rays(calibration: Calibration, image_size: tuple[int, int], rectified: bool = False) -> np.ndarray:
    """`pixel_rays` as (H, W, 2) float32 that cannot be written to, kept for the next picture of the same camera."""
    rays = pixel_rays(calibration, image_size, rectified=rectified).astype(np.float32)
    rays.flags.writeable = False
    return rays


def metric_stretch(calibration: Calibration, image_size: tuple[int, int] | None = None) -> np.ndarray:
    """How many times too long the metres may come out that a network takes from the one focal length K says, in a raw image.

    Away from its centre a wide lens magnifies less than a pinhole camera, and not equally in all directions. What looks smaller
    is taken for farther: this is the ratio in the direction where it is largest.

    Args:
        calibration: as published with the image.
        image_size: (width, height) of the image at hand, if it may differ from what the calibration announces.

    Returns:
        (65, 65) float64, at points spread evenly over the image from corner to corner; NaN where there is no ray.

    Raises:
        CalibrationError: see `pixel_rays`.
    """
    camera = pinhole_part(calibration, image_size)
    x = (np.linspace(0, max(1, camera.width - 1), _STRETCH_SAMPLES) - camera.cx) / camera.fx
    y = (np.linspace(0, max(1, camera.height - 1), _STRETCH_SAMPLES) - camera.cy) / camera.fy
    image = np.stack(np.meshgrid(x, y), axis=-1)
    distortion = _Distortion.from_calibration(calibration)
    rays = distortion.undistort(image.reshape(-1, 2), _MAX_ERROR_PX / max(camera.fx, camera.fy)).reshape(image.shape)
    jacobian = np.stack(np.gradient(rays, y, x, axis=(0, 1)), axis=-1)
    known = np.isfinite(jacobian).all(axis=(2, 3))
    stretch = np.full(known.shape, np.nan)
    stretch[known] = np.linalg.norm(jacobian[known], ord=2, axis=(1, 2))
    return stretch


@lru_cache(maxsize=8)
def wide_lens_trouble(calibration: Calibration, image_size: tuple[int, int]) -> str:
    """What a raw image's lens does to metres from one focal length; "" if they stay within a tenth. See `metric_stretch`."""
    if _Distortion.from_calibration(calibration) == _NO_DISTORTION:
        return ""
    stretch = metric_stretch(calibration, image_size)
    largest = np.where(np.isnan(stretch), 1.0, stretch).max()
    if largest <= _MAX_STRETCH:
        return ""
    wrong = (stretch[np.isfinite(stretch)] > _MAX_STRETCH).mean()
    return (
        f"the lens has no one focal length: in {100 * wrong:.0f} % of the raw image metres may be more than a tenth too long, "
        f"up to {largest:.1f} times at its edge; rectify it first"
    )


def project_to_pixels(calibration: Calibration, rays: np.ndarray, image_size: tuple[int, int] | None = None) -> np.ndarray:
    """Where the distortion model puts rays in the raw image; the inverse of `pixel_rays`.

    Args:
        calibration: as published with the image.
        rays: (..., 2), X/Z and Y/Z. Rays beyond the fold are projected as well, as the formula says.
        image_size: (width, height) of the image at hand, if it may differ from what the calibration announces.

    Returns:
        (..., 2) float64, u and v in pixels.

    Raises:
        CalibrationError: not calibrated, a number is not finite, or the distortion model is not known.
    """
    camera = pinhole_part(calibration, image_size)
    distorted = _Distortion.from_calibration(calibration).distort(np.asarray(rays, dtype=np.float64))
    return distorted * (camera.fx, camera.fy) + (camera.cx, camera.cy)


def reaches_image(calibration: Calibration, rays: np.ndarray) -> np.ndarray:
    """Which rays the lens shows: (..., 2) X/Z and Y/Z -> (...) bool, False from the fold of the distortion on.

    Raises:
        CalibrationError: see `project_to_pixels`.
    """
    return _Distortion.from_calibration(calibration).is_before_fold(np.asarray(rays, dtype=np.float64))


def pinhole_part(
    calibration: Calibration, image_size: tuple[int, int] | None = None, *, rectified: bool = False
) -> PinholeCamera:
    """The camera without its distortion: of the rectified (P) or raw (K) image at hand; see `pixel_rays`."""
    name, numbers, count = ("P", calibration.P, 12) if rectified else ("K", calibration.K, 9)
    if not any(numbers):
        raise CalibrationError(
            f"{name} is all zeros: the camera is not calibrated. "
            "Calibrate it (camera_calibration cameracalibrator) or load its calibration in the driver"
        )
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise CalibrationError(f"{name} is {list(numbers)}; it must be {count} finite numbers. Calibrate the camera again")
    if not rectified:
        fx, _, cx, _, fy, cy, *_ = numbers
        calibration = dataclasses.replace(calibration, P=(fx, 0, cx, 0, 0, fy, cy, 0, 0, 0, 1, 0))
    return PinholeCamera.from_calibration(calibration, image_size)


@dataclass(frozen=True)
class _Distortion:
    """``distorted = q * N(r²) / D(r²) + tangential(q) + prism(r²)`` with ``r = |q|``, for every model.

    q is (X/Z, Y/Z) for the polynomial models. For equidistant ones it has the same direction but its length is the
    angle to the optical axis in radians; D is 1 and there are no other parts.

    Attributes:
        numerator, denominator: coefficients of N and D in ascending powers of r².
        p1, p2: tangential coefficients.
        prism: of a thin prism: coefficients of r² and r⁴ of x, then of y.
        equidistant: what q is.
    """

    numerator: tuple[float, ...]
    denominator: tuple[float, ...]
    p1: float = 0.0
    p2: float = 0.0
    prism: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    equidistant: bool = False

    @classmethod
    def from_calibration(cls, calibration: Calibration) -> _Distortion:
        """Read model and D.

        Raises:
            CalibrationError: unknown model, wrong number of coefficients, or one that is not finite or no lens's.
        """
        model, D = calibration.distortion_model, calibration.D
        # ROS reads zeros as "no distortion" in every model, also in equidistant ones: rectified images announce that.
        if not model or not any(D):
            return _NO_DISTORTION
        if model not in _MODELS:
            raise CalibrationError(
                f"the distortion model is {model!r}; known are {', '.join(_MODELS)}. "
                "Calibrate with one of these, or rectify the images"
            )
        legal = _MODELS[model]
        count = next((count for count in legal if count <= len(D) and not any(D[count:])), None)
        if count is None:
            raise CalibrationError(
                f"D has {len(D)} numbers; {model} takes {' or '.join(map(str, legal))}, all further ones 0. "
                "Calibrate again (without tilt), or rectify the images"
            )
        D = D[:count]
        if not all(map(math.isfinite, D)):
            raise CalibrationError(f"D is {list(D)}; all numbers must be finite. Calibrate the camera again")
        if any(abs(number) > _MAX_COEFFICIENT for number in D):
            raise CalibrationError(f"D is {list(D)}; no lens has numbers above {_MAX_COEFFICIENT:g}. Calibrate it again")
        if model in _EQUIDISTANT_MODELS:
            return cls((1.0, *D), (1.0,), equidistant=True)
        k1, k2, p1, p2, k3, k4, k5, k6, *prism = (*D, *(0.0,) * (legal[-1] - len(D)))
        return cls((1.0, k1, k2, k3), (1.0, k4, k5, k6), p1, p2, tuple(prism))

    def distort(self, rays: np.ndarray) -> np.ndarray:
        """(..., 2) rays -> (..., 2) image coordinates at focal length 1."""
        return np.stack(self._image_and_jacobian(*self._q(rays))[:2], axis=-1)

    def is_before_fold(self, rays: np.ndarray) -> np.ndarray:
        """(..., 2) rays -> (...) bool, on the branch that starts at the optical axis."""
        x, y = self._q(rays)
        return np.hypot(x, y) < np.minimum(self.max_radius, self._fold_towards(x, y))

    def _q(self, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, y = rays[..., 0], rays[..., 1]
        if not self.equidistant:
            return x, y
        tangent = np.hypot(x, y)
        to_angle = np.divide(np.arctan(tangent), tangent, out=np.ones_like(tangent), where=tangent > 0)
        return x * to_angle, y * to_angle

    @np.errstate(all="ignore")  # pixels without a ray may run away; they do not converge
    def undistort(self, image: np.ndarray, tolerance: float) -> np.ndarray:
        """(N, 2) image coordinates at focal length 1 -> (N, 2) rays, NaN where the first branch has none.

        OpenCV's undistortPoints answers also where it has not converged or has landed beyond the fold. To tell takes
        the fold and the derivatives, and with these at hand Newton's method is the shortest way to the ray as well.
        """
        q = np.full((2, len(image)), np.nan)
        unsolved = np.arange(len(image))
        x_target, y_target = image.T
        x, y = self._undistort_radially(x_target, y_target)
        for _ in range(_MAX_NEWTON_STEPS):
            x_image, y_image, xx, xy, yx, yy = self._image_and_jacobian(x, y)
            dx, dy = x_target - x_image, y_target - y_image
            determinant = xx * yy - xy * yx
            converged = np.hypot(dx, dy) < tolerance
            good = converged & _is_unfolded(xx, xy, yx, yy) & (np.hypot(x, y) < self._fold_towards(x, y))
            q[:, unsolved[good]] = x[good], y[good]
            if converged.all():
                break
            x_next = x + (yy * dx - xy * dy) / determinant
            y_next = y + (xx * dy - yx * dx) / determinant
            x, y = self._keep_inside(x, y, x_next, y_next)
            x, y, x_target, y_target, unsolved = (a[~converged] for a in (x, y, x_target, y_target, unsolved))
        if self.equidistant:
            angle = np.hypot(*q)
            q *= np.divide(np.tan(angle), angle, out=np.ones_like(angle), where=angle > 0)
        return q.T

    def _image_and_jacobian(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
        """Image (x, y) of q = (x, y), and its derivatives dx/dx, dx/dy, dy/dx, dy/dy."""
        xx, xy, yy = x * x, x * y, y * y
        r2 = xx + yy
        f, slope = self._radial(r2)
        p1, p2 = self.p1, self.p2
        mixed = 2 * (slope * xy + p1 * x + p2 * y)
        smooth = (
            f * x + 2 * p1 * xy + p2 * (3 * xx + yy),
            f * y + p1 * (xx + 3 * yy) + 2 * p2 * xy,
            f + 2 * slope * xx + 2 * p1 * y + 6 * p2 * x,
            mixed,
            mixed,
            f + 2 * slope * yy + 6 * p1 * y + 2 * p2 * x,
        )
        if not any(self.prism):
            return smooth
        s1, s2, s3, s4 = self.prism
        x_slope, y_slope = 2 * (s1 + 2 * s2 * r2), 2 * (s3 + 2 * s4 * r2)
        prism = (s1 + s2 * r2) * r2, (s3 + s4 * r2) * r2, x_slope * x, x_slope * y, y_slope * x, y_slope * y
        return tuple(a + b for a, b in zip(smooth, prism, strict=True))

    def _radial(self, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """f = N/D at s = r², and df/ds."""
        n, d = polynomial.polyval(s, self.numerator), polynomial.polyval(s, self.denominator)
        n_slope = polynomial.polyval(s, polynomial.polyder(self.numerator))
        d_slope = polynomial.polyval(s, polynomial.polyder(self.denominator))
        f = n / d
        return f, (n_slope - f * d_slope) / d

    @cached_property
    def max_radius(self) -> float:
        """Largest |q| of the branch that starts at the optical axis, without the tangential part and the prism."""
        fold = _fold_radius(self.numerator, self.denominator)
        return min(fold, math.pi / 2) if self.equidistant else fold

    @cached_property
    def _radii(self) -> np.ndarray:
        """|q| in even steps of the angle, which serves every field of view, up to but without the end of the branch."""
        return np.tan(np.linspace(0, math.atan(self.max_radius), _PROFILE_SAMPLES, endpoint=False))

    @cached_property
    def _image_radii(self) -> np.ndarray:
        """|image| of ``_radii`` without the tangential part and the prism; increasing."""
        return self._radii * self._radial(self._radii**2)[0]

    @cached_property
    def _folds(self) -> np.ndarray:
        """|q| of the fold in each of ``_DIRECTIONS`` directions all around, which only the radial part leaves equal."""
        angle = np.arange(_DIRECTIONS) * (2 * np.pi / _DIRECTIONS)
        radii = self._radii[::_FOLD_STRIDE, None]
        _, _, *jacobian = self._image_and_jacobian(radii * np.cos(angle), radii * np.sin(angle))
        unfolded = _is_unfolded(*jacobian)
        return np.where(unfolded.all(axis=0), np.inf, radii[np.argmin(unfolded, axis=0), 0])

    def _fold_towards(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """|q| of the fold in the direction of each q = (x, y)."""
        turns = np.nan_to_num(np.arctan2(y, x)) / (2 * np.pi)
        return self._folds[np.rint(turns * _DIRECTIONS).astype(np.intp) % _DIRECTIONS]

    def _undistort_radially(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """q of an image, as if there were only the radial part."""
        target = np.hypot(x, y)
        scale = np.interp(target, self._image_radii, self._radii) / np.maximum(target, np.finfo(np.float64).tiny)
        return x * scale, y * scale

    def _keep_inside(
        self, x: np.ndarray, y: np.ndarray, x_next: np.ndarray, y_next: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Shorten steps that leave the first branch so that they go half of the way to its end."""
        r_next = np.hypot(x_next, y_next)
        limit = (np.hypot(x, y) + self.max_radius) / 2
        scale = np.where(r_next > limit, limit / r_next, 1.0)
        return x_next * scale, y_next * scale


_NO_DISTORTION = _Distortion((1.0,), (1.0,))


def _is_unfolded(xx: np.ndarray, xy: np.ndarray, yx: np.ndarray, yy: np.ndarray) -> np.ndarray:
    """Whether the image is not folded at points with this Jacobian.

    As long as its symmetric part has two positive eigenvalues, no two rays share a pixel. But for a thin prism it is all
    symmetric.
    """
    mixed = (xy + yx) / 2
    return (xx * yy > mixed * mixed) & (xx + yy > 0)


def _fold_radius(numerator: tuple[float, ...], denominator: tuple[float, ...]) -> float:
    """Smallest r > 0 at which ``r * N(r²) / D(r²)`` stops growing or has a pole; infinite if there is none."""
    n, d = polynomial.Polynomial(numerator), polynomial.Polynomial(denominator)
    s = polynomial.Polynomial((0, 1))
    slope = n * d + 2 * s * (n.deriv() * d - n * d.deriv())  # times D², which has no zeros of its own before a pole
    roots = np.concatenate((slope.roots(), d.roots()))
    return math.sqrt(min((root.real for root in roots if root.imag == 0 and root.real > 0), default=math.inf))
