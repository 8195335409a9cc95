# SPDX-License-Identifier: Apache-2.0
"""From a name, an address or a path to a file on this disk that can be trusted.

The cache has a folder for each source, so that equal file names from different places never meet:

    <cache>/depth-anything-v2-small/depth_anything_v2_vits.pth       a name from the registry
    <cache>/url-2f6c1d0a93be/depth_anything_v2_vits.pth              any other address, by a hash of it

Beside a file lie `<file>.sha256` (see `vizion3d.weights.integrity`) and an empty `<file>.lock`; while it is being
fetched, `<file>.part` and `<file>.part.etag`.
"""

import hashlib
import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vizion3d.errors import WeightsError
from vizion3d.weights import integrity, registry
from vizion3d.weights.address import Address, is_url, parse, without_secrets
from vizion3d.weights.download import download
from vizion3d.weights.lock import exclusive
from vizion3d.weights.progress import Progress, megabytes, reporting

_LOG = logging.getLogger(__name__)

CACHE_VARIABLE = "VIZION3D_MODEL_CACHE"
OFFLINE_VARIABLE = "VIZION3D_OFFLINE"


@dataclass(frozen=True)
class _Remote:
    """A file with an address, and its place in the cache."""

    label: str
    address: Address
    file: Path
    record: registry.WeightsRecord | None

    @property
    def cached(self) -> bool:
        return self.file.is_file() and self.file.stat().st_size > 0

    @property
    def sha256(self) -> str | None:
        return self.record.sha256 if self.record else None


def cache_dir() -> Path:
    """`$VIZION3D_MODEL_CACHE`, or `~/.cache/vizion3d/models` where that is unset or empty. It need not exist."""
    try:
        return Path(os.environ.get(CACHE_VARIABLE) or "~/.cache/vizion3d/models").expanduser()
    except RuntimeError as error:
        raise WeightsError(f"no home folder for the cache of weights: set {CACHE_VARIABLE} to a folder") from error


def cache_path(name_or_url: str) -> Path:
    """Where the file of that registry name or address is or would be; nothing is fetched.

    Raises:
        WeightsError: it is neither.
    """
    return _remote(name_or_url).file


def resolve(
    name_or_path_or_url: str | os.PathLike[str],
    *,
    offline: bool | None = None,
    progress: Progress | None = None,
    known: Sequence[str] = (),
) -> Path:
    """The weights file on this disk, fetched into the cache if it is not there yet.

    A registry name goes before a file of that name in the working directory. A local file is the user's own and is
    returned unchecked; a cached one is compared with its digest.

    Args:
        name_or_path_or_url: registry name ("depth-anything-v2-small"), http(s) address, or path.
        offline: never use the network. None asks the environment variable `VIZION3D_OFFLINE` (1, true, yes, on).
        progress: called with (bytes so far, bytes in all or None); None shows a bar if standard error is a terminal.
        known: names to list if there is none like this one; by default all.

    Raises:
        WeightsError: the name is unknown, the file cannot be had, or it is not what it should be.
    """
    local = _local_file(name_or_path_or_url)
    if local is not None:
        return local
    remote = _remote(registry.source_text(name_or_path_or_url), known)
    if not remote.cached:
        integrity.forget(remote.file)
        if offline or (offline is None and _offline_by_environment()):
            reason = f"they are not in the cache and offline mode is on ({OFFLINE_VARIABLE})"
            raise _unavailable(remote, reason, f"{OFFLINE_VARIABLE}=0 vizion3d weights get {remote.label}")
        try:
            _fetch(remote, progress)
        except WeightsError as error:
            raise _unavailable(remote, str(error)) from error
        except OSError as error:
            reason = f"the cache folder cannot be used: {error}; set {CACHE_VARIABLE} to a folder that can be written"
            raise _unavailable(remote, reason) from error
    integrity.check(remote.file, expected=remote.sha256)
    return remote.file


def verify(name_or_url: str) -> Path:
    """Hash a cached file and compare, whatever its size and time stamp say.

    Raises:
        WeightsError: it is not in the cache, or its content has changed.
    """
    remote = _remote(name_or_url)
    if not remote.cached:
        raise WeightsError(f"{remote.label} is not in the cache ({remote.file})")
    integrity.check(remote.file, expected=remote.sha256, always_hash=True)
    return remote.file


def trust(name_or_url: str) -> str:
    """What the digest of a cached file is compared with, in words."""
    remote = _remote(name_or_url)
    if remote.sha256:
        return "sha256 as published"
    if integrity.read_seal(remote.file):
        return "sha256 as on first use"
    return "sha256 not on record before its first use"


def is_cached(file: Path) -> bool:
    """Whether the file lies in the cache, so that it is ours to record and to replace."""
    try:
        return file.absolute().is_relative_to(cache_dir().absolute())
    except WeightsError:
        return False


def _local_file(source: str | os.PathLike[str]) -> Path | None:
    """The source as an existing file, or None if it is a name or an address."""
    text = registry.source_text(source)
    is_path = not isinstance(source, str)
    if not is_path and (is_url(text) or any(text == r.name for r in registry.RECORDS)):
        return None
    try:
        path = Path(text).expanduser()
        if path.is_file():
            return path
        is_folder = path.is_dir()
    except (OSError, ValueError, RuntimeError) as error:  # too long, a null in it, or no such user's home
        raise WeightsError(f"the weights file {without_secrets(text)!r} cannot be looked at: {_words(error)}") from None
    if not is_path and not path.suffix and path.name == text:
        return None  # Looks like a misspelt name, and is told so.
    kind = "is a folder, not a weights file" if is_folder else "does not exist"
    raise WeightsError(f"the weights file {without_secrets(text)!r} {kind}: give a file, an http(s) address or a known name")


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _remote(name_or_url: str, known: Sequence[str] = ()) -> _Remote:
    if not is_url(name_or_url):
        record = registry.find(name_or_url, known)
        return _Remote(record.name, parse(record.url), cache_dir() / record.name / record.file_name, record)
    if matched := registry.published(name_or_url):
        return _remote(matched.name)
    address = parse(name_or_url)
    folder = f"url-{hashlib.sha256(address.identity.encode()).hexdigest()[:12]}"
    file_name = re.sub(r"[^\w.-]", "_", unquote(urlsplit(address.url).path.rpartition("/")[2]), flags=re.ASCII)
    return _Remote(address.shown, address, cache_dir() / folder / (file_name.lstrip(".") or "weights.pth"), None)


def _offline_by_environment() -> bool:
    return os.environ.get(OFFLINE_VARIABLE, "").strip().lower() in {"1", "true", "yes", "on"}


def _fetch(remote: _Remote, progress: Progress | None) -> None:
    remote.file.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(remote.file.with_name(remote.file.name + ".lock")):
        if remote.cached:  # Another process brought it while we waited.
            return
        _announce(remote)
        part = remote.file.with_name(remote.file.name + ".part")
        with reporting(progress, remote.label) as report:
            published = download(remote.address, part, sha256=remote.sha256, progress=report)
        # The digest goes first, so that no moment exists at which the file stands there without one. Where nobody has told it,
        # the first use will.
        if published:
            integrity.write_seal(remote.file, published, like=part)
        part.replace(remote.file)


def _announce(remote: _Remote) -> None:
    record = remote.record
    if record is None:
        _LOG.warning("fetching %s: its licence is not known to vizion3d, please check it", remote.label)
    else:
        level = logging.INFO if record.commercial_use == "yes" else logging.WARNING
        size = megabytes(record.approx_bytes)
        _LOG.log(level, "fetching %s (about %s): these weights are licensed %s", remote.label, size, record.terms)


def _unavailable(remote: _Remote, reason: str, command: str = "") -> WeightsError:
    """The error about weights that could not be had; `command` would fetch them, "" if that has just failed."""
    fetch = f"  fetch them with:    {command}\n  or bring the file:  " if command else "  bring the file:     "
    return WeightsError(
        f"the weights {remote.label} cannot be had: {reason}\n{fetch}{remote.address.shown}\n"
        f"  to this place:      {remote.file}"
    )
