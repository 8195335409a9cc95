# SPDX-License-Identifier: Apache-2.0
"""Stereo and mono as one thing to a recording: messages to a frame, a frame to a prediction, and that to messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from vizion3d.bit_depth import Levels
from vizion3d.errors import Vizion3dError
from vizion3d.lifting import MonoDepthEstimator
from vizion3d.stereo import StereoDepthEstimator
from vizion3d.stereo.findings import Finding
from vizion3d_ros import mono_frames, stereo_frames
from vizion3d_ros.settings import MonoFrameSettings, StereoFrameSettings

Makers = dict[str, Callable[[], Any]]


class Pipeline(Protocol):
    """What is done to each frame; the node of the same kind does the same.

    Attributes:
        topics: what there will be, by relative name, with the class of its messages.
        views: what there can be besides, if it is asked for by name.
    """

    topics: dict[str, type]
    views: dict[str, type]

    def describe(self) -> str:
        """Model and device in one line."""

    def decode(self, messages: Sequence[Any]) -> Any:
        """A frame of the messages, image and CameraInfo of each camera in turn. Raises Vizion3dError."""

    def estimate(self, frame: Any) -> Any:
        """What is predicted of a frame. Raises Vizion3dError."""

    def outputs(self, prediction: Any, frame: Any) -> Makers:
        """What makes the message of each topic."""

    def faults(self, messages: Sequence[Any], frame: Any, prediction: Any) -> Sequence[Finding]:
        """What ruins the depth of a frame, or lacks for some output."""


class StereoPipeline:
    """See `Pipeline`."""

    def __init__(self, settings: StereoFrameSettings) -> None:
        self._settings = settings
        self._levels = Levels(settings)
        self._estimator = StereoDepthEstimator.open(settings.model, settings)
        self.topics = stereo_frames.topics(self._estimator.matcher)
        self.views = stereo_frames.VIEWS

    def describe(self) -> str:
        """See `Pipeline.describe`."""
        return self._estimator.describe()

    def decode(self, messages: Sequence[Any]) -> stereo_frames.StereoPair:
        """See `Pipeline.decode`."""
        return stereo_frames.decode(messages, self._levels, rectify=self._settings.rectify)

    def estimate(self, frame: stereo_frames.StereoPair) -> Any:
        """See `Pipeline.estimate`."""
        return self._estimator.estimate(frame.left, frame.right, frame.rig, frame.shown, **self._settings.matching())

    def outputs(self, prediction: Any, frame: stereo_frames.StereoPair) -> Makers:
        """See `Pipeline.outputs`."""
        return stereo_frames.outputs(prediction, frame, self._settings)

    def faults(self, messages: Sequence[Any], frame: stereo_frames.StereoPair, prediction: Any) -> Sequence[Finding]:
        """See `Pipeline.faults`."""
        return stereo_frames.check(messages, frame, prediction, self._settings, "give --rectify yes").faults


class MonoPipeline:
    """See `Pipeline`."""

    def __init__(self, settings: MonoFrameSettings) -> None:
        self._settings = settings
        self._levels = Levels(settings)
        try:
            self._estimator = MonoDepthEstimator.open(settings.model, settings, max_depth_m=settings.max_depth or None)
        except Vizion3dError as error:  # in the words of this door
            raise type(error)(str(error).replace("max_depth_m=", "max_depth=")) from None
        self.topics = mono_frames.OUTPUTS
        self.views = mono_frames.VIEWS

    def describe(self) -> str:
        """See `Pipeline.describe`."""
        return self._estimator.describe()

    def decode(self, messages: Sequence[Any]) -> mono_frames.MonoView:
        """See `Pipeline.decode`."""
        return mono_frames.decode(messages, self._levels)

    def estimate(self, frame: mono_frames.MonoView) -> Any:
        """See `Pipeline.estimate`."""
        camera = frame.camera(self._settings)
        self._estimator.require_camera(camera, frame.trouble(self._settings))
        return self._estimator.estimate(frame.rgb, camera)

    def outputs(self, prediction: Any, frame: mono_frames.MonoView) -> Makers:
        """See `Pipeline.outputs`."""
        return mono_frames.outputs(prediction, frame, self._settings)

    def faults(self, messages: Sequence[Any], frame: mono_frames.MonoView, prediction: Any) -> Sequence[Finding]:
        """See `Pipeline.faults`."""
        if trouble := frame.trouble(self._settings):
            return [Finding("warning", "camera_info", f"{trouble}: depth alone, no points and no camera_info")]
        if self._estimator.needs_camera and (trouble := frame.wide_lens(self._settings)):
            return [Finding("warning", "lens", trouble)]
        return []


def open_pipeline(settings: StereoFrameSettings | MonoFrameSettings) -> Pipeline:
    """The pipeline that these settings describe.

    Raises:
        WeightsError: there are no such weights, or they cannot be had or loaded.
    """
    return StereoPipeline(settings) if isinstance(settings, StereoFrameSettings) else MonoPipeline(settings)
