# SPDX-License-Identifier: Apache-2.0
"""The door of frames as a program without rclpy, and messages as plain values.

Each pickle that comes in holds the kind ("stereo" or "mono"), the input messages and options by name; the one that goes out
for it holds the fields of each output message by topic.
"""

from __future__ import annotations

import os
import pickle
import struct
import sys
from typing import Any


def fields_of(message: Any) -> dict[str, Any]:
    """The fields of a message as they are sent: nested dicts, lists, numbers, texts and bytes."""
    return {name: _as_sent(getattr(message, name), kind) for name, kind in message.get_fields_and_field_types().items()}


def _as_sent(value: Any, kind: str) -> Any:
    if kind in ("float", "double"):
        return struct.pack("f" if kind == "float" else "d", value)
    if hasattr(value, "get_fields_and_field_types"):
        return fields_of(value)
    if isinstance(value, (list, tuple)):
        return [_as_sent(item, "") for item in value]
    return value.tobytes() if hasattr(value, "tobytes") else value


def main() -> None:
    sys.modules["rclpy"] = None  # type: ignore[assignment]
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what is printed must not come between the answers
    import torch

    torch.set_num_threads(1)
    while True:
        try:
            question = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        pickle.dump(outputs_of(*question), answers)
        answers.flush()


def outputs_of(kind: str, messages: list[Any], options: dict[str, Any]) -> dict[str, Any]:
    """What the frame functions make of messages."""
    from vizion3d.lifting import MonoDepthEstimator
    from vizion3d.option_records import build
    from vizion3d.stereo import StereoDepthEstimator
    from vizion3d_ros import mono_frames, stereo_frames
    from vizion3d_ros.settings import MonoFrameSettings, StereoFrameSettings

    if kind == "stereo":
        settings = build(StereoFrameSettings, options)
        pair = stereo_frames.decode(messages, rectify=settings.rectify)
        estimator = StereoDepthEstimator.open(settings.model, settings)
        prediction = estimator.estimate(pair.left, pair.right, pair.rig, pair.shown, **settings.matching())
        makers = stereo_frames.outputs(prediction, pair, settings)
    else:
        settings = build(MonoFrameSettings, options)
        view = mono_frames.decode(messages)
        mono = MonoDepthEstimator.open(settings.model, settings, max_depth_m=settings.max_depth or None)
        makers = mono_frames.outputs(mono.estimate(view.rgb, view.camera(settings)), view, settings)
    return {topic: fields_of(make()) for topic, make in makers.items()}


if __name__ == "__main__":
    main()
