# SPDX-License-Identifier: Apache-2.0
"""`vizion3d bench --ros` with a real node and a real camera."""

from __future__ import annotations

import json

import pytest

from vizion3d import cli
from vizion3d.errors import InputError

pytest.importorskip("rclpy", reason="rclpy is not installed")


def test_a_node_is_measured_from_outside(tmp_path, capsys):
    file = tmp_path / "node.json"
    command = ["bench", "--ros", "sgbm", "--size", "96x64", "--rate", "20", "--seconds", "1.5", "--json", str(file)]
    assert cli.main(command) == 0
    found, page = json.loads(file.read_text()), capsys.readouterr().out
    assert found["sent"] >= found["arrived"] > 0
    assert found["arrived_hz"] == found["arrived"] / found["seconds"]
    ranks = found["stamp_to_arrival_ms"]
    assert 0 < ranks["p50"] <= ranks["p95"] <= ranks["p99"]
    assert {"decode", "estimate", "publish"} <= found["stages_ms"].keys() and found["node"].startswith("sgbm")
    assert f"throughput: {found['arrived_hz']:.2f} Hz" in page and "| estimate |" in page


def test_a_node_that_gives_nothing_is_told(monkeypatch):
    from vizion3d_ros.commands import bench

    monkeypatch.setattr(bench, "_START_TIMEOUT_S", 0.0)
    monkeypatch.setattr(bench, "_commands", lambda *_: [])
    with pytest.raises(InputError, match="0 pairs were sent and 0 depth images came"):
        bench.measure_node("sgbm", (96, 64), 5.0, 1.0, {})
