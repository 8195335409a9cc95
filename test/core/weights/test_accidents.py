# SPDX-License-Identifier: Apache-2.0
"""Several processes at once, killed ones, and a really full disk."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from weights_server import BODY, HALF, Reply, Server, leftovers

import vizion3d
from vizion3d.errors import WeightsError
from vizion3d.weights import cache_path, resolve


def start_download(url: str) -> subprocess.Popen[str]:
    code = "import sys; from vizion3d.weights import resolve; print(resolve(sys.argv[1]))"
    root = str(Path(vizion3d.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, *sys.path])}
    return subprocess.Popen([sys.executable, "-c", code, url], stdout=subprocess.PIPE, text=True, env=environment)


def test_two_processes_at_once_fetch_once(server: Server) -> None:
    url = server.serve(Reply(pause_s=1.0))
    both = [start_download(url), start_download(url)]
    answers = [process.communicate(timeout=15)[0].strip() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert answers == [str(cache_path(url))] * 2
    assert cache_path(url).read_bytes() == BODY
    assert server.asked == [None]


def test_a_killed_download_leaves_no_lock_and_is_resumed(server: Server) -> None:
    url = server.serve(Reply(pause_s=30.0), Reply())
    part = cache_path(url).with_name("net.pth.part")
    process = start_download(url)
    deadline_s = time.monotonic() + 10
    while not (part.exists() and part.stat().st_size == HALF) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    process.kill()
    process.communicate(timeout=5)
    assert part.stat().st_size == HALF
    assert resolve(url).read_bytes() == BODY
    assert server.answered == [200, 206]


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache on a disk of 256 kB, which is less than BODY."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if sys.platform != "linux" or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small file system")
    monkeypatch.setenv("VIZION3D_MODEL_CACHE", str(disk))
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_foreseen(server: Server, small_disk: Path) -> None:
    url = server.serve(Reply())
    with pytest.raises(WeightsError, match=rf"disk is full: {len(BODY)} bytes needed in .*, \d+ bytes free"):
        resolve(url)
    assert leftovers(url) == set()


def test_a_disk_that_fills_up_meanwhile_keeps_the_part(server: Server, small_disk: Path) -> None:
    url = server.serve(Reply(length=False))
    with pytest.raises(WeightsError, match=r"disk is full: more than that needed in .*, \d+ bytes free"):
        resolve(url)
    assert leftovers(url) == {"net.pth.part", "net.pth.part.etag"}
    subprocess.run(["mount", "-o", "remount,size=1m", str(small_disk)], check=True)
    assert resolve(url).read_bytes() == BODY
    assert server.answered == [200, 206]
