# SPDX-License-Identifier: Apache-2.0
"""Engines: built ahead for one size, compared with torch, found by those who load the network, replaced by torch if not."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from vizion3d import cli, runtime
from vizion3d.errors import DependencyError, EngineError, InputError
from vizion3d.lifting import DepthKind, MonoDepthEstimator, MonoPrediction
from vizion3d.networks import drawn_pair, open_subject
from vizion3d.runtime import built
from vizion3d.runtime.building import Difference, build_engine, compare
from vizion3d.stereo import StereoDepthEstimator

SIZE = (96, 64)


def needs(*packages: str) -> pytest.MarkDecorator:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")


ENGINES = [
    pytest.param("openvino", marks=needs("openvino", "onnx", "onnxscript")),
    pytest.param("onnx", marks=needs("onnxruntime", "onnx", "onnxscript")),
]


class Small(nn.Module):
    """A network of two inputs and two outputs."""

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        self.gain = gain
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.convolution = nn.Conv2d(6, 4, 3, padding=1)

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        maps = self.gain * self.convolution(torch.cat((left, right), 1))
        return maps, maps.mean(1)


def inputs(width: int = 24, height: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    left, right = torch.rand(2, 1, 3, height, width, generator=torch.Generator().manual_seed(5))
    return left, right


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path) -> Path:
    """An empty cache."""
    monkeypatch.setenv("VIZION3D_MODEL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def lines(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("vizion3d.runtime")]


@pytest.mark.parametrize("engine", ENGINES)
@torch.no_grad()
def test_what_is_built_runs_at_its_size_and_torch_at_others(engine, caplog):
    folder, differences = build_engine(Small(), inputs(), engine)
    assert folder.name == "24x16" and len(differences) == 2
    loaded = runtime.load(Small(), "cpu", engine=engine, model="small")
    assert loaded.describe() == f"cpu, float32, {engine} at 24x16" and loaded.built_size_wh == (24, 16)
    assert all(Difference.of(*pair).maximum < 1e-5 for pair in zip(loaded(*inputs()), Small()(*inputs()), strict=True))
    assert not lines(caplog)
    for _ in range(2):
        assert torch.equal(loaded(*inputs(32, 16))[0], runtime.load(Small(), "cpu")(*inputs(32, 16))[0])
    (line,) = lines(caplog)
    assert f"engine {engine} has been built for 24x16, not for 32x16; torch runs the network instead" in line
    assert f"vizion3d engine build small --engine {engine} --size 32x16" in line


@pytest.mark.parametrize("engine", ENGINES)
@torch.no_grad()
def test_an_engine_belongs_to_weights_settings_and_version(engine, caplog, monkeypatch):
    build_engine(Small(), inputs(), engine)
    other = Small()
    other.convolution.bias.data[0] += 1
    for network in (Small(gain=2.0), other):
        assert runtime.load(network, "cpu", engine=engine).describe() == "cpu, float32, eager"
    monkeypatch.setattr(built.engine_module(engine), "version", lambda: "another")
    assert runtime.load(Small(), "cpu", engine=engine).built_size_wh is None
    assert all("has not been built here for MODEL; torch runs the network" in line for line in lines(caplog))


@pytest.mark.parametrize("engine", ENGINES)
@torch.no_grad()
def test_an_engine_that_cannot_be_read_is_replaced_by_torch_in_one_line(engine, caplog):
    folder, _ = build_engine(Small(), inputs(), engine)
    for file in folder.glob("network.*"):
        file.write_bytes(b"damaged")
    loaded = runtime.load(Small(), "cpu", engine=engine)
    for _ in range(2):
        assert torch.equal(loaded(*inputs())[0], runtime.load(Small(), "cpu")(*inputs())[0])
    (line,) = lines(caplog)
    assert f"engine {engine} cannot be loaded from" in line and "--size 24x16" in line
    assert loaded.describe() == "cpu, float32, eager"


@torch.no_grad()
def test_an_engine_that_fails_at_work_is_replaced_by_torch(caplog, monkeypatch):
    def fail(*_: torch.Tensor) -> None:
        raise RuntimeError("out of memory\nand more")

    module = built.engine_module("compile")
    folder = built.engine_folder("compile", Small()) / "24x16"
    folder.mkdir(parents=True)
    (folder / built.RECORD).write_text(json.dumps({"one_output": False}))
    monkeypatch.setattr(module, "open_built", lambda *_: fail)
    loaded = runtime.load(Small(), "cpu", engine="compile")
    assert loaded.describe().endswith("compile at 24x16")
    for _ in range(2):
        assert torch.equal(loaded(*inputs())[0], runtime.load(Small(), "cpu")(*inputs())[0])
    (line,) = lines(caplog)
    assert "engine compile has failed at 24x16 (RuntimeError: out of memory); torch runs" in line
    assert loaded.describe() == "cpu, float32, eager"


def test_without_its_library_an_engine_is_refused_or_replaced(caplog, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    with pytest.raises(DependencyError, match="engine openvino cannot be built here"):
        build_engine(Small(), inputs(), "openvino")
    assert runtime.load(Small(), "cpu", engine="openvino").describe() == "cpu, float32, eager"
    assert "engine openvino is not installed" in lines(caplog)[0] and "pip install openvino" in lines(caplog)[0]
    with pytest.raises(InputError, match="what can be built is: openvino, compile, onnx"):
        build_engine(Small(), inputs(), "eager")


@torch.no_grad()
def test_other_numbers_than_those_of_torch_are_refused(monkeypatch, cache):
    module = built.engine_module("compile")
    monkeypatch.setattr(module, "build", lambda network, given, folder: None)
    off = 0.0
    monkeypatch.setattr(
        module, "open_built", lambda *_: lambda *given: [one + off * torch.rand(one.shape) for one in Small()(*given)]
    )
    build_engine(Small(), inputs(), "compile")
    off = 0.01
    with pytest.raises(
        EngineError, match="engine compile answers otherwise than torch: p50 .*must be within 0.0005 of the range"
    ):
        build_engine(Small(), inputs(), "compile")
    assert [path.name for path in cache.glob("engines/*/*")] == ["24x16"]  # the one before, nothing half done


def test_every_network_asks_for_its_engine(vits_file, da3_metric_file, s2m2_file, las2_file, caplog):
    """A line about what has not been built shows that the option has arrived."""
    for file in (vits_file, da3_metric_file, s2m2_file, las2_file):
        caplog.clear()
        (MonoDepthEstimator if file in (vits_file, da3_metric_file) else StereoDepthEstimator)(file, "cpu", engine="compile")
        assert f"engine compile has not been built here for {file}" in lines(caplog)[0]


def test_single_pixels_may_differ_and_missing_numbers_may_not():
    expected = torch.linspace(0, 10, 2000)
    found = expected.clone()
    found[7] += 5
    assert Difference.of(found, expected).p999 == 0 and Difference.of(found, expected).maximum == 5
    found[:100] = torch.nan
    assert Difference.of(found, expected).p999 == float("inf")
    assert Difference.of(found, found).maximum == 0


def test_what_was_frozen_while_tracing_is_seen():
    frozen = Small()(*inputs())
    assert compare(lambda *_: frozen, Small(), inputs())[0].p999 > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_a_stereo_network_answers_alike_at_every_door(engine, s2m2_file, tmp_path, caplog, capsys):
    frame, rig = drawn_pair(SIZE)
    assert cli.main(["engine", "build", str(s2m2_file), "--size", "96x64", "--engine", engine, "--device", "cpu"]) == 0
    assert "output 3 of 3 against torch: p50" in capsys.readouterr().out
    estimator = StereoDepthEstimator(s2m2_file, "cpu", engine=engine)
    assert estimator.describe().endswith(f"cpu, float32, {engine} at 96x64")
    estimator.warm_up()
    found = estimator.estimate(frame.left, frame.right, rig)
    expected = StereoDepthEstimator(s2m2_file, "cpu").estimate(frame.left, frame.right, rig)
    assert Difference.of(found.disparity_px, expected.disparity_px).p999 < 1e-3
    assert not lines(caplog)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_a_mono_network_answers_alike(engine, vits_file):
    options = {"device": "cpu", "input_size": 42}
    subject = open_subject(vits_file, SIZE, options)
    build_engine(subject.network, subject.inputs, engine)
    estimator = MonoDepthEstimator(vits_file, "cpu", input_size=42, engine=engine)
    height, width = subject.inputs[0].shape[-2:]
    assert estimator.describe().startswith(f"{vits_file.name} on cpu, float32, {engine} at {width}x{height}")
    image = drawn_pair(SIZE)[0].left
    found, expected = (one.estimate(image).output for one in (estimator, MonoDepthEstimator(vits_file, "cpu", input_size=42)))
    assert Difference.of(found, expected).maximum < 1e-4 * float(expected.max())


@pytest.mark.slow
@needs("onnx", "onnxruntime", "onnxscript")
def test_an_exported_network_is_one_file_that_answers_like_torch(s2m2_file, tmp_path, capsys):
    import onnxruntime

    file = tmp_path / "out" / "s2m2.onnx"
    file.parent.mkdir()
    assert cli.main(["export", str(s2m2_file), "--out", str(file), "--size", "96x64", "--device", "cpu"]) == 0
    assert [path.name for path in file.parent.iterdir()] == ["s2m2.onnx"]
    subject = open_subject(s2m2_file, SIZE, {"device": "cpu"})
    session = onnxruntime.InferenceSession(file)
    names = [node.name for node in session.get_inputs()]
    found = session.run(None, {name: one.numpy() for name, one in zip(names, subject.inputs, strict=True)})
    assert Difference.of(torch.from_numpy(found[0]), subject.network(*subject.inputs)[0]).p999 < 1e-3
    assert cli.main(["export", "sgbm", "--out", str(file), "--size", "96x64"]) == 2
    assert "sgbm has no network" in capsys.readouterr().err


@pytest.mark.parametrize("kind", DepthKind)
def test_what_follows_from_a_mono_map_asks_nothing_of_its_device(kind):
    """A meta tensor has no numbers: whoever asks for one, to decide on it or to pick by it, fails as a GPU would wait."""
    prediction = MonoPrediction(torch.empty(4, 6, device="meta"), kind, torch.empty(4, 6, dtype=torch.bool, device="meta"))
    assert prediction.depth_m.shape == prediction.inverse_depth.shape == (4, 6)
    assert prediction.points(torch.empty(4, 6, 2, device="meta")).shape == (4, 6, 3)


def test_a_frame_brings_no_constants_to_the_device_and_asks_it_nothing(vits_file, s2m2_file, las2_file):
    """A GPU would make each frame wait for both. Pictures are brought there, as bytes."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Operations(TorchDispatchMode):
        def __init__(self):
            super().__init__()
            self.count, self.waits = 0, []

        def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
            self.count += 1
            name = function.overloadpacket.__name__
            if name in ("_local_scalar_dense", "nonzero") or (name == "lift_fresh" and arguments[0].is_floating_point()):
                self.waits.append(name)
            return function(*arguments, **(keywords or {}))

    frame, rig = drawn_pair((100, 70))
    mono = MonoDepthEstimator(vits_file, "cpu", input_size=42)
    stereo = [StereoDepthEstimator(file, "cpu") for file in (s2m2_file, las2_file)]

    def estimate() -> None:
        assert mono.estimate(frame.left, rig.left).depth_m.shape == (70, 100)
        assert all(one.estimate(frame.left, frame.right, rig).depth_m.shape == (70, 100) for one in stereo)

    estimate()
    with Operations() as operations:
        estimate()
    assert operations.count > 100 and not operations.waits
