# SPDX-License-Identifier: Apache-2.0
"""Reading weights files: every form that people have, and nothing that hides in one."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
import torch
from weights_server import BODY

import vizion3d
from vizion3d.errors import DependencyError, WeightsError
from vizion3d.weights import read_state_dict

OLD = torch.__version__ < "2.6"
REFUSALS = {"zip": "holds code", "legacy": "cannot read safely" if OLD else "holds code"}
DAMAGED = r"holds code, not only tensors \(or is damaged\)" if OLD else "is damaged and cannot be read"


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (str(self.marker), "w")


@pytest.mark.parametrize("wrapped", [False, True])
def test_tensors_are_read_with_and_without_a_wrapper(tmp_path: Path, wrapped: bool) -> None:
    tensors = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2, dtype=torch.float16)}
    file = tmp_path / "net.pth"
    torch.save({"state_dict": tensors, "epoch": 3} if wrapped else tensors, file)
    read = read_state_dict(file)
    assert list(read) == list(tensors)
    assert all(torch.equal(read[key], tensors[key]) and read[key].dtype == tensors[key].dtype for key in tensors)


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle", "blank then zip"])
def test_code_in_a_file_is_refused_and_not_run(tmp_path: Path, form: str) -> None:
    marker, file = tmp_path / "ran", tmp_path / "net.pth"
    content = {"weight": torch.ones(2), "more": Bomb(marker)}
    if form == "pickle":
        file.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, file, _use_new_zipfile_serialization=form != "legacy")
    if form == "blank then zip":
        file.write_bytes(b"\n" + file.read_bytes())
    with pytest.raises(WeightsError, match=REFUSALS.get(form, "is not a checkpoint")) as caught:
        read_state_dict(file)
    assert not marker.exists()
    assert "weights_only" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None  # torch's advice is not shown either
    pickle.loads(pickle.dumps(content))
    assert marker.exists(), "the bomb must be live for this test to mean something"


def test_what_is_not_a_checkpoint_is_called_by_its_name(tmp_path: Path) -> None:
    whole = BytesIO()
    torch.save({"weight": torch.ones(5000)}, whole)
    for content, words in (
        (b"", "is empty"),
        (whole.getvalue()[:9000], "is cut short: it ends after 9000 bytes"),
        (b"\n  <!DOCTYPE html><title>404</title>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "is a git-lfs pointer"),
        (b'{"error": "quota"}', 'is text, not weights: it begins \'{"error": "quota"}\''),
        (b"\x1f\x8b" + b"\x00" * 50, "is compressed by gzip"),
        (b"\x00" * 4000, "is not a checkpoint"),
    ):
        file = tmp_path / "net.pth"
        file.write_bytes(content)
        with pytest.raises(WeightsError, match=f"net.pth {words}"):
            read_state_dict(file)


def test_a_damaged_archive_is_called_damaged(tmp_path: Path) -> None:
    file = tmp_path / "net.pth"
    torch.save({"weight": torch.ones(50)}, file)
    whole = file.read_bytes()
    file.write_bytes(whole.replace(b"data.pkl", b"dota.pkl"))
    with pytest.raises(WeightsError, match="is a zip archive that torch.save did not write"):
        read_state_dict(file)
    file.write_bytes(whole.replace(b"data/0", b"dota/0"))
    with pytest.raises(WeightsError, match=DAMAGED):
        read_state_dict(file)


def test_a_torchscript_program_is_not_run(tmp_path: Path) -> None:
    file = tmp_path / "net.pth"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(2)), file)
    with pytest.raises(WeightsError, match="is a TorchScript program, not weights"):
        read_state_dict(file)


def test_nobody_is_told_to_delete_a_file_of_his_own(tmp_path: Path, cache: Path) -> None:
    for folder, advice in ((tmp_path, "give the original file"), (cache, "delete it and fetch or copy it again")):
        folder.mkdir(exist_ok=True)
        file = folder / "net.pth"
        for content in (b"", b"text", BODY[:5000], *([] if OLD else [BODY.replace(b"data/0", b"dota/0")])):
            file.write_bytes(content)
            with pytest.raises(WeightsError, match=f"{advice}$"):
                read_state_dict(file)


TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "model.", "_orig_mod.module.", "module._orig_mod.", "model.module."]
)
def test_the_prefixes_of_wrappers_come_off(tmp_path: Path, prefix: str) -> None:
    torch.save({prefix + name: tensor for name, tensor in TENSORS.items()}, tmp_path / "net.pth")
    assert list(read_state_dict(tmp_path / "net.pth")) == list(TENSORS)


def test_a_prefix_that_only_some_names_have_stays(tmp_path: Path) -> None:
    mixed = {"model.weight": torch.ones(2), "loss.weight": torch.ones(2)}
    torch.save(mixed, tmp_path / "net.pth")
    assert list(read_state_dict(tmp_path / "net.pth")) == list(mixed)


@pytest.mark.parametrize("key", ["model", "state_dict", "model_state_dict"])
def test_tensors_are_found_beside_optimizer_and_epoch(tmp_path: Path, key: str) -> None:
    network = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.ones(3)).sum().backward()
    optimizer.step()
    wrapped = {"module." + name: tensor for name, tensor in network.state_dict().items()}
    best = {"d1": 0.7, "abs_rel": torch.tensor(0.2)}
    torch.save({key: wrapped, "optimizer": optimizer.state_dict(), "epoch": 3, "previous_best": best}, tmp_path / "net.pth")
    read = read_state_dict(tmp_path / "net.pth")
    assert list(read) == ["weight", "bias"] and torch.equal(read["weight"], network.weight.detach())


@pytest.mark.parametrize("mapped", [False, True])
def test_what_torch_saved_before_1_6_is_read_where_that_is_safe(tmp_path: Path, mapped: bool) -> None:
    file = tmp_path / "net.pth"
    torch.save(TENSORS, file, _use_new_zipfile_serialization=False)
    if OLD:
        with pytest.raises(WeightsError, match="cannot read safely: install torch 2.6"):
            read_state_dict(file, mapped=mapped)
        return
    assert torch.equal(read_state_dict(file, mapped=mapped)["a.weight"], TENSORS["a.weight"])


def test_safetensors_are_read(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.torch")
    file = tmp_path / "net.safetensors"
    library.save_file({"module." + name: tensor for name, tensor in TENSORS.items()}, file)
    read = read_state_dict(file)
    assert read.keys() == TENSORS.keys() and torch.equal(read["a.weight"], TENSORS["a.weight"])
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(WeightsError, match="is damaged and cannot be read"):
        read_state_dict(file)


def test_without_the_library_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    (tmp_path / "net.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    with pytest.raises(DependencyError, match="pip install safetensors"):
        read_state_dict(tmp_path / "net.safetensors")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([1, 2], "holds a list, not a mapping"),
        ({}, "holds a dict, not a mapping"),
        ({"weight": 1.5}, "a float under the key 'weight'"),
        ({"state_dict": {"weight": "x"}}, "a str under the key 'weight'"),
    ],
)
def test_only_a_mapping_of_tensors_will_do(tmp_path: Path, content: object, words: str) -> None:
    torch.save(content, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=words):
        read_state_dict(tmp_path / "net.pth")


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"cannot read the weights file .*net.pth: No such file"):
        read_state_dict(tmp_path / "net.pth")


def test_importing_the_weights_package_does_not_load_torch() -> None:
    root = str(Path(vizion3d.__file__).parents[1])
    code = "import sys, vizion3d.weights, vizion3d.cli.weights; sys.exit('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, *sys.path])}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
