# SPDX-License-Identifier: Apache-2.0
"""Digests: as published, or on first use."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from weights_server import BODY, OTHER, Reply, Server, sha256

from vizion3d.errors import WeightsError
from vizion3d.weights import cache_path, integrity, resolve
from vizion3d.weights import verify as verify_weights


def first_use(url: str) -> Path:
    """Fetch a file and let it have loaded."""
    file = resolve(url)
    integrity.record(file)
    return file


def test_a_tampered_file_is_caught_and_can_be_accepted_on_purpose(server: Server) -> None:
    url = server.serve(Reply())
    file = first_use(url)
    file.write_bytes(OTHER)
    with pytest.raises(WeightsError, match=f"sha256 is {sha256(OTHER)}, expected {sha256(BODY)}.*delete its record .*sha256"):
        resolve(url)
    integrity.seal_path(file).unlink()
    assert resolve(url) == file


def test_tampering_under_the_same_size_and_time_is_caught_by_verify(server: Server) -> None:
    url = server.serve(Reply())
    file = first_use(url)
    stamp = file.stat()
    assert verify_weights(url) == file
    file.write_bytes(OTHER)
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    with pytest.raises(WeightsError, match=f"sha256 is {sha256(OTHER)}"):
        verify_weights(url)


def test_a_touched_file_is_hashed_once_more_and_sealed_anew(server: Server) -> None:
    url = server.serve(Reply())
    file = first_use(url)
    os.utime(file, ns=(0, 0))
    resolve(url)
    seal = integrity.read_seal(file)
    assert seal is not None and seal.mtime_ns == 0 and seal.untouched(file)


def test_a_damaged_record_is_no_first_use(server: Server) -> None:
    url = server.serve(Reply())
    seal = integrity.seal_path(first_use(url))
    seal.write_bytes(seal.read_bytes()[:30])
    with pytest.raises(WeightsError, match="is damaged"):
        resolve(url)


def test_a_read_only_cache_needs_no_record() -> None:
    file = cache_path("s2m2-s")
    file.parent.mkdir(parents=True)
    file.write_bytes(BODY)
    file.parent.chmod(0o555)
    try:
        if os.access(file.parent, os.W_OK):
            pytest.skip("this user may write anywhere")
        assert resolve("s2m2-s") == file
        with pytest.raises(WeightsError, match=r"cache folder cannot be used.*Permission denied"):
            file.parent.parent.chmod(0o555)
            resolve("s2m2-m")
    finally:
        file.parent.parent.chmod(0o755)
        file.parent.chmod(0o755)


def test_the_record_can_be_checked_with_sha256sum(server: Server) -> None:
    file = first_use(server.serve(Reply()))
    try:
        done = subprocess.run(["sha256sum", "-c", "net.pth.sha256"], cwd=file.parent, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("sha256sum is not installed")
    assert (done.returncode, done.stdout) == (0, b"net.pth: OK\n")
