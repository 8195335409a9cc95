# SPDX-License-Identifier: Apache-2.0
"""The file of rigs: what it gives, and one clear sentence for every mistake in it. No ROS."""

from __future__ import annotations

from pathlib import Path

import pytest

from vizion3d.errors import InputError
from vizion3d_ros.rigs import read_rigs

EXAMPLE = Path(__file__).parents[2] / "config/rigs.yaml"


def read(tmp_path: Path, text: str):
    path = tmp_path / "rigs.yaml"
    path.write_text(text, encoding="utf-8")
    return read_rigs(path)


def test_the_example():
    file = read_rigs(EXAMPLE)
    front, rear, arm = file.rigs
    assert file.threads == 0
    assert [(rig.namespace, rig.node_name) for rig in file.rigs] == [
        ("/front", "stereo_depth_node"),
        ("/base/rear", "stereo_depth_node"),
        ("/arm", "mono_depth_node"),
    ]
    assert front.remappings["left/image_rect"] == "/front/left/image_rect"
    assert front.parameters == {"model": "sgbm", "z_far": 20.0}
    assert rear.parameters == {"model": "sgbm", "z_far": 20.0, "rectify": True, "sgbm.max_disparity": 96}
    assert arm.parameters == {"model": "depth-anything-v2-small"}


def test_groups_dots_and_what_belongs_to_rclpy(tmp_path):
    (rig,) = read(
        tmp_path,
        "rigs:\n  one:\n    kind: stereo\n    namespace: /\n    parameters:\n"
        "      sgbm.max_disparity: 64\n      use_sim_time: true\n"
        "      qos_overrides: {/left/image_rect: {subscription: {reliability: reliable}}}\n",
    ).rigs
    assert rig.namespace == "/"
    assert rig.parameters == {
        "sgbm.max_disparity": 64,
        "use_sim_time": True,
        "qos_overrides./left/image_rect.subscription.reliability": "reliable",
    }


def test_numbers_are_numbers_however_yaml_reads_them(tmp_path):
    (rig,) = read(tmp_path, STEREO % "parameters: {max_rate: 1e2, z_far: 20, sgbm: {max_disparity: 64}}").rigs
    assert rig.parameters == {"max_rate": 100.0, "z_far": 20.0, "sgbm.max_disparity": 64}
    assert isinstance(rig.parameters["z_far"], float)


STEREO = "rigs: {front: {kind: stereo, %s}}"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the file is None; it must be a mapping"),
        ("rig: {}", r"rig is not known; there are: rigs, threads; did you mean rigs\?"),
        ("threads: 1", "rigs is None; it must be a mapping"),
        ("rigs: {}", "rigs is empty"),
        ("rigs: [front]", r"rigs is \['front'\]; it must be a mapping"),
        ("rigs: {1: {kind: stereo}}", "of keys that are text"),
        ("rigs: {front: stereo}", "rigs.front is 'stereo'; it must be a mapping"),
        ("rigs: {front: {}}", "rigs.front.kind is None; it must be one of: stereo, mono"),
        ("rigs: {front: {kind: steroe}}", r"kind is 'steroe'; it must be one of: stereo, mono; did you mean stereo\?"),
        ("rigs: {front: {kind: [stereo]}}", r"kind is \['stereo'\]; it must be one of: stereo, mono"),
        ("rigs: {left__eye: {kind: mono}}", "namespace is 'left__eye'; it must be words of letters, digits and single _"),
        (STEREO % "parameters: &own {sgbm: *own}", "something in it is too deep, or in itself"),
        (STEREO % "parameters: {model: 2026-02-30}", "is not YAML: day is out of range"),
        (STEREO % "parameters: {use_sim_time: 'on'}", "parameters.use_sim_time is 'on'; it must be true or false"),
        (STEREO % "parameters: {qos_overrides: {/a: {depth: [5]}}}", r"depth is \[5\]; it must be text or true or false or"),
        (STEREO % "remapings: {}", r"rigs.front.remapings is not known; there are: kind, .*; did you mean remappings\?"),
        (STEREO % "namespace: a b", "rigs.front.namespace is 'a b'; it must be words"),
        (STEREO % "remappings: {left/image: /a}", r"remappings.left/image is not known.*did you mean left/image_r(ect|aw)\?"),
        (STEREO % "remappings: {left/image_rect: 7}", "remappings.left/image_rect is 7; it must be a topic"),
        (STEREO % "parameters: {z_fra: 7}", r"parameters.z_fra is not known; there are: model, .*did you mean z_far\?"),
        (STEREO % "parameters: {z_far: -1}", "rigs.front.parameters.z_far is -1.0; it must be from 0.001 to 100000 metres"),
        (STEREO % "parameters: {z_far:}", "parameters.z_far is None; it must be a number"),
        (STEREO % "parameters: {z_near: 9, z_far: 8}", "z_near must be the smaller one"),
        (STEREO % "parameters: {sgbm: {max: 3}}", r"parameters.sgbm.max is not known.*did you mean sgbm.max_disparity\?"),
        (STEREO % "parameters: {sgbm: {max_disparity: 1}, sgbm.max_disparity: 2}", "sgbm.max_disparity is there twice"),
        (STEREO % "parameters: {max_depth: 3}", "parameters.max_depth is not known"),
        (STEREO % "parameters: {threads: 3}", "threads is of the whole process; write it beside rigs"),
        ("threads: -1\nrigs: {front: {kind: stereo}}", "threads is -1; it must be from 0 to 1024"),
        (
            "rigs: {a: {kind: mono}, b: {kind: mono, namespace: /a}}",
            "rigs.b.namespace is /a, that of a; each needs one of its own",
        ),
        ("rigs:\n  a: {kind: mono}\n  a: {kind: stereo}", "line 3: a is there twice"),
        ("rigs: {front: {kind: stereo}", "is not the YAML that is needed: line 1: "),
        ("rigs: {front: *stereo}", "line 1: found undefined alias"),
        ("rigs: !!python/object:os.system {}", "line 1: could not determine a constructor"),
        ("rigs: {? {a: b} : c}", "is not the YAML that is needed: line 1: "),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path, text, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path / "rigs.yaml"))
    assert "\n" not in str(caught.value) and not str(caught.value).endswith(".")


def test_a_file_that_is_none(tmp_path):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_rigs(tmp_path / "absent.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="it is not UTF-8"):
        read_rigs(tmp_path / "binary.yaml")
    (tmp_path / "control.yaml").write_bytes(b"rigs: \x01")
    with pytest.raises(InputError, match="is not YAML: unacceptable character"):
        read_rigs(tmp_path / "control.yaml")
