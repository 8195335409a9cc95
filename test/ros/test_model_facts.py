# SPDX-License-Identifier: Apache-2.0
"""What /diagnostics says of a model: these weights and no others, whose they are, and how they run."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
import yaml

from vizion3d.options import RobotMonoOptions, RobotStereoOptions
from vizion3d.weights import LocatedWeights, cache_path, integrity
from vizion3d_ros.model_facts import model_facts

CONFIG = Path(__file__).parents[2] / "config"


def test_a_file_of_ones_own(s2m2_file):
    facts = model_facts(RobotStereoOptions(model=str(s2m2_file), device="cpu"), is_metric=True)
    assert facts == {
        "model": "s2m2",
        "weights": str(s2m2_file),
        "weights sha256": hashlib.sha256(s2m2_file.read_bytes()).hexdigest(),
        "weights licence": "not known to vizion3d",
        "device": "cpu",
        "precision": "float32",
        "engine": "eager",
        "depth is": "metric",
    }


def test_the_nodes_of_a_process_read_a_file_once_for_its_digest(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(integrity, "sha256_of", lambda file: read.append(file) or hashlib.sha256(file.read_bytes()).hexdigest())
    path = tmp_path / "weights.pth"
    for content in (b"one", b"another"):
        path.write_bytes(content)
        for _ in range(3):
            assert LocatedWeights(path, "s2m2", None).sha256 == hashlib.sha256(content).hexdigest()
    assert read == [path, path]


def test_published_weights_by_name(vits_file, tmp_path, monkeypatch):
    monkeypatch.setenv("VIZION3D_MODEL_CACHE", str(tmp_path))
    monkeypatch.setenv("VIZION3D_OFFLINE", "1")
    place = cache_path("depth-anything-v2-small")
    place.parent.mkdir(exist_ok=True)
    os.link(vits_file, place)
    facts = model_facts(RobotMonoOptions(device="cpu"), is_metric=False)
    assert facts["model"] == "depth-anything-v2-small" and facts["weights licence"] == "Apache-2.0"
    assert facts["weights"] == str(place) and len(facts["weights sha256"]) == 64
    assert facts["depth is"] == "RELATIVE, not metres"


def test_no_weights():
    facts = model_facts(RobotStereoOptions(), is_metric=True)
    assert facts == {"model": "sgbm", "weights": "none", "device": "cpu", "depth is": "metric"}


@pytest.mark.parametrize("kind", ["stereo", "mono"])
@pytest.mark.parametrize("namespace", ["", "base/rear/"])
def test_the_aggregator_takes_the_names_of_both_nodes(kind, namespace):
    (analyzer,) = (
        value
        for value in yaml.safe_load((CONFIG / "diagnostics_aggregator.yaml").read_text())["analyzers"][
            "ros__parameters"
        ].values()
        if isinstance(value, dict)
    )
    assert any(text in f"{namespace}{kind}_depth_node: depth" for text in analyzer["contains"])
