# SPDX-License-Identifier: Apache-2.0
"""An http address taken apart: what is asked of the server, what may be shown, and what makes it the same file."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit

from vizion3d.errors import WeightsError

# Parts of a query that say who may fetch and until when, not which file: Amazon's, Google's, private servers'; and Azure's.
_PASSES = re.compile(
    r"x-(amz|goog|oss)-.*|.*signature|expires|policy|key-pair-id|awsaccesskeyid|googleaccessid|.*token|auth|.*api[-_]?key|"
    r"password|download",
    re.IGNORECASE,
)
_AZURE_PASSES = frozenset(re.findall(r"\w+", "sv ss srt sp se st sr sig spr sip skoid sktid skt ske sks skv"))


@dataclass(frozen=True)
class Address:
    """Where a file is published.

    Attributes:
        url: what is asked of the server, without user name and password.
        shown: the address for messages and logs, without anything that may be a secret: user, password and query.
        identity: the address without what changes although the file does not: user, password and signatures.
        authorization: value of the header of that name, None if the address has no user name.
    """

    url: str
    shown: str
    identity: str
    authorization: str | None


def is_url(text: str) -> bool:
    """Whether the text is meant as an http or https address, which need not be a possible one."""
    return text.lower().startswith(("http://", "https://"))


def without_secrets(text: str) -> str:
    """A name, path or address for a message: without user, password and query as far as they can be told."""
    shown = re.sub(r"(?<=://)[^/]*@", "", text)
    shown = shown.partition("?")[0] + "?..." if "://" in shown and "?" in shown else shown
    return shown if len(shown) <= 200 else f"{shown[:200]}..."


def parse(text: str) -> Address:
    """Take an address apart.

    Raises:
        WeightsError: no server can be asked for it.
    """
    try:
        parts = urlsplit(text)
        host = (parts.hostname or "").encode("idna").decode()
        port = parts.port
    except ValueError as error:  # a bracket without its pair, a port that is no number, an impossible host name
        raise WeightsError(f"{without_secrets(text)} is no http address: {error}") from None
    if not host or re.search(r"[\s\x00-\x1f]", host):
        raise WeightsError(f"{without_secrets(text)} is no http address: it names no host; give https://host/path/file.pth")
    host = f"[{host}]" if ":" in host else host
    place = host if port is None else f"{host}:{port}"
    path = quote(parts.path, safe="%/:=&~+!$,;'@()*[]")
    bare = SplitResult(parts.scheme, place, path, quote(parts.query, safe="%/:=&?~+!$,;'@()*[]"), "")
    return Address(
        url=urlunsplit(bare),
        shown=without_secrets(urlunsplit(bare)),
        identity=urlunsplit(bare._replace(query=_without_passes(bare.query))),
        authorization=_basic(parts) if parts.username else None,
    )


def _without_passes(query: str) -> str:
    names = [piece.partition("=")[0] for piece in query.split("&")]
    passes = _AZURE_PASSES if "sig" in names else ()
    pieces = zip(names, query.split("&"), strict=True)
    return "&".join(piece for name, piece in pieces if name not in passes and not _PASSES.fullmatch(name))


def _basic(parts: SplitResult) -> str:
    """The user name and password as HTTP wants them."""
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()
