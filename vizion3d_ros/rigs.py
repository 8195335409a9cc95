# SPDX-License-Identifier: Apache-2.0
"""The file of the rigs that share a process: which there are, where their topics are and what their parameters. No rclpy."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vizion3d.errors import InputError
from vizion3d.option_records import build, value_of, walk
from vizion3d.options import ProgramOptions
from vizion3d_ros import mono_frames, stereo_frames
from vizion3d_ros.parameters import OF_RCLPY
from vizion3d_ros.settings import CommonSettings, MonoSettings, StereoSettings

_SETTINGS: dict[str, type[CommonSettings]] = {"stereo": StereoSettings, "mono": MonoSettings}
_TOPICS = {
    "stereo": (*stereo_frames.INPUTS, *stereo_frames.RAW_INPUTS, *stereo_frames.OUTPUTS, *stereo_frames.VIEWS, "/diagnostics"),
    "mono": (*mono_frames.INPUTS, *mono_frames.OUTPUTS, *mono_frames.VIEWS, "/diagnostics"),
}
_TYPE_NAMES = {bool: "true or false", int: "a whole number", str: "text"}
_KEYS = ("kind", "namespace", "remappings", "parameters")
_NAME = re.compile(r"(?!.*__)[~/]?[A-Za-z_]\w*(/[A-Za-z_]\w*)*", re.ASCII)


@dataclass(frozen=True)
class Rig:
    """One camera or pair of cameras, and the node that looks through it.

    Attributes:
        name: in the file.
        kind: "stereo" or "mono".
        namespace: of the node, from the root.
        remappings: topic of the node -> topic.
        parameters: those that were given, by full name.
    """

    name: str
    kind: str
    namespace: str
    remappings: Mapping[str, str]
    parameters: Mapping[str, Any]

    @property
    def node_name(self) -> str:
        """That of the node when it is alone in its process."""
        return f"{self.kind}_depth_node"


@dataclass(frozen=True)
class RigFile:
    """What is in such a file."""

    rigs: tuple[Rig, ...]
    threads: int
    """Of the whole process, see `ProgramOptions`."""


def read_rigs(path: str | Path) -> RigFile:
    """Read a file of rigs and check all that can be known without ROS.

    Raises:
        InputError: it cannot be read, or something in it is not known, not legal or there twice.
    """
    try:
        content = yaml.load(Path(path).read_text(encoding="utf-8"), _UniqueKeys)
        return _rig_file(_mapping("the file", content))
    except (OSError, UnicodeError) as error:
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}") from None
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise InputError(f"{path} is not the YAML that is needed: {line}{error.problem}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except RecursionError:
        raise InputError(f"{path} is not the YAML that is needed: something in it is too deep, or in itself") from None
    except ValueError as error:  # of a date that there is not
        raise InputError(f"{path} is not YAML: {error}") from None


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a key that is there twice is a mistake, as the standard has it, and not the last one's."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key, _ in node.value:
            if (key.tag, key.value if isinstance(key, yaml.ScalarNode) else id(key)) in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} is there twice", key.start_mark)
            seen.add((key.tag, key.value if isinstance(key, yaml.ScalarNode) else id(key)))
        return super().construct_mapping(node, deep)


def _rig_file(content: dict[str, Any]) -> RigFile:
    _check_known("", content, ("rigs", "threads"))
    rigs = tuple(_rig(name, _mapping(f"rigs.{name}", rig)) for name, rig in _mapping("rigs", content.get("rigs")).items())
    if not rigs:
        raise InputError("rigs is empty; it must have a key for each rig, for example front: {kind: stereo}")
    nodes: dict[tuple[str, str], str] = {}
    for rig in rigs:
        if other := nodes.get((rig.namespace, rig.node_name)):
            raise InputError(f"rigs.{rig.name}.namespace is {rig.namespace}, that of {other}; each needs one of its own")
        nodes[rig.namespace, rig.node_name] = rig.name
    return RigFile(rigs, build(ProgramOptions, {"threads": content.get("threads", 0)}).threads)


def _rig(name: str, given: dict[str, Any]) -> Rig:
    where = f"rigs.{name}"
    _check_known(f"{where}.", given, _KEYS)
    kind = given.get("kind")
    if kind not in tuple(_SETTINGS):  # which may be of any type
        raise InputError(f"{where}.kind is {kind!r}; it must be one of: {', '.join(_SETTINGS)}{_hint(kind, _SETTINGS)}")
    namespace = given.get("namespace", name)
    if not (namespace == "/" or (isinstance(namespace, str) and _NAME.fullmatch(namespace) and namespace[0] != "~")):
        raise InputError(
            f"{where}.namespace is {namespace!r}; it must be words of letters, digits and single _, such as /robot/front"
        )
    remappings = _mapping(f"{where}.remappings", given.get("remappings", {}))
    _check_known(f"{where}.remappings.", remappings, _TOPICS[kind])
    for topic, target in remappings.items():
        if not (isinstance(target, str) and _NAME.fullmatch(target)):
            raise InputError(f"{where}.remappings.{topic} is {target!r}; it must be a topic, such as /camera/left/image_rect")
    parameters = _flat(_mapping(f"{where}.parameters", given.get("parameters", {})))
    parameters = _checked_parameters(f"{where}.parameters.", parameters, _SETTINGS[kind])
    return Rig(name, kind, f"/{namespace.strip('/')}", remappings, parameters)


def _checked_parameters(where: str, given: dict[str, Any], settings: type[CommonSettings]) -> dict[str, Any]:
    """Those of rclpy as they are, the others as the type that they have: YAML makes text of 1e3."""
    if "threads" in given:
        raise InputError(f"{where}threads is of the whole process; write it beside rigs, as threads")
    own = {name: value for name, value in given.items() if not name.startswith(OF_RCLPY)}
    _check_known(where, own, [name for name, _ in walk(settings)])
    for name, value in given.items():
        types = (str, bool, int) if name.startswith("qos_overrides.") else (bool,)
        if name not in own and not isinstance(value, types):
            raise InputError(f"{where}{name} is {value!r}; it must be {' or '.join(_TYPE_NAMES[one] for one in types)}")
    try:
        built = build(settings, own)
    except InputError as error:
        raise InputError(f"{where}{error}") from None
    values = {name: value_of(built, name) for name in own}
    return given | {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _check_known(where: str, given: Collection[Any], known: Collection[str]) -> None:
    for key in given:
        if key not in known:
            raise InputError(f"{where}{key} is not known; there are: {', '.join(known)}{_hint(key, known)}")


def _hint(word: Any, known: Collection[str]) -> str:
    near = difflib.get_close_matches(str(word), known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _mapping(where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise InputError(f"{where} is {value!r:.60}; it must be a mapping, KEY: VALUE in each line, of keys that are text")
    return value


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Groups as names with dots, as ROS has them."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        new = _flat(_mapping(name, value), f"{name}.") if isinstance(value, dict) else {name: value}
        if twice := flat.keys() & new.keys():
            raise InputError(f"parameters.{min(twice)} is there twice")
        flat |= new
    return flat
