# SPDX-License-Identifier: Apache-2.0
"""Bring one file over http, resuming where an earlier try broke off, and never under its final name before it is whole.

urllib of the standard library does: one large file per call needs no pool, no session and no dependency.
"""

import errno
import http.client
import io
import logging
import os
import re
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Any

import vizion3d
from vizion3d.errors import WeightsError
from vizion3d.weights.address import Address
from vizion3d.weights.forms import form_of
from vizion3d.weights.integrity import sha256_of
from vizion3d.weights.progress import Progress

_LOG = logging.getLogger(__name__)

TIMEOUT_S = 30.0  # without a single byte
ATTEMPTS = 4
RETRY_WAIT_S = 1.0  # doubled from try to try
_CHUNK_BYTES = 1 << 18
_WORTH_A_RETRY = {408, 416, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True)
class _Promise:
    """What the servers say about the file as a whole."""

    size_bytes: int | None
    sha256: str | None


class _Broken(ConnectionError):
    """The transfer ended before the file did, or its beginning is no longer what the server has: try again."""


def download(address: Address, part: Path, *, sha256: str | None, progress: Progress) -> str | None:
    """Fetch a checkpoint into the file `part`, which may hold the beginning of it already.

    Args:
        address: of the file; redirects are followed, also to other hosts, which are not told a password.
        part: where the bytes go. After an interruption it stays, with `<part>.etag`, for the next call to resume.
        sha256: digest the file must have; if None, the one that a model hub announces on the way, if any.
        progress: called as bytes arrive.

    Returns:
        SHA-256 of the whole file in hex, None if nobody tells what it should be.

    Raises:
        WeightsError: the file cannot be had, or what came is not it. In the latter case `part` is removed.
    """
    promise = _with_retries(address, part, progress)
    expected = sha256 or promise.sha256
    try:
        form_of(part, "what came")
        if expected and (digest := sha256_of(part)) != expected:
            raise WeightsError(f"what came is not the right file: its sha256 is {digest}, expected {expected}")
    except WeightsError:
        _forget(part)
        raise
    _etag_path(part).unlink(missing_ok=True)
    return expected


def _with_retries(address: Address, part: Path, progress: Progress) -> _Promise:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _transfer(address, part, progress)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416:  # Nothing follows the bytes we have, so they are not the beginning of this file.
                _forget(part)
            if error.code not in _WORTH_A_RETRY or attempt == ATTEMPTS:
                raise WeightsError(f"the server answered: {error.code} {error.reason}") from error
            failure: Exception = error
        except (OSError, http.client.HTTPException) as error:
            if attempt == ATTEMPTS:
                raise WeightsError(f"the connection failed {ATTEMPTS} times, at last with: {_words(error)}") from error
            failure = error
        wait_s = RETRY_WAIT_S * 2 ** (attempt - 1)
        _LOG.info("%s: %s; trying again in %g s", address.shown, _words(failure), wait_s)
        time.sleep(wait_s)
    raise AssertionError("the last attempt returns or raises")


def _transfer(address: Address, part: Path, progress: Progress) -> _Promise:
    """One request: the missing end of the file if the server agrees, else all of it."""
    offset, validator = _resume_point(part)
    headers = {"User-Agent": f"vizion3d/{vizion3d.__version__}", "Accept-Encoding": "identity"}
    if offset:
        headers |= {"Range": f"bytes={offset}-", "If-Range": validator}
    redirects = _Redirects()
    opener = urllib.request.build_opener(redirects)
    request = urllib.request.Request(address.url, headers=headers)
    if address.authorization:
        request.add_unredirected_header("Authorization", address.authorization)
    with opener.open(request, timeout=TIMEOUT_S) as response:
        if response.headers.get_content_type() == "text/html":
            raise WeightsError("the server answered with a web page, not with a file")
        if response.status != 206:
            offset = 0
        elif not _continues(response.headers, offset, validator):
            _forget(part)
            raise _Broken("the file changed on the server since its beginning was fetched")
        promise = _read_promise(response, redirects.seen)
        done = _save(response, part, offset, promise.size_bytes, progress)
    if promise.size_bytes is not None and done < promise.size_bytes:
        raise _Broken(f"the connection closed after {done} of {promise.size_bytes} bytes")
    if done == 0 or (promise.size_bytes is not None and done > promise.size_bytes):
        _forget(part)
        raise WeightsError(f"the server sent {done} bytes where {promise.size_bytes or 'some'} were announced")
    return promise


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects and keeps their headers: a hub tells size and digest there, then sends us to another host."""

    def __init__(self) -> None:
        self.seen: list[Message] = []

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        scheme = urllib.parse.urlsplit(newurl).scheme
        if scheme not in ("http", "https") or (req.type == "https" and scheme != "https"):
            fp.close()
            raise WeightsError(f"the server redirects from {req.type} to {scheme}, which is refused")
        self.seen.append(headers)
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        password = req.unredirected_hdrs.get("Authorization")
        if following is not None and password and following.host == req.host:
            following.add_unredirected_header("Authorization", password)
        return following


def _read_promise(response: http.client.HTTPResponse, redirects: list[Message]) -> _Promise:
    length = response.headers.get("Content-Length")
    if response.status == 206:
        length = response.headers.get("Content-Range", "").rpartition("/")[2]
    sha256 = None
    for hop in [*redirects, response.headers]:
        length = hop.get("X-Linked-Size") or length
        # Only a hub's tag is a digest; another server may send 64 hex digits that mean something else.
        tag = hop.get("X-Linked-Etag") or (hop.get("ETag") if "X-Repo-Commit" in hop else None)
        digest = re.fullmatch(r'"?([0-9a-f]{64})"?', tag or "")
        sha256 = sha256 or (digest[1] if digest else None)
    return _Promise(int(length) if length and length.isdecimal() else None, sha256)


def _save(response: http.client.HTTPResponse, part: Path, offset: int, size_bytes: int | None, progress: Progress) -> int:
    """Write the body behind the first `offset` bytes of `part`; returns the size it has then."""
    free = shutil.disk_usage(part.parent).free
    if size_bytes is not None and size_bytes - offset > free:
        raise WeightsError(_no_room(part, size_bytes - offset, free))
    done = offset
    with _disk_errors(part, size_bytes):
        if not offset:
            _write_validator(part, response.headers)
        # Unbuffered, since closing a buffered file on a full disk raises once more, out of reach of _disk_errors.
        file = part.open("ab" if offset else "wb", buffering=0)
    with file:
        progress(done, size_bytes)
        while chunk := response.read1(_CHUNK_BYTES):  # What is there; read() would wait, and lose it to a time-out.
            with _disk_errors(part, size_bytes):
                done += _write_all(file, chunk)
            progress(done, size_bytes)
        with _disk_errors(part, size_bytes):
            os.fsync(file.fileno())
    return done


def _write_all(file: io.FileIO, chunk: bytes) -> int:
    done = 0
    while done < len(chunk):
        done += file.write(chunk[done:])
    return done


@contextmanager
def _disk_errors(part: Path, size_bytes: int | None) -> Iterator[None]:
    """Tell a failing disk from a failing connection, which is an OSError too but worth another try."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise WeightsError(f"cannot write {part}: {error.strerror}") from error
        had = part.stat().st_size if part.exists() else 0
        needed = None if size_bytes is None else size_bytes - had
        raise WeightsError(_no_room(part, needed, shutil.disk_usage(part.parent).free)) from error


def _no_room(part: Path, needed: int | None, free: int) -> str:
    needs = "more than that" if needed is None else f"{needed} bytes"
    return (
        f"the disk is full: {needs} needed in {part.parent}, {free} bytes free; make room and try again (what has "
        "come so far is kept), or set VIZION3D_MODEL_CACHE to a folder on another disk"
    )


def _etag_path(part: Path) -> Path:
    return part.with_name(part.name + ".etag")


def _resume_point(part: Path) -> tuple[int, str]:
    """Bytes in hand and the tag of the file they begin; (0, "") if there is nothing that can be continued."""
    try:
        validator = _etag_path(part).read_text(encoding="utf-8").strip()
        return (part.stat().st_size, validator) if validator else (0, "")
    except FileNotFoundError:
        return 0, ""


def _write_validator(part: Path, headers: Message) -> None:
    # The old bytes go first: they must never stand beside the tag of a newer file.
    _forget(part)
    etag = headers.get("ETag", "")
    validator = headers.get("Last-Modified", "") if etag.startswith("W/") or not etag else etag
    _etag_path(part).write_text(validator, encoding="utf-8")


def _continues(headers: Message, offset: int, validator: str) -> bool:
    """Whether a 206 answer is the rest of what we have. Not every server honours If-Range."""
    etag = headers.get("ETag", validator)
    same_file = etag == validator or not validator.startswith('"')
    return same_file and headers.get("Content-Range", "").startswith(f"bytes {offset}-")


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _etag_path(part).unlink(missing_ok=True)


def _words(error: BaseException) -> str:
    reason = getattr(error, "reason", error)
    return str(reason) or type(reason).__name__
