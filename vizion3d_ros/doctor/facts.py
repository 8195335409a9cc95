# SPDX-License-Identifier: Apache-2.0
"""What was seen of the topics of a rig, as values."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from vizion3d.bit_depth import Levels
from vizion3d.camera import Calibration
from vizion3d.errors import Vizion3dError
from vizion3d_ros import conversions
from vizion3d_ros.bag.serialized import stamp_of
from vizion3d_ros.camera_topics import CameraTopics

# Images that are kept to find two of one moment.
_KEPT = 10

Deserialize = Callable[[bytes, str], Any]
"""(CDR, type name) -> message"""


class TopicFacts(NamedTuple):
    """A topic and what came on it."""

    name: str
    type_name: str
    qos: str
    """Of its publishers; "" if it is not known."""
    publishers: int
    """How many there are; 0 if it is not known."""
    stamps_ns: tuple[int, ...]
    """Of the messages, in the order of arrival."""
    arrivals_ns: tuple[int, ...]
    """When each was received or recorded."""
    mean_bytes: int

    @property
    def rate_hz(self) -> float:
        """Messages a second; 0 if there are too few to tell."""
        count = len(self.arrivals_ns)
        span_ns = self.arrivals_ns[-1] - self.arrivals_ns[0] if count > 1 else 0
        return 1e9 * (count - 1) / span_ns if span_ns else 0.0

    @property
    def period_ns(self) -> float:
        """Median time between two stamps; 0 if there are too few to tell."""
        return float(np.median(np.abs(np.diff(self.stamps_ns)))) if len(self.stamps_ns) > 1 else 0.0

    @property
    def delay_ns(self) -> float:
        """Median time from stamp to arrival; 0 if nothing came."""
        delays = np.subtract(self.arrivals_ns, self.stamps_ns, dtype=np.float64)
        return float(np.median(delays)) if len(delays) else 0.0


@dataclass(frozen=True)
class CameraFacts:
    """One of the cameras.

    Attributes:
        topics: their names.
        image, info: what came on them; info is None if there is no such topic.
        image_frame, info_frame: frame_id of the messages; "" if none came.
        calibration: what the last CameraInfo says; None if none came.
    """

    topics: CameraTopics
    image: TopicFacts
    info: TopicFacts | None
    image_frame: str = ""
    info_frame: str = ""
    calibration: Calibration | None = None


@dataclass(frozen=True, eq=False)
class RigFacts:
    """All that was seen.

    Attributes:
        source: what was looked at.
        is_live: arrivals are those here and now, not those of a recording.
        left, right: the cameras.
        pair: left and right image of one moment or nearly so, (H, W, 3) uint8 RGB; None if there is none.
        problem: why there is no pair, in words.
    """

    source: str
    is_live: bool
    left: CameraFacts
    right: CameraFacts
    pair: tuple[np.ndarray, np.ndarray] | None
    problem: str = ""


@dataclass
class _Seen:
    stamps_ns: list[int] = field(default_factory=list)
    arrivals_ns: list[int] = field(default_factory=list)
    total_bytes: int = 0
    kept: deque[bytes] = field(default_factory=lambda: deque(maxlen=_KEPT))


class Traffic:
    """Collects messages, as bytes, of the topics of two cameras.

    Args:
        left, right: their topics.
    """

    def __init__(self, left: CameraTopics, right: CameraTopics) -> None:
        self.cameras = left, right
        self._seen = {name: _Seen() for camera in self.cameras for name in (camera.image, camera.info) if name}

    @property
    def names(self) -> list[str]:
        """The topics."""
        return list(self._seen)

    def add(self, name: str, arrival_ns: int, cdr: bytes) -> None:
        """Take a message of a topic."""
        seen = self._seen[name]
        seen.stamps_ns.append(stamp_of(cdr))
        seen.arrivals_ns.append(arrival_ns)
        seen.total_bytes += len(cdr)
        seen.kept.append(cdr)

    def facts(
        self,
        source: str,
        is_live: bool,
        types: dict[str, str],
        qos: dict[str, tuple[str, int]],
        deserialize: Deserialize,
    ) -> RigFacts:
        """What was seen.

        Args:
            source: what was looked at.
            is_live: see `RigFacts`.
            types: of the topics.
            qos: (QoS, number) of their publishers.
            deserialize: makes messages.
        """

        def topic(name: str) -> TopicFacts:
            seen = self._seen[name]
            mean_bytes = seen.total_bytes // max(1, len(seen.stamps_ns))
            return TopicFacts(name, types[name], *qos[name], tuple(seen.stamps_ns), tuple(seen.arrivals_ns), mean_bytes)

        def last(name: str) -> Any:
            return deserialize(self._seen[name].kept[-1], types[name]) if name and self._seen[name].kept else None

        images = self._nearest_pair(deserialize, types)
        cameras = []
        for camera, image in zip(self.cameras, images or (None, None), strict=True):
            info = last(camera.info)
            cameras.append(
                CameraFacts(
                    camera,
                    topic(camera.image),
                    topic(camera.info) if camera.info else None,
                    image.header.frame_id if image else "",
                    info.header.frame_id if info else "",
                    conversions.calibration_from_camera_info(info) if info else None,
                )
            )
        pair, problem = None, "no image came" + " on one of the topics" * any(seen.kept for seen in self._seen.values())
        if images:
            try:
                left, right = conversions.rgb_from_images(images, Levels())
                pair, problem = (left, right), ""
            except Vizion3dError as error:
                problem = str(error)
        return RigFacts(source, is_live, cameras[0], cameras[1], pair, problem)

    def _nearest_pair(self, deserialize: Deserialize, types: dict[str, str]) -> tuple[Any, Any] | None:
        """Of the last images two that are as near in time as possible, the newest of such."""
        left, right = (self._seen[camera.image].kept for camera in self.cameras)
        pairs = [(abs(stamp_of(a) - stamp_of(b)), -stamp_of(a), a, b) for a in left for b in right]
        if not pairs:
            return None
        _, _, *nearest = min(pairs, key=lambda pair: pair[:2])
        first, second = (deserialize(cdr, types[camera.image]) for cdr, camera in zip(nearest, self.cameras, strict=True))
        return first, second
