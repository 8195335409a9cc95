# SPDX-License-Identifier: Apache-2.0
"""Where files lie, and what is no file, name or address."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from weights_server import BODY, OTHER, Reply, Server

from vizion3d.errors import WeightsError
from vizion3d.weights import cache_dir, cache_path, resolve


def test_cache_folder_follows_the_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VIZION3D_MODEL_CACHE", "~/there")
    assert cache_dir() == tmp_path / "there"
    monkeypatch.setenv("VIZION3D_MODEL_CACHE", "")
    assert cache_dir() == tmp_path / ".cache/vizion3d/models"


def test_addresses_with_the_same_last_component_do_not_collide(server: Server) -> None:
    one = resolve(server.serve(Reply(BODY), path="/a/net.pth"))
    two = resolve(server.serve(Reply(OTHER), path="/b/net.pth"))
    assert one.name == two.name == "net.pth"
    assert (one.read_bytes(), two.read_bytes()) == (BODY, OTHER)


@pytest.mark.parametrize("tail", ["", "..", "%2e%2e%2f%2e%2e%2fetc", "a%20b%00.pth"])
def test_no_address_leads_out_of_the_cache(cache: Path, tail: str) -> None:
    path = cache_path(f"http://127.0.0.1/x/{tail}")
    assert path.resolve().parent.parent == cache.resolve()
    assert re.fullmatch(r"[\w.-]+", path.name)


def test_local_files_are_given_back_untouched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mine.pth"
    file.write_bytes(b"mine")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve(file) == resolve(str(file)) == resolve("~/mine.pth") == file
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("source", ["missing.pth", "folder/missing", Path("missing"), "file:///tmp/net.pth"])
def test_a_missing_local_file_is_named(source: str | Path) -> None:
    with pytest.raises(WeightsError, match=r"(missing|file:///tmp/net\.pth).* does not exist"):
        resolve(source)


def test_a_folder_is_not_a_weights_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="is a folder"):
        resolve(tmp_path)


def test_an_unusable_cache_folder_is_named(server: Server, cache: Path) -> None:
    cache.write_bytes(b"a file where a folder should be")
    with pytest.raises(WeightsError, match=r"cache folder cannot be used.*VIZION3D_MODEL_CACHE"):
        resolve(server.serve(Reply()))
