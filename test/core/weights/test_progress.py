# SPDX-License-Identifier: Apache-2.0
"""What is told while a file comes."""

from __future__ import annotations

import logging
import os
import select
import sys

import pytest
from weights_server import Reply, Server

from vizion3d.weights import resolve


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
