# SPDX-License-Identifier: Apache-2.0
"""One dataclass owns the defaults; YAML and updates are derived from it."""

from __future__ import annotations

import dataclasses

import pytest
import yaml

from vizion3d.errors import InputError
from vizion3d.option_records import walk
from vizion3d_ros.parameters import check_qos, to_yaml, unknown, updated
from vizion3d_ros.settings import YAML_FILES, StereoSettings


def flat(values: dict, prefix: str = "") -> dict:
    """Nested values by dotted names, lists as tuples."""
    result = {}
    for name, value in values.items():
        result |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in result.items()}


@pytest.mark.parametrize("settings_type", YAML_FILES.values())
def test_yaml_reads_back_as_the_defaults_with_their_types(settings_type):
    values = flat(yaml.safe_load(to_yaml(settings_type))["/**"]["ros__parameters"])
    defaults = flat(dataclasses.asdict(settings_type()))
    assert values == defaults
    assert {name: type(value) for name, value in values.items()} == {n: type(v) for n, v in defaults.items()}


@pytest.mark.parametrize("settings_type", YAML_FILES.values())
def test_every_parameter_is_described_and_its_default_is_legal(settings_type):
    assert all(field.metadata["text"] for _, field in walk(settings_type))
    assert updated(settings_type(), {}) == settings_type()


@pytest.mark.parametrize("settings_type", YAML_FILES.values())
def test_changes_are_checked(settings_type):
    settings = settings_type()
    assert updated(settings, {"queue_size": 3, "use_sim_time": True}).queue_size == 3
    with pytest.raises(InputError, match=r"parameter queue_size is 0; it must be from 1 to 1000"):
        updated(settings, {"queue_size": 0})
    with pytest.raises(InputError, match=r'parameter depth_encoding is "x"; it must be one of: 32FC1, 16UC1'):
        updated(settings, {"depth_encoding": "x"})


def test_unknown_names_are_told_with_the_nearest():
    known = [name for name, _ in walk(StereoSettings)]
    near = {"zfar": "z_far", "modle": "model", "sgbm.max_disp": "sgbm.max_disparity", "max_disparity": "sgbm.max_disparity"}
    assert unknown(near, known) == [
        f"parameter {name} is not known and without effect; did you mean {right}?" for name, right in near.items()
    ]
    assert unknown(["qq"], ["z_far", "model"]) == ["parameter qq is not known and without effect; there are: z_far, model"]
    assert not unknown([*known, "use_sim_time", "qos_overrides./left/image_rect.subscription.reliability"], known)


@pytest.mark.parametrize(
    ("policy", "value", "sentence"),
    [
        ("reliability", "sure", "is 'sure'; it must be one of: system_default, reliable, best_effort"),
        ("durability", 1, "is 1; it must be one of: system_default, transient_local, volatile"),
        ("history", True, "is True; it must be one of: system_default, keep_last, keep_all"),
        ("depth", -3, "is -3; it must be a whole number from 1"),
        ("depth", "5", "is '5'; it must be a whole number from 1"),
    ],
)
def test_qos_that_cannot_be_is_refused_before_anybody_listens(policy, value, sentence):
    pytest.importorskip("rclpy", reason="rclpy is not installed")
    name = f"qos_overrides./left/image_rect.subscription.{policy}"
    with pytest.raises(InputError, match=f"parameter {name} {sentence}"):
        check_qos({name: value})
    check_qos({"qos_overrides./a.subscription.reliability": "RELIABLE", "qos_overrides./a.subscription.depth": 5})


def test_options_in_groups_have_dotted_names():
    settings = updated(StereoSettings(), {"sgbm.max_disparity": 64, "s2m2.max_size": [640, 480]})
    assert (settings.sgbm.max_disparity, settings.s2m2.max_size) == (64, (640, 480))
    with pytest.raises(InputError, match=r"parameter sgbm\.max_disparity is -1; it must be from 0 to 4096 pixels"):
        updated(settings, {"sgbm.max_disparity": -1})
    with pytest.raises(InputError, match=r"parameter s2m2\.max_size is \[640\]; it must be 2 numbers"):
        updated(settings, {"s2m2.max_size": [640]})
