# SPDX-License-Identifier: Apache-2.0
"""Every option is written down once; at every door it has that name, that default and that range."""

from __future__ import annotations

import argparse
import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from vizion3d import options
from vizion3d.cli import mono, stereo
from vizion3d.cli.flags import in_flags, read_options
from vizion3d.errors import InputError
from vizion3d.lifting import DepthEstimationAdvanceConfig, DepthEstimationCommand, MonoDepthEstimator
from vizion3d.option_records import Options, build, flag_of, opening_part, value_of, walk, without_effect
from vizion3d.options import RobotMonoOptions, RobotStereoOptions, StereoOptions
from vizion3d.stereo import StereoDepthAdvancedConfig, StereoDepthCommand, StereoDepthEstimator
from vizion3d_ros.parameters import updated
from vizion3d_ros.settings import MonoSettings, StereoSettings

ROOT = Path(__file__).parents[2]
KINDS = [RobotStereoOptions, RobotMonoOptions]
COMMANDS = {RobotStereoOptions: (stereo, ["l", "r", "--calib", "c"]), RobotMonoOptions: (mono, ["image"])}
SETTINGS = {RobotStereoOptions: StereoSettings, RobotMonoOptions: MonoSettings}
CONFIGURATIONS = {RobotStereoOptions: StereoDepthAdvancedConfig, RobotMonoOptions: DepthEstimationAdvanceConfig}
# What the Python commands have under another name or with another default, because they keep to vizion3D's page;
# rectified is no distortion there.
ELSEWHERE_IN_PYTHON = {"model", "max_depth", "threads", "rectified"}
PAGE_DEFAULTS = {"scale_factor": None, "cloud_edge_filter": False}


def parse(kind: type[Options], *flags: str) -> Options:
    """The record that the command makes of flags."""
    module, required = COMMANDS[kind]
    parser = argparse.ArgumentParser()
    module.add_parser(parser.add_subparsers())
    return read_options(parser.parse_args([module.__name__.rpartition(".")[2], *required, *flags]), kind)


def another_value(field: dataclasses.Field):
    """A legal value that is not the default."""
    kind, default = field.metadata["kind"], field.default
    if kind is bool:
        return not default
    if kind is str:
        return (field.metadata["choices"] or ("", "other"))[1]
    if kind is tuple:
        return tuple(number + place for place, number in enumerate(default, 1))
    return kind(default + field.metadata["limits"][1]) / 2 if kind is float else default + 1


@pytest.mark.parametrize("kind", KINDS)
def test_defaults_are_the_same_at_every_door(kind):
    defaults = {name: field.default for name, field in walk(kind)}
    assert {name: value_of(parse(kind), name) for name in defaults} == defaults
    assert {name: value_of(SETTINGS[kind](), name) for name in defaults} == defaults
    expected = {**defaults, **{name: value for name, value in PAGE_DEFAULTS.items() if name in defaults}}
    python = CONFIGURATIONS[kind]()
    for name in defaults.keys() - ELSEWHERE_IN_PYTHON:
        assert value_of(python, name) == expected[name], name


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in KINDS for name, _ in walk(kind)])
def test_a_value_arrives_from_every_door(kind, name):
    field = dict(walk(kind))[name]
    value = another_value(field)
    wanted = build(kind, {name: value})
    assert wanted != kind()
    words = [flag_of(name), *(map(str, value) if isinstance(value, tuple) else [str(value)])]
    if isinstance(value, bool):
        words = [flag_of(name) if value else f"--no-{flag_of(name)[2:]}"]
    assert parse(kind, *words) == wanted
    ros_value = list(value) if isinstance(value, tuple) else value
    assert value_of(updated(SETTINGS[kind](), {name: ros_value}), name) == value
    if name not in ELSEWHERE_IN_PYTHON:
        assert value_of(build(CONFIGURATIONS[kind], {name: value}), name) == value


@pytest.mark.parametrize(
    ("kind", "name", "limit"),
    [(k, n, limit) for k in KINDS for n, f in walk(k) if f.metadata["limits"] for limit in f.metadata["limits"]],
)
def test_limits_are_legal_and_what_lies_beyond_is_refused_with_its_name(kind, name, limit):
    field = dict(walk(kind))[name]
    beyond = limit - 1 if limit == field.metadata["limits"][0] else limit + 1
    legal, illegal = (((number,) * 2 if field.metadata["kind"] is tuple else number) for number in (limit, beyond))
    assert value_of(build(kind, {name: legal}), name) == legal
    with pytest.raises(InputError, match=rf"^{name} is .*must be from .* to .*{field.metadata['unit']}$"):
        build(kind, {name: illegal})


@pytest.mark.parametrize("value", [True, False])
def test_yes_and_no_may_be_text(value):
    assert value_of(build(KINDS[0], {"cloud_edge_filter": str(value)}), "cloud_edge_filter") is value


def test_wrong_types_are_refused():
    for name, value, text in (
        ("z_far", "far", "z_far is 'far'; it must be a number"),
        ("sgbm.max_disparity", 1.5, "sgbm.max_disparity is 1.5; it must be a whole number"),
        ("cloud_edge_filter", 1, "cloud_edge_filter is 1; it must be true or false"),
        ("device", 3, "device is 3; it must be text"),
        ("s2m2.max_size", "960x540", r"s2m2.max_size is '960x540'; it must be 2 numbers, for example \(960, 540\)"),
    ):
        with pytest.raises(InputError, match=text):
            build(StereoOptions, {name: value})
    with pytest.raises(InputError, match=r"sgbm is \{'max_disparity': 64\}; a SgbmOptions is needed"):
        StereoOptions(sgbm={"max_disparity": 64})


def test_the_two_default_models_stand_where_they_belong():
    assert options.PAGE_STEREO_MODEL == StereoDepthCommand("l", "r").model_backend == "s2m2-s"
    assert options.ROBOT_STEREO_MODEL == StereoSettings().model == parse(RobotStereoOptions).model == "sgbm"
    assert StereoDepthEstimator().matcher.name == "sgbm"
    assert options.MONO_MODEL == DepthEstimationCommand("room.png").model_backend == MonoSettings().model
    assert MonoDepthEstimator.__init__.__defaults__[0] == options.MONO_MODEL


def test_only_options_that_are_fixed_while_something_runs_decide_what_is_opened():
    asked = build(StereoOptions, {"z_far": 3.0, "sgbm.max_disparity": 64, "s2m2.refine_iterations": 1, "device": "cpu"})
    opening = opening_part(asked, StereoOptions)
    assert opening == build(StereoOptions, {"s2m2.refine_iterations": 1, "device": "cpu"})


def test_options_of_other_models_are_named_with_the_legal_ones():
    asked = build(StereoOptions, {"sgbm.max_disparity": 64, "z_far": 3.0})
    assert without_effect(asked, "sgbm") == ""
    assert without_effect(asked, "s2m2") == (
        "sgbm.max_disparity is 64 without effect: s2m2 is running, whose own options are "
        "s2m2.max_size, s2m2.refine_iterations, s2m2.positivity"
    )


def test_options_know_no_torch_and_no_numpy():
    script = "import sys, vizion3d.options; assert not {'torch', 'numpy', 'cv2'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("use input_size=392 or less", "use --input-size 392 or less"),
        ("pass max_depth_m=20 (hypersim) or max_depth_m=80.", "pass --max-depth 20 (hypersim) or --max-depth 80."),
        ("to fix that: image_bits 12", "to fix that: --image-bits 12"),
        ("(to fix that: image_range [0, 900])", "(to fix that: --image-range 0 900)"),
        ("say image_range: [darkest, brightest], and", "say --image-range darkest brightest, and"),
        ("s2m2.max_size is (1, 2); each", "--s2m2-max-size is (1, 2); each"),
        ("there is no file a/image_bits/z_far.png", "there is no file a/image_bits/z_far.png"),
        ("the model of that device", "the model of that device"),
    ],
)
def test_texts_name_options_as_the_command_has_them(text, expected):
    assert in_flags(text) == expected
