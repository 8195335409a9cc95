# SPDX-License-Identifier: Apache-2.0
"""Addresses: secrets stay out of sight, passwords go to the right server alone, what is no address is told in a sentence."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable

import pytest
from weights_server import BODY, HALF, Reply, Server

from vizion3d.errors import WeightsError
from vizion3d.weights import cache_path, resolve
from vizion3d.weights.address import parse


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("http://[::1/x", "Invalid IPv6 URL"),
        ("http://", "names no host"),
        ("https:///net.pth", "names no host"),
        ("http://a b/net.pth", "names no host"),
        ("http://host:x/net.pth", "Port"),
        ("http://host:99999/net.pth", "Port"),
    ],
)
def test_what_is_no_address_is_told_in_a_sentence(text: str, words: str) -> None:
    with pytest.raises(WeightsError, match=f"is no http address: .*{words}") as caught:
        resolve(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("source", [b"net.pth", bytearray(b"x"), memoryview(b"x"), 3, None])
def test_what_is_no_text_is_told_in_a_sentence(source: object) -> None:
    with pytest.raises(WeightsError, match="a name, a path or an address is needed"):
        resolve(source)  # type: ignore[arg-type]


def test_what_is_no_path_is_told_in_a_sentence() -> None:
    with pytest.raises(WeightsError, match=r"x\.\.\.' cannot be looked at: File name too long"):
        resolve("x" * 5000 + ".pth")


def test_an_ipv6_host_and_a_foreign_name_are_addresses() -> None:
    assert parse("http://[::1]:80/net.pth").url == "http://[::1]:80/net.pth"
    assert parse("https://b\u00fccher.example/a b.pth").url == "https://xn--bcher-kva.example/a%20b.pth"


@pytest.mark.parametrize(
    "query",
    [
        "X-Amz-Signature={}&X-Amz-Date={}",
        "Expires={}&Signature={}&Key-Pair-Id=A",
        "sv=2024&se={}&sp=r&sig={}",
        "token={}&access_token={}",
    ],
)
def test_a_new_signature_is_not_a_new_file(server: Server, query: str) -> None:
    url = server.serve(Reply())
    first = resolve(f"{url}?{query.format('11', '22')}")
    assert resolve(f"{url}?{query.format('33', '44')}") == first == cache_path(url)
    assert len(server.asked) == 1


def test_another_query_is_another_file() -> None:
    paths = {cache_path(f"https://host.example/get?{query}") for query in ("file=a", "file=b", "file=a&sig=1", "st=1", "st=2")}
    assert len(paths) == 4, "the signature alone makes no difference"


def test_user_name_and_password_are_sent_and_never_shown(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    url = server.serve(Reply(cut_at=HALF), Reply())
    secret = url.replace("://", "://me%40home:open%20sesame@")
    assert resolve(f"{secret}?token=hidden").read_bytes() == BODY
    assert [base64.b64decode(sent.split()[1]) for sent in server.passwords] == [b"me@home:open sesame"] * 2
    server.serve(Reply(status=403), path="/files/other.pth")
    with pytest.raises(WeightsError, match="403 Forbidden") as caught:
        resolve(secret.replace("net.pth", "other.pth?token=hidden"))
    for text in (caplog.text, str(caught.value)):
        assert text and not any(word in text for word in ("sesame", "me%40home", "me@home", "hidden"))


def test_a_password_does_not_follow_to_another_host(servers: Callable[[], Server]) -> None:
    hub, store = servers(), servers()
    away = Reply(b"", status=302, headers={"Location": store.serve(Reply())})
    on = Reply(b"", status=302, headers={"Location": "/next"})
    hub.serve(away, path="/next")
    assert resolve(hub.serve(on).replace("://", "://me:sesame@")).read_bytes() == BODY
    assert [sent is not None for sent in hub.passwords] == [True, True]
    assert store.passwords == [None]
