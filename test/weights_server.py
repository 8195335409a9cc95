# SPDX-License-Identifier: Apache-2.0
"""An http server on this machine that answers as it is told, and checkpoints for it to serve."""

from __future__ import annotations

import hashlib
import http.server
import re
import time
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import Any

import pytest
import torch

from vizion3d.weights import cache_path, registry


def checkpoint(*values: float) -> bytes:
    """The bytes of a checkpoint with one tensor."""
    stream = BytesIO()
    torch.save({"weight": torch.tensor(values, dtype=torch.float32)}, stream)
    return stream.getvalue()


BODY = checkpoint(*range(75_000))  # 300 kB: several reads long
OTHER = checkpoint(*range(75_000, 0, -1))
SMALL = checkpoint(1.0)
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
        self.passwords: list[str | None] = []  # the Authorization of each request

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
        self.server.passwords.append(self.headers.get("Authorization"))
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


def leftovers(url: str) -> set[str]:
    """Names in the folder of that address, without the lock, which always stays."""
    return {path.name for path in cache_path(url).parent.iterdir()} - {"net.pth.lock"}


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, **changes: Any) -> None:
    """Let the registry say something else about one name."""
    changed = tuple(replace(r, **changes) if r.name == name else r for r in registry.RECORDS)
    monkeypatch.setattr(registry, "RECORDS", changed)
