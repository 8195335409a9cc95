# SPDX-License-Identifier: Apache-2.0
"""Tests over DDS may be run again.

Fast DDS 3.2 sometimes deadlocks in a process that starts while another one is being discovered (its event thread and its
receiving thread wait for each other). That process then stays deaf, whatever runs in it.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

# Older pytest with the launch_testing plugin ends the whole session at a module that skips itself while it is imported.
collect_ignore = [] if importlib.util.find_spec("rosbags") else ["test_bag_player.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in Path(str(item.fspath)).parents:
            item.add_marker(pytest.mark.flaky(reruns=2))
