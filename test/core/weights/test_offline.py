# SPDX-License-Identifier: Apache-2.0
"""Without network, and what the licences say."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest
from weights_server import BODY, OTHER, Reply, Server, sha256, stand_in

from vizion3d.errors import WeightsError
from vizion3d.weights import resolve


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
