# SPDX-License-Identifier: Apache-2.0
"""A recording to be made of another one, as a value that any process can work on: what, of which frames, in which segments."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vizion3d_ros.bag.pictures import Pictures
from vizion3d_ros.bag.plan import LOG, Plan
from vizion3d_ros.bag.writer import RecordedTopic
from vizion3d_ros.camera_topics import CameraTopics
from vizion3d_ros.settings import MonoFrameSettings, StereoFrameSettings

# A file of a recording: large enough that there are not too many, small enough that an end in the middle costs little.
_SEGMENT_BYTES = 512_000_000
_MOST_FRAMES = 128
_MOST_SEGMENTS = 500
# Bytes a pixel of each output, of pictures about; clouds by what is kept of their rows and columns.
_BYTES: dict[str, float] = {
    "depth/image_rect": 4,
    "depth/image_raw": 4,
    "disparity": 4,
    "confidence": 4,
    "occlusion": 4,
    "reason": 1,
    "inverse_depth": 4,
    "depth/sigma": 4,
    "depth/color": 3,
    "disparity/color": 3,
    "depth/color/compressed": 0.3,
    "disparity/color/compressed": 0.3,
    "depth/image_rect/compressedDepth": 1,
    "depth/image_raw/compressedDepth": 1,
}


@dataclass(frozen=True, eq=False)
class Job:
    """What is made of a recording.

    Attributes:
        inputs: the recording.
        cameras: one, or left and right.
        settings: of stereo or of mono.
        outputs: full topic by the relative one.
        copies: topics of the input that are written as well.
        topics: all that are written.
        storage, compress: see `SegmentWriter`.
        forms: of files instead of a recording, see `FileWriter`; none is a recording.
        pictures: what is read if it is no recording.
        plan: its frames.
        size_wh: of the images.
        segment_frames: frames of a segment.
    """

    inputs: tuple[Path, ...]
    cameras: tuple[CameraTopics, ...]
    settings: StereoFrameSettings | MonoFrameSettings
    outputs: dict[str, str]
    copies: tuple[str, ...]
    topics: tuple[RecordedTopic, ...]
    storage: str
    compress: bool
    plan: Plan
    size_wh: tuple[int, int]
    segment_frames: int
    forms: tuple[str, ...] = ()
    pictures: Pictures | None = None

    @property
    def frame_count(self) -> int:
        """Frames in all."""
        return len(self.plan.frames)

    @property
    def segment_count(self) -> int:
        """Segments in all."""
        return math.ceil(self.frame_count / self.segment_frames)

    def rows(self, segment: int) -> slice:
        """The frames of a segment."""
        return slice(segment * self.segment_frames, min((segment + 1) * self.segment_frames, self.frame_count))

    def copied_span_ns(self, segment: int) -> tuple[int | None, int | None]:
        """Between which log stamps messages are copied into a segment, the last one excluded; None is without end."""
        first, last = (
            int(self.plan.frames[row, 0, LOG]) if 0 < row < self.frame_count else end_ns
            for row, end_ns in zip((self.rows(segment).start, self.rows(segment).stop), self.plan.span_ns, strict=True)
        )
        return first, last

    def identity(self) -> dict[str, Any]:
        """All that decides about the bytes that are written, in JSON's values: equal for jobs whose segments go together."""
        values = {
            "inputs": [[path.name, _size(path)] for path in self.inputs],
            "cameras": self.cameras,
            "settings": dataclasses.asdict(self.settings),
            "outputs": self.outputs,
            "copies": self.copies,
            "copied_span_ns": self.plan.span_ns if self.copies else None,
            "storage": self.storage,
            "compress": self.compress,
            "forms": self.forms,
            "frames": self.frame_count,
            "frames_digest": self.plan.digest,
            "segment_frames": self.segment_frames,
        }
        return json.loads(json.dumps(values))


def bytes_a_frame(
    outputs: dict[str, str], settings: StereoFrameSettings | MonoFrameSettings, size_wh: tuple[int, int]
) -> dict[str, int]:
    """How large each output is, without compression."""
    width, height = size_wh
    step = settings.cloud_decimation
    sizes = {topic: round(_BYTES.get(topic, 0) * width * height) for topic in outputs}
    if "points2" in sizes:
        sizes["points2"] = 16 * math.ceil(width / step) * math.ceil(height / step)
    if settings.depth_encoding == "16UC1":
        sizes |= {topic: 2 * width * height for topic in sizes if topic in ("depth/image_rect", "depth/image_raw")}
    return sizes


def usual_segment_frames(frames: int, frame_bytes: int) -> int:
    """How many frames a file gets."""
    return max(1, min(_MOST_FRAMES, _SEGMENT_BYTES // max(1, frame_bytes)), math.ceil(frames / _MOST_SEGMENTS))


def _size(path: Path) -> int:
    return (
        sum(file.stat().st_size for file in sorted(path.iterdir()) if file.is_file()) if path.is_dir() else path.stat().st_size
    )
