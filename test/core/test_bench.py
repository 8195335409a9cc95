# SPDX-License-Identifier: Apache-2.0
"""The bench: everything in turn, ceilings as well, and numbers that are ratios of what was measured."""

from __future__ import annotations

import itertools
import json
import statistics
import sys
from pathlib import Path

import pytest
import torch

from vizion3d import cli
from vizion3d.bench import Case, ceilings, measure, model_cases, recommended, take_turns
from vizion3d.bench.report import Row

SIZE, CPU = (96, 64), torch.device("cpu")


def test_things_run_in_turn_after_each_has_run_once():
    order: list[str] = []
    clock = itertools.count()
    runs = {name: lambda name=name: order.append(name) for name in "ab"}
    times = take_turns(runs, 3, CPU, wall_clock=lambda: float(next(clock)))
    assert "".join(order) == "ab" + 3 * "ab"
    assert times == {"a": [1.0] * 3, "b": [1.0] * 3}


def test_ceilings_do_what_they_say():
    known = ceilings(CPU)
    assert known["mm"].run()[0, 0] == 2048 and known["mm"].amount == 2 * 2048**3
    assert known["memcpy"].run().sum() == known["memcpy"].amount


def test_ratios_are_those_of_the_medians_of_one_run(monkeypatch):
    monkeypatch.setattr("vizion3d.bench.ceiling._SIDE", 64)
    seen = {}

    def turns(runs, rounds, device):
        seen.update({name: [2.0 + index, 1.0 + index, 30.0] for index, name in enumerate(runs)})
        return seen

    monkeypatch.setattr("vizion3d.bench.report.take_turns", turns)
    cases = [
        Case("plain", lambda: None, ""),
        Case("ours", lambda: None, "plain"),
        Case("network", lambda: None, "mm", 2 * 2 * 64**3),
    ]
    report = measure(cases, SIZE, 3, CPU)
    median = {name: statistics.median(seconds) for name, seconds in seen.items()}
    plain, ours, network = report.rows
    assert plain.ceiling_s == 0 and ours.ratio == median["ours"] / median["plain"]
    assert network.ratio == median["network"] / (2 * median["mm"])
    assert report.rates["mm"] == 2 * 64**3 / median["mm"]
    found = json.loads(json.dumps(report.as_json()))
    assert found["rows"][1]["ratio"] == ours.ratio and found["rows"][0]["ratio"] is None
    assert {"device", "torch", "opencv", "vizion3d", "load", "threads"} <= found["machine"].keys()
    before = {"rows": [{"name": "ours", "ratio": 2 * ours.ratio}]}
    line = next(line for line in report.text(before).splitlines() if line.startswith("| ours"))
    assert line.split("|")[-2].strip() == "0.50"


def test_an_engine_is_recommended_that_gains_enough():
    rows = [
        Row(name, seconds, 0.0, "mm", 1.0, name, engine)
        for name, engine, seconds in (
            ("a", "eager", 2.0),
            ("a", "openvino", 1.5),
            ("a", "onnx", 1.6),
            ("b", "eager", 1.0),
            ("b", "onnx", 0.97),
            ("c", "eager", 1.0),
        )
    ]
    assert recommended([*rows, Row("a frame", 0.1, 0.0, "mm", 1.0, "a")]) == {"a": ("openvino", 0.75), "b": ("eager", 1.0)}


def test_the_work_of_a_network_is_counted_and_engines_that_are_not_built_are_named(s2m2_file, monkeypatch, tmp_path):
    monkeypatch.setenv("VIZION3D_MODEL_CACHE", str(tmp_path))
    cases, missing = model_cases(str(s2m2_file), SIZE, {"device": "cpu"}, ("eager", "openvino", "compile"))
    network, frame = cases
    assert missing == ["openvino", "compile"] and (network.engine, frame.engine) == ("eager", "")
    larger, _ = model_cases(str(s2m2_file), (192, 64), {"device": "cpu"})
    assert 1.9 < larger[0].amount / network.amount < 2.5
    assert network.ceiling == "mm" and network.run()[0].shape == (1, 1, 64, 96) and frame.run().shape == (64, 96)


def test_the_command_prints_a_table_and_compares(monkeypatch, tmp_path, capsys, s2m2_file):
    monkeypatch.setattr("vizion3d.bench.ceiling._SIDE", 64)
    monkeypatch.setenv("VIZION3D_MODEL_CACHE", str(tmp_path))
    file = tmp_path / "bench.json"
    arguments = ["bench", "sgbm", str(s2m2_file), "--size", "96x64", "--rounds", "1", "--engine", "all", "--device", "cpu"]
    assert cli.main([*arguments, "--json", str(file)]) == 0
    page = capsys.readouterr().out
    found = json.loads(file.read_text())
    names = [row["name"] for row in found["rows"]]
    assert names[1:] == [
        "sgbm frame",
        "depth, mask and cloud of a frame",
        "CH8NTR1.pth network, eager",
        "CH8NTR1.pth frame, eager",
    ]
    assert all(row["seconds"] > 0 for row in found["rows"])
    assert f"openvino has not been built: vizion3d engine build {s2m2_file} --size 96x64 --engine openvino" in page
    assert cli.main(["bench", "sgbm", "--size", "96x64", "--rounds", "1", "--compare", str(file)]) == 0
    assert "now : before" in capsys.readouterr().out
    for wrong, words in (
        (["--compare", __file__], "is no file that `vizion3d bench --json` has written"),
        (["--rounds", "0"], "--rounds is 0"),
        (["--ros", "--engine", "all"], "--ros measures one model with one engine"),
    ):
        assert cli.main(["bench", *wrong]) == 2
        assert words in capsys.readouterr().err


@pytest.mark.parametrize("size", ["640", "640*480", "x"])
def test_sizes_are_told(size, capsys):
    with pytest.raises(SystemExit):
        cli.main(["bench", "--size", size])
    assert "is no size; give WIDTHxHEIGHT in pixels" in capsys.readouterr().err


def test_targets_are_missed_or_not(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    from bench import __main__ as runner
    from bench.target import Target

    rows = [
        Target("a", "b", 1.5, 2.0, 1.0),
        Target("c", "b", 2.5, 2.0),
        Target("d", "b", 9.0),
        Target("e", "b", float("nan"), 1.0),
    ]
    assert [row.missed for row in rows] == [False, True, False, True]
    assert str(rows[1]) == "| c | b | 2 | 2.5 | – | missed |"
    module = type(sys)("bench.made_up")
    module.targets = lambda: iter(rows)
    monkeypatch.setitem(sys.modules, "bench.made_up", module)
    assert runner.main(["made_up"]) == 1 and runner.main(["target"]) == 0
    assert "| a | b | 2 | 1.5 | 1 |  |" in capsys.readouterr().out
