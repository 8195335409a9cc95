# SPDX-License-Identifier: Apache-2.0
"""Which CameraInfo belongs to an image, however its driver sends them. Plain Python: no rclpy, no clock.

Drivers send CameraInfo with each image, before it or after; now and then; late; with stamp 0; or once, and keep it for those
who come later. A calibration is static, so the newest one is good for every image, with two exceptions: where each image has
its own, that is the right one; and one that differs counts from its stamp on.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from vizion3d.errors import CalibrationError
from vizion3d_ros.conversions import calibration_from_camera_info

_MAX_KNOWN = 256  # more than come while an image is on its way
_SURE_AFTER = 2  # images in a row with a CameraInfo of their own
_DOUBT = 8  # so many more, once one of them was waited for in vain: one that is always a little late is not waited for
_SAME_SCALE = 1e-3


class CameraInfos:
    """The CameraInfo of one camera."""

    def __init__(self) -> None:
        self._known: deque[tuple[int, Any]] = deque(maxlen=_MAX_KNOWN)  # in the order of arrival
        self._image_ns: int | None = None
        self._own_in_a_row = 0
        self._scale: tuple[float, float] | None = None

    def add(self, stamp_ns: int, info: Any) -> None:
        """Take one that has arrived."""
        self._known.append((stamp_ns, info))

    @property
    def is_known(self) -> bool:
        """Whether any has arrived."""
        return bool(self._known)

    def begin_image(self, stamp_ns: int) -> None:
        """Learn from each image, in order, whether the one before had its own CameraInfo in time."""
        if self._image_ns is not None and self._has_own(self._image_ns):
            self._own_in_a_row += 1
        elif self._own_in_a_row >= _SURE_AFTER:
            self._own_in_a_row = -_DOUBT
        else:
            self._own_in_a_row = min(self._own_in_a_row, 0)
        self._image_ns = stamp_ns

    def find(self, stamp_ns: int) -> Any:
        """The one of an image: with its stamp, else the newest that is not after it, else the newest; None if there is none."""
        older = None
        for stamp, info in reversed(self._known):
            if stamp == stamp_ns:
                return info
            if stamp < stamp_ns and older is None:
                older = info
        return older if older is not None or not self._known else self._known[-1][1]

    def is_due(self, stamp_ns: int) -> bool:
        """Whether one with the stamp of this image should be on its way: the last images all had their own."""
        return self._own_in_a_row >= _SURE_AFTER and not self._has_own(stamp_ns)

    def check_size(self, info: Any, stamp_ns: int, size_wh: tuple[int, int]) -> None:
        """See that an image stands to its CameraInfo as those before it did.

        Images may have been resized without their CameraInfo being told. But if the size changes and no new CameraInfo came
        with it, nobody knows whether the image is resized, binned or cropped.

        Raises:
            CalibrationError: that is so.
        """
        try:
            scale = calibration_from_camera_info(info).image_scale(size_wh)
        except CalibrationError:
            return  # said better where the numbers are needed
        fits = scale == (1.0, 1.0) or self._has_own(stamp_ns) or self._scale is None
        if not fits and any(abs(now / before - 1) > _SAME_SCALE for now, before in zip(scale, self._scale or (), strict=True)):
            raise CalibrationError(
                f"the image is {size_wh[0]}x{size_wh[1]} now but no CameraInfo for this size came: the newest is for "
                f"{info.width}x{info.height}. Publish a new CameraInfo when size or roi change, with the stamp of the image"
            )
        self._scale = scale

    def clear(self) -> None:
        """Forget everything."""
        self.__init__()  # type: ignore[misc]

    def _has_own(self, stamp_ns: int) -> bool:
        return stamp_ns != 0 and any(stamp == stamp_ns for stamp, _ in self._known)


class Frame(NamedTuple):
    """Images of one moment with their CameraInfo, in the order of the cameras."""

    stamps_ns: Sequence[int]
    images: Sequence[Any]
    infos: Sequence[Any]
    """None where a camera has none, if that is allowed."""


class FrameCompleter:
    """Gives images the CameraInfo of their cameras: waits a little for those that are on their way, and for no others.

    Args:
        cameras: their names.
        may_lack_info: images are worth having without CameraInfo and go on alone if none comes.
        wait_s: how long to wait for what is on its way.

    Attributes:
        infos: by camera.
        dropped: images that were given up, for newer ones because no CameraInfo was known or at `clear`, by the reason.
    """

    def __init__(self, cameras: Sequence[str], *, may_lack_info: bool = False, wait_s: float = 0.25) -> None:
        self.infos = {camera: CameraInfos() for camera in cameras}
        self.dropped: Counter[str] = Counter()
        self._may_lack_info = may_lack_info
        self._wait_s = wait_s
        self._waiting: Frame | None = None
        self._since_s: float | None = None
        self._absent = False

    def add_images(self, stamps_ns: Sequence[int], images: Sequence[Any], now_s: float) -> list[Frame]:
        """Take images of one moment; what is complete now. An earlier set waits no longer."""
        earlier = self._release(now_s, at_once=True)
        if self._waiting is not None:
            self.dropped[f"image without {', '.join(self.missing())}"] += 1
        for infos, stamp_ns in zip(self.infos.values(), stamps_ns, strict=True):
            infos.begin_image(stamp_ns)
        self._waiting = Frame(stamps_ns, images, ())
        self._since_s = now_s if self._since_s is None else self._since_s
        return earlier + self._release(now_s)

    def add_info(self, camera: str, stamp_ns: int, info: Any, now_s: float) -> list[Frame]:
        """Take a CameraInfo; what is complete now."""
        self.infos[camera].add(stamp_ns, info)
        return self._release(now_s)

    def check_waiting(self, now_s: float) -> list[Frame]:
        """What has waited long enough. To be called now and then."""
        return self._release(now_s)

    def missing(self) -> list[str]:
        """The cameras of which no CameraInfo is known."""
        return [camera for camera, infos in self.infos.items() if not infos.is_known]

    def clear(self) -> None:
        """Forget images and CameraInfo, not the counts."""
        if self._waiting is not None:
            self.dropped["image that waited when nobody listened any more"] += 1
        for infos in self.infos.values():
            infos.clear()
        self._waiting = self._since_s = None
        self._absent = False

    def _release(self, now_s: float, at_once: bool = False) -> list[Frame]:
        frame = self._waiting
        if frame is None or self._since_s is None:
            return []
        has_waited = now_s - self._since_s >= self._wait_s
        found = [infos.find(stamp) for infos, stamp in zip(self.infos.values(), frame.stamps_ns, strict=True)]
        if None in found:
            if not (self._may_lack_info and (self._absent or has_waited)):
                return []
            self._absent = True
        elif not (at_once or has_waited) and any(
            infos.is_due(stamp) for infos, stamp in zip(self.infos.values(), frame.stamps_ns, strict=True)
        ):
            return []
        self._waiting = self._since_s = None
        return [frame._replace(infos=found)]
