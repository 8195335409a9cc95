# SPDX-License-Identifier: Apache-2.0
"""What is not collected where a package is missing."""

from __future__ import annotations

import importlib.util

import pytest

from vizion3d_ros import program

# Older pytest with the launch_testing plugin ends the whole session at a module that skips itself while it is imported.
collect_ignore = (
    [] if importlib.util.find_spec("rosbags") else ["test_bag_player.py", "test_recalibrate_recording.py", "test_recordings.py"]
)


@pytest.fixture(autouse=True)
def patient_end(monkeypatch):
    """A program that a test runs in this process must not end it, however slowly a busy machine destroys its node."""
    monkeypatch.setattr(program, "_END_TIMEOUT_S", 120.0)
