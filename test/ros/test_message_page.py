# SPDX-License-Identifier: Apache-2.0
"""docs/messages.md says something of every field of the messages it lists, and of no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("sensor_msgs.msg")
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from stereo_msgs.msg import DisparityImage

PAGE = (Path(__file__).parents[2] / "docs/messages.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", [Image, CameraInfo, DisparityImage, PointCloud2], ids=lambda kind: kind.__name__)
def test_every_field_is_told(kind):
    section = re.search(rf"## \w+/{kind.__name__}\n(.*?)(?=\n## |\Z)", PAGE, re.DOTALL)[1]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    told = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(told) == sorted(name.lower() for name in kind.get_fields_and_field_types())
