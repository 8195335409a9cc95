# SPDX-License-Identifier: Apache-2.0
"""docs/messages.md says something of every field of the messages it lists, and of no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("sensor_msgs.msg")
from sensor_msgs.msg import CameraInfo, PointCloud2
from stereo_msgs.msg import DisparityImage

PAGE = (Path(__file__).parents[2] / "docs/messages.md").read_text(encoding="utf-8")
# Said in the text: what the numbers are.
NOT_IN_TABLES = {"data"}


@pytest.mark.parametrize(
    ("kind", "topic"), [(CameraInfo, "depth/camera_info"), (DisparityImage, "disparity"), (PointCloud2, "points2")]
)
def test_every_field_is_told_and_no_other(kind, topic):
    fields = {name.lower() for name in kind.get_fields_and_field_types()}
    own, common = table_of(topic), table_of("In all of them")
    assert own and own <= fields
    assert fields - NOT_IN_TABLES <= own | common


def table_of(heading: str) -> set[str]:
    """Names in the first column of a section, "header" of `header.stamp`."""
    section = re.search(rf"## {heading}\n(.*?)(?=\n## |\Z)", PAGE, re.DOTALL)[1]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`(\w+)", row)}
