# SPDX-License-Identifier: Apache-2.0
"""Fetching one file: real http servers on this machine."""

from __future__ import annotations

import gzip
import urllib.request
from collections.abc import Callable
from email.message import Message
from io import BytesIO

import pytest
from weights_server import BODY, HALF, OTHER, SMALL, Reply, Server, leftovers, sha256

from vizion3d.errors import WeightsError
from vizion3d.weights import cache_path, download, resolve


def test_a_file_is_fetched_once_and_not_sealed_before_it_has_loaded(server: Server) -> None:
    url = server.serve(Reply())
    seen: list[tuple[int, int | None]] = []
    file = resolve(url, progress=lambda done, total: seen.append((done, total)))
    assert file.read_bytes() == BODY
    assert leftovers(url) == {"net.pth"}
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
    assert leftovers(url) == {"net.pth"}


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
    url = server.serve(Reply(cut_at=HALF), Reply(SMALL, if_range=False))
    assert resolve(url).read_bytes() == SMALL
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
        (Reply(b'{"error": "expired"}', headers={"Content-Type": "application/json"}), "text, not weights: .*expired"),
        (Reply(b"one moment, please\n"), "what came is text, not weights: it begins 'one moment, please"),
        (Reply(gzip.compress(BODY)), "is compressed by gzip"),
        (Reply(BODY[:-40], length=False), "what came is cut short"),
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
    file = resolve(hub.serve(hop))
    assert file.read_bytes() == BODY
    assert (file.parent / "net.pth.sha256").read_text().startswith(f"{sha256(BODY)}  net.pth\n"), "as published"
    assert store.answered == [200, 206], "the range goes along with the redirect"
    with pytest.raises(WeightsError, match=f"expected {sha256(BODY)}"):
        resolve(hub.serve(hop, path="/again/net.pth"))


def test_a_redirect_never_leaves_https() -> None:
    request = urllib.request.Request("https://hub.example/net.pth")
    for target in ("http://store.example/net.pth", "ftp://store.example/net.pth"):
        with pytest.raises(WeightsError, match=f"from https to {target.partition(':')[0]}"):
            download._Redirects().redirect_request(request, BytesIO(), 302, "Found", Message(), target)
