# SPDX-License-Identifier: Apache-2.0
"""Fetching, trusting and reading weights: real http servers on this machine, real processes, a really full disk."""

import argparse
import hashlib
import http.server
import logging
import os
import pickle
import re
import select
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from email.message import Message
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

import vizion3d
import vizion3d.cli.weights as cli
from vizion3d.errors import WeightsError
from vizion3d.weights import cache_dir, cache_path, download, find, integrity, match, read_state_dict, registry, resolve
from vizion3d.weights import verify as verify_weights

BODY = bytes(range(256)) * 1200  # 300 kB: several reads long
OTHER = BODY[::-1]
HALF = len(BODY) // 2


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Reply:
    """How the server answers one request."""

    body: bytes = BODY
    status: int = 200
    etag: str | None = '"one"'
    headers: dict[str, str] = field(default_factory=dict)
    cut_at: int | None = None  # byte of the file before which the connection closes
    pause_s: float = 0.0  # in the middle of the file
    ranges: bool = True
    if_range: bool = True
    length: bool = True


class Server(http.server.ThreadingHTTPServer):
    """Answers each path with its scripted replies, the last one for ever, and remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: dict[str, list[Reply]] = {}
        self.asked: list[str | None] = []  # the Range of each request
        self.answered: list[int] = []

    def serve(self, *replies: Reply, path: str = "/files/net.pth") -> str:
        self.script[path] = list(replies)
        return f"http://127.0.0.1:{self.server_address[1]}{path}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # A client that hangs up or is killed is part of the tests.


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        replies = self.server.script[self.path.split("?")[0]]
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        start, status = 0, reply.status
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = not reply.if_range or self.headers.get("If-Range") == reply.etag
        if wanted and reply.ranges and same and status == 200:
            start = int(wanted[1])
            status = 206 if start < len(reply.body) else 416
        self.server.asked.append(self.headers.get("Range"))
        self.server.answered.append(status)
        self.send_response(status)
        if reply.etag:
            self.send_header("ETag", reply.etag)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(reply.body) - 1}/{len(reply.body)}")
        if reply.length:
            self.send_header("Content-Length", str(len(reply.body) - start))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        middle = max(start, len(reply.body) // 2)
        end = len(reply.body) if reply.cut_at is None else reply.cut_at
        self.wfile.write(reply.body[start : min(middle, end)])
        if reply.pause_s:
            self.wfile.flush()
            time.sleep(reply.pause_s)
        self.wfile.write(reply.body[middle:end])

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def servers() -> Iterator[Callable[[], Server]]:
    started: list[Server] = []

    def start() -> Server:
        server = Server()
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.fixture
def server(servers: Callable[[], Server]) -> Server:
    return servers()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIZION3D_MODEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("VIZION3D_OFFLINE", raising=False)
    monkeypatch.setattr(download, "RETRY_WAIT_S", 0.01)
    return tmp_path / "cache"


def leftovers(url: str) -> set[str]:
    """Names in the folder of that address, without the lock, which always stays."""
    return {path.name for path in cache_path(url).parent.iterdir()} - {"net.pth.lock"}


# --- registry -------------------------------------------------------------------------------------------------------


def test_names_and_addresses_are_unique_and_addresses_are_https() -> None:
    records = registry.RECORDS
    assert len({record.name for record in records}) == len({record.url for record in records}) == len(records) == 18
    for record in records:
        assert record.url.startswith("https://")
        assert record.url.endswith("/" + record.file_name)


def test_only_what_its_authors_give_away_without_a_question_is_for_commercial_use() -> None:
    assert [record.name for record in registry.RECORDS if record.commercial_use == "yes"] == ["depth-anything-v2-small"]
    unclear = {record.name for record in registry.RECORDS if record.commercial_use == "unclear"}
    metric = {f"depth-anything-v2-metric-{place}-small" for place in ("indoor", "outdoor")}
    assert unclear == metric | {"las2-s", "las2-m", "las2-l"}
    for record in registry.RECORDS:
        assert (record.licence == "CC-BY-NC-4.0") == (record.commercial_use == "no")
        assert record.basis and record.sha256 is None, "nobody has fetched one yet"


def test_metric_records_know_their_scale() -> None:
    scales = {record.name: record.max_depth_m for record in registry.RECORDS}
    for name, max_depth_m in scales.items():
        assert max_depth_m == (20.0 if "indoor" in name else 80.0 if "outdoor" in name else None)
    indoor = find("depth-anything-v2-metric-indoor-base")
    assert indoor.url == (
        "https://huggingface.co/depth-anything/Depth-Anything-V2-Metric-Hypersim-Base/resolve/main/"
        "depth_anything_v2_metric_hypersim_vitb.pth"
    )


def test_records_that_share_a_file_name_agree_on_everything_a_file_name_can_tell() -> None:
    for one in registry.RECORDS:
        for two in registry.RECORDS:
            if one.file_name == two.file_name:
                assert replace(one, name="", url="", notes="") == replace(two, name="", url="", notes="")


@pytest.mark.parametrize(
    ("typo", "meant"),
    [("depth-anything-v2-smal", "depth-anything-v2-small"), ("S2M2-L", "s2m2-l"), ("s2m2l", "s2m2-l")],
)
def test_a_typo_is_answered_with_the_name_that_was_meant(typo: str, meant: str) -> None:
    with pytest.raises(WeightsError, match=f"{typo}.*did you mean.*{meant}.*Known names: depth-anything-v2-small, "):
        resolve(typo)


@pytest.mark.parametrize(
    "source",
    [
        "s2m2-l",
        "https://huggingface.co/minimok/s2m2/resolve/main/CH256NTR3.pth?download=true",
        "https://mirror.example/CH256NTR3.pth#top",
        "/data/CH256NTR3.pth",
        "C:\\data\\CH256NTR3.pth",
        Path("CH256NTR3.pth"),
    ],
)
def test_a_record_is_known_by_name_address_and_file_name(source: str | Path) -> None:
    assert match(source) == find("s2m2-l")


def test_nothing_is_known_about_a_strange_file() -> None:
    assert match("/data/mine.pth") is None


def test_the_default_address_of_vizion3d_is_a_known_record() -> None:
    address = "https://github.com/OlafenwaMoses/vizion3D/releases/download/essentials-v1/depth_anything_v2_vitb.pth"
    assert match(address) == find("vizion3d-depth-anything-v2-vitb")
    assert cache_path(address) == cache_path("vizion3d-depth-anything-v2-vitb")
    assert cache_path(address) != cache_path("depth-anything-v2-base"), "same file name, other place"


# --- where things lie -----------------------------------------------------------------------------------------------


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


# --- download -------------------------------------------------------------------------------------------------------


def test_a_file_is_fetched_once_and_sealed(server: Server) -> None:
    url = server.serve(Reply())
    seen: list[tuple[int, int | None]] = []
    file = resolve(url, progress=lambda done, total: seen.append((done, total)))
    assert file.read_bytes() == BODY
    assert leftovers(url) == {"net.pth", "net.pth.sha256"}
    assert (file.parent / "net.pth.sha256").read_text().startswith(f"{sha256(BODY)}  net.pth\n")
    assert seen[0] == (0, len(BODY)) and seen[-1] == (len(BODY), len(BODY)) and seen == sorted(seen)
    assert resolve(url) == file
    assert server.asked == [None]


def test_a_broken_connection_is_resumed_where_it_broke(server: Server) -> None:
    url = server.serve(Reply(cut_at=HALF), Reply())
    assert resolve(url).read_bytes() == BODY
    assert server.asked == [None, f"bytes={HALF}-"]
    assert server.answered == [200, 206]


def test_a_later_call_resumes_what_an_earlier_one_left(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    url = server.serve(Reply(cut_at=HALF), Reply())
    with pytest.raises(WeightsError, match=f"closed after {HALF} of {len(BODY)} bytes"):
        resolve(url)
    assert leftovers(url) == {"net.pth.part", "net.pth.part.etag"}
    assert resolve(url).read_bytes() == BODY
    assert server.answered == [200, 206]
    assert leftovers(url) == {"net.pth", "net.pth.sha256"}


def test_last_modified_does_where_there_is_no_etag(server: Server) -> None:
    stamp = {"Last-Modified": "Mon, 02 Mar 2026 10:00:00 GMT"}
    url = server.serve(Reply(cut_at=HALF, etag=None, headers=stamp), Reply(etag=None, headers=stamp, if_range=False))
    assert resolve(url).read_bytes() == BODY
    assert server.answered == [200, 206]


@pytest.mark.parametrize("tag", [None, 'W/"weak"'])
def test_without_a_strong_tag_the_file_is_fetched_anew(server: Server, tag: str | None) -> None:
    url = server.serve(Reply(OTHER, cut_at=HALF, etag=tag), Reply(etag=tag))
    assert resolve(url).read_bytes() == BODY
    assert server.asked == [None, None]


def test_a_server_that_ignores_range_is_heard_from_the_beginning(server: Server) -> None:
    url = server.serve(Reply(cut_at=HALF), Reply(ranges=False))
    assert resolve(url).read_bytes() == BODY
    assert server.answered == [200, 200]


def test_a_file_that_changed_on_the_server_is_not_mixed(server: Server) -> None:
    url = server.serve(Reply(cut_at=HALF), Reply(OTHER, etag='"two"'))
    assert resolve(url).read_bytes() == OTHER
    assert server.answered == [200, 200]


def test_nor_is_it_if_the_server_ignores_if_range(server: Server) -> None:
    url = server.serve(Reply(cut_at=HALF), Reply(OTHER, etag='"two"', if_range=False))
    assert resolve(url).read_bytes() == OTHER
    assert server.answered == [200, 206, 200]


def test_a_shrunken_file_is_fetched_anew(server: Server) -> None:
    url = server.serve(Reply(cut_at=HALF), Reply(b"short", if_range=False))
    assert resolve(url).read_bytes() == b"short"
    assert server.answered == [200, 416, 200]


def test_a_connection_that_always_breaks_gives_up(server: Server) -> None:
    url = server.serve(Reply(cut_at=HALF, ranges=False))
    with pytest.raises(WeightsError, match=f"failed {download.ATTEMPTS} times.*{HALF} of {len(BODY)} bytes"):
        resolve(url)
    assert len(server.asked) == download.ATTEMPTS
    assert "net.pth" not in leftovers(url)


def test_a_silent_server_is_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "TIMEOUT_S", 0.2)
    monkeypatch.setattr(download, "ATTEMPTS", 2)
    with pytest.raises(WeightsError, match=r"failed 2 times.*timed out"):
        resolve(server.serve(Reply(pause_s=1.5, etag=None)))


def test_a_stumbling_server_is_asked_again(server: Server) -> None:
    assert resolve(server.serve(Reply(status=503), Reply(status=429), Reply())).read_bytes() == BODY


@pytest.mark.parametrize(("status", "words"), [(404, "404 Not Found"), (403, "403 Forbidden")])
def test_a_refusal_is_final_and_says_what_to_do(server: Server, status: int, words: str) -> None:
    url = server.serve(Reply(status=status))
    with pytest.raises(WeightsError) as caught:
        resolve(url)
    for part in (words, f"  bring the file:     {url}", str(cache_path(url))):
        assert part in str(caught.value)
    assert "weights get" not in str(caught.value)  # which would fail again
    assert len(server.asked) == 1
    assert leftovers(url) == set()


def test_no_server_at_all(server: Server) -> None:
    server.server_close()
    with pytest.raises(WeightsError, match=r"failed 4 times.*[Rr]efused"):
        resolve(server.serve(Reply()))


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(b"<html>Log in</html>", headers={"Content-Type": "text/html; charset=utf-8"}), "a web page"),
        (Reply(b""), "sent 0 bytes where some were announced"),
        (Reply(headers={"X-Linked-Size": "1000"}), f"sent {len(BODY)} bytes where 1000 were announced"),
        (Reply(headers={"X-Linked-Size": "400000"}, etag=None), f"closed after {len(BODY)} of 400000 bytes"),
        (Reply(headers={"X-Linked-Etag": f'"{sha256(OTHER)}"'}), f"sha256 is {sha256(BODY)}, expected {sha256(OTHER)}"),
        (Reply(etag=f'"{sha256(OTHER)}"', headers={"X-Repo-Commit": "0" * 40}), f"expected {sha256(OTHER)}"),
    ],
)
def test_what_is_not_the_file_is_not_kept_as_the_file(server: Server, reply: Reply, words: str) -> None:
    url = server.serve(reply)
    with pytest.raises(WeightsError, match=words):
        resolve(url)
    assert leftovers(url) == ({"net.pth.part", "net.pth.part.etag"} if "closed" in words else set())
    server.serve(Reply(), path="/files/net.pth")
    assert resolve(url).read_bytes() == BODY, "the failure must not poison the next try"


def test_64_hex_digits_of_an_ordinary_server_are_no_digest(server: Server) -> None:
    assert resolve(server.serve(Reply(etag=f'"{sha256(OTHER)}"'))).read_bytes() == BODY


def test_digest_and_size_of_a_hub_are_honoured_across_hosts(servers: Callable[[], Server]) -> None:
    hub, store = servers(), servers()
    target = store.serve(Reply(cut_at=HALF), Reply(), Reply(OTHER, etag='"two"'))
    linked = {"Location": target, "X-Linked-Size": str(len(BODY)), "X-Linked-Etag": f'"{sha256(BODY)}"'}
    hop = Reply(b"", status=302, etag=f'"{sha256(OTHER)}"', headers=linked)
    assert resolve(hub.serve(hop)).read_bytes() == BODY
    assert store.answered == [200, 206], "the range goes along with the redirect"
    with pytest.raises(WeightsError, match=f"expected {sha256(BODY)}"):
        resolve(hub.serve(hop, path="/again/net.pth"))


def test_a_redirect_never_leaves_https() -> None:
    request = urllib.request.Request("https://hub.example/net.pth")
    for target in ("http://store.example/net.pth", "ftp://store.example/net.pth"):
        with pytest.raises(WeightsError, match=f"from https to {target.partition(':')[0]}"):
            download._Redirects().redirect_request(request, BytesIO(), 302, "Found", Message(), target)


# --- several at once, and accidents ---------------------------------------------------------------------------------


def start_download(url: str) -> "subprocess.Popen[str]":
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


# --- offline and licences -------------------------------------------------------------------------------------------


def test_offline_never_asks_the_network(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    url = server.serve(Reply())
    with pytest.raises(WeightsError, match="offline mode is on"):
        resolve(url, offline=True)
    monkeypatch.setenv("VIZION3D_OFFLINE", "1")
    with pytest.raises(
        WeightsError, match=r"(?s)offline.*VIZION3D_OFFLINE=0 vizion3d weights get s2m2-s\n.*resolve/main/CH128NTR1.pth\n"
    ):
        resolve("s2m2-s")
    assert server.asked == []
    resolve(url, offline=False)
    assert resolve(url).read_bytes() == BODY


@pytest.mark.parametrize("value", ["", "0", "false", "no"])
def test_offline_can_be_switched_off(server: Server, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("VIZION3D_OFFLINE", value)
    assert resolve(server.serve(Reply())).read_bytes() == BODY


def test_a_file_brought_by_hand_to_the_place_named_is_used_offline() -> None:
    with pytest.raises(WeightsError) as caught:
        resolve("s2m2-s", offline=True)
    place = Path(str(caught.value).rpartition("to this place:")[2].strip())
    place.parent.mkdir(parents=True)
    place.write_bytes(BODY)
    assert resolve("s2m2-s", offline=True) == place


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, **changes: Any) -> None:
    """Let the registry say something else about one name."""
    changed = tuple(replace(r, **changes) if r.name == name else r for r in registry.RECORDS)
    monkeypatch.setattr(registry, "RECORDS", changed)


def test_licence_is_told_once(server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="vizion3d")
    for name, level, words in (
        ("s2m2-s", logging.WARNING, "CC-BY-NC-4.0, for NON-COMMERCIAL use only"),
        ("depth-anything-v2-base", logging.WARNING, "NON-COMMERCIAL"),
        ("las2-s", logging.WARNING, "MIT, commercial use is UNCLEAR: the authors' page tags the weights MIT"),
        ("depth-anything-v2-small", logging.INFO, "Apache-2.0"),
    ):
        stand_in(monkeypatch, name, url=server.serve(Reply(), path=f"/{name}"))
        caplog.clear()
        resolve(name)
        told = [record for record in caplog.records if words in record.getMessage()]
        assert [record.levelno for record in told] == [level]
        caplog.clear()
        resolve(name)
        assert not caplog.records


def test_the_digest_of_the_registry_counts(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    url = server.serve(Reply(headers={"X-Linked-Etag": f'"{sha256(BODY)}"'}))
    stand_in(monkeypatch, "s2m2-s", url=url, sha256=sha256(OTHER))
    with pytest.raises(WeightsError, match=f"sha256 is {sha256(BODY)}, expected {sha256(OTHER)}"):
        resolve("s2m2-s")
    stand_in(monkeypatch, "s2m2-s", sha256=sha256(BODY))
    file = resolve("s2m2-s")
    stand_in(monkeypatch, "s2m2-s", sha256=sha256(OTHER))
    with pytest.raises(WeightsError, match=re.escape(str(file))):
        resolve("s2m2-s")


# --- trust on first use ---------------------------------------------------------------------------------------------


def test_a_tampered_file_is_caught_and_can_be_accepted_on_purpose(server: Server) -> None:
    url = server.serve(Reply())
    file = resolve(url)
    file.write_bytes(OTHER)
    with pytest.raises(WeightsError, match=f"sha256 is {sha256(OTHER)}, expected {sha256(BODY)}.*delete .*sha256"):
        resolve(url)
    integrity.seal_path(file).unlink()
    assert resolve(url) == file


def test_tampering_under_the_same_size_and_time_is_caught_by_verify(server: Server) -> None:
    url = server.serve(Reply())
    file = resolve(url)
    stamp = file.stat()
    assert verify_weights(url) == file
    file.write_bytes(OTHER)
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    with pytest.raises(WeightsError, match=f"sha256 is {sha256(OTHER)}"):
        verify_weights(url)


def test_a_touched_file_is_hashed_once_more_and_sealed_anew(server: Server) -> None:
    url = server.serve(Reply())
    file = resolve(url)
    os.utime(file, ns=(0, 0))
    resolve(url)
    seal = integrity.read_seal(file)
    assert seal is not None and seal.mtime_ns == 0 and seal.untouched(file)


def test_a_damaged_record_is_no_first_use(server: Server) -> None:
    url = server.serve(Reply())
    seal = integrity.seal_path(resolve(url))
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
    file = resolve(server.serve(Reply()))
    try:
        done = subprocess.run(["sha256sum", "-c", "net.pth.sha256"], cwd=file.parent, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("sha256sum is not installed")
    assert (done.returncode, done.stdout) == (0, b"net.pth: OK\n")


# --- progress -------------------------------------------------------------------------------------------------------


def bar_text(server: Server, monkeypatch: pytest.MonkeyPatch, reply: Reply) -> str:
    controller, terminal = os.openpty()
    with os.fdopen(terminal, "w") as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        resolve(server.serve(reply))
        stream.flush()
        text = ""
        while not text.endswith("\n") and select.select([controller], [], [], 2.0)[0]:
            text += os.read(controller, 10_000).decode()
    os.close(controller)
    return text


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs pseudo-terminals")
def test_a_terminal_gets_a_bar(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bar_text(server, monkeypatch, Reply()).endswith(" 100 % of 0.3 MB\r\n")


def test_anything_else_gets_none(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("vizion3d").addHandler(quiet := logging.NullHandler())
    try:
        resolve(server.serve(Reply()))
    finally:
        logging.getLogger("vizion3d").removeHandler(quiet)
    assert capfd.readouterr() == ("", "")


# --- command line ---------------------------------------------------------------------------------------------------


def run_cli(*words: str) -> int:
    parser = argparse.ArgumentParser()
    cli.add_parser(parser.add_subparsers())
    arguments = parser.parse_args(["weights", *words])
    code: int = arguments.run(arguments)
    return code


def test_cli_list_fits_a_terminal_and_shows_what_is_cached(capsys: pytest.CaptureFixture[str]) -> None:
    cache_path("s2m2-s").parent.mkdir(parents=True)
    cache_path("s2m2-s").write_bytes(BODY)
    assert run_cli("list") == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line for line in lines[1:19]}
    assert list(rows) == [record.name for record in registry.RECORDS]
    assert max(map(len, rows.values())) <= 80
    assert re.fullmatch(r"s2m2-s +106.0 MB\* +CC-BY-NC-4.0 +no +yes", rows["s2m2-s"])
    assert re.fullmatch(r"depth-anything-v2-small +99.1 MB\* +Apache-2.0 +yes +no", rows["depth-anything-v2-small"])
    assert any(re.match(r"unclear +las2-s and 2 more: the authors' page tags the weights MIT", line) for line in lines)


def test_cli_get_goes_on_after_a_failure(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    url = server.serve(Reply())
    assert run_cli("get", "s2m3", url) == 1
    out, err = capsys.readouterr()
    assert out == f"{cache_path(url)}\n"
    assert "No weights are named 's2m3'" in err
    assert run_cli("get", url) == 0


def test_cli_path_tells_the_place_before_and_after(capsys: pytest.CaptureFixture[str]) -> None:
    place = cache_path("s2m2-s")
    assert run_cli("path", "s2m2-s") == 1
    out, err = capsys.readouterr()
    assert out == f"{place}\n" and "vizion3d weights get s2m2-s" in err
    place.parent.mkdir(parents=True)
    place.write_bytes(BODY)
    assert run_cli("path", "s2m2-s") == 0


def test_cli_verify(server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "s2m2-s", url=server.serve(Reply()))
    monkeypatch.setattr(cli, "RECORDS", registry.RECORDS)
    assert run_cli("verify") == 0, "nothing cached, nothing wrong"
    assert run_cli("verify", "s2m2-s") == 1
    assert "is not in the cache" in capsys.readouterr().err
    file = resolve("s2m2-s")
    assert run_cli("verify") == 0
    assert capsys.readouterr().out == f"s2m2-s: ok, {file} (0.3 MB)\n"
    file.write_bytes(OTHER)
    assert run_cli("verify") == 1


def test_cli_without_an_action_is_a_wrong_command_line() -> None:
    with pytest.raises(SystemExit, match="2"):
        run_cli()


# --- reading --------------------------------------------------------------------------------------------------------


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (str(self.marker), "w")


@pytest.mark.parametrize("wrapped", [False, True])
def test_tensors_are_read_with_and_without_a_wrapper(tmp_path: Path, wrapped: bool) -> None:
    import torch

    tensors = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2, dtype=torch.float16)}
    file = tmp_path / "net.pth"
    torch.save({"state_dict": tensors, "epoch": 3} if wrapped else tensors, file)
    read = read_state_dict(file)
    assert list(read) == list(tensors)
    assert all(torch.equal(read[key], tensors[key]) and read[key].dtype == tensors[key].dtype for key in tensors)


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle", "blank then zip"])
def test_code_in_a_file_is_refused_and_not_run(tmp_path: Path, form: str) -> None:
    import torch

    marker, file = tmp_path / "ran", tmp_path / "net.pth"
    content = {"weight": torch.ones(2), "more": Bomb(marker)}
    if form == "pickle":
        file.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, file, _use_new_zipfile_serialization=form != "legacy")
    if form == "blank then zip":
        file.write_bytes(b"\n" + file.read_bytes())
    with pytest.raises(WeightsError, match="holds code" if form == "zip" else "is not a checkpoint") as caught:
        read_state_dict(file)
    assert not marker.exists()
    assert "weights_only" not in str(caught.value) and caught.value.__suppress_context__ == (form == "zip")
    pickle.loads(pickle.dumps(content))
    assert marker.exists(), "the bomb must be live for this test to mean something"


def test_what_is_not_a_checkpoint_is_called_by_its_name(tmp_path: Path) -> None:
    import torch

    whole = BytesIO()
    torch.save({"weight": torch.ones(5000)}, whole)
    for content, words in (
        (b"", "is empty"),
        (whole.getvalue()[:9000], "is cut short: it ends after 9000 bytes"),
        (b"\n  <!DOCTYPE html><title>404</title>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "is a git-lfs pointer"),
        (b"\x00" * 4000, "is not a checkpoint"),
    ):
        file = tmp_path / "net.pth"
        file.write_bytes(content)
        with pytest.raises(WeightsError, match=f"net.pth {words}"):
            read_state_dict(file)


def test_a_damaged_archive_is_called_damaged(tmp_path: Path) -> None:
    import torch

    file = tmp_path / "net.pth"
    torch.save({"weight": torch.ones(50)}, file)
    file.write_bytes(file.read_bytes().replace(b"data.pkl", b"dota.pkl"))
    with pytest.raises(WeightsError, match="is damaged and cannot be read"):
        read_state_dict(file)


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
    import torch

    torch.save(content, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=words):
        read_state_dict(tmp_path / "net.pth")


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"Cannot read the weights file .*net.pth: No such file"):
        read_state_dict(tmp_path / "net.pth")


def test_importing_the_weights_package_does_not_load_torch() -> None:
    root = str(Path(vizion3d.__file__).parents[1])
    code = "import sys, vizion3d.weights, vizion3d.cli.weights; sys.exit('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, *sys.path])}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


def test_cli_verify_online_fetches_compares_and_loads(
    server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, las2_file: Path
) -> None:
    body = las2_file.read_bytes()
    url = server.serve(Reply(body))
    stand_in(monkeypatch, "las2-s", url=url, sha256_begins=sha256(body)[:12])
    assert run_cli("verify", "--online", "las2-s") == 0
    out = capsys.readouterr().out
    assert f"las2-s: ok, {cache_path('las2-s')} (24.4 MB)" in out and f"sha256='{sha256(body)}'" in out
    stand_in(monkeypatch, "las2-s", sha256_begins="0" * 12)
    assert run_cli("verify", "--online", "las2-s") == 1
    assert "which others report to begin with 000000000000" in capsys.readouterr().err
    assert server.answered == [200], "what is there is not fetched again"


def test_cli_verify_online_refuses_a_file_that_is_no_such_network(
    server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, "las2-m", url=server.serve(Reply(BODY)), sha256_begins="")
    assert run_cli("verify", "--online", "las2-m") == 1
    assert "is not a checkpoint" in capsys.readouterr().err
