# SPDX-License-Identifier: Apache-2.0
"""Is this still the file that was fetched? SHA-256 digests, recorded beside the file.

Trust on first use: where no publisher tells a digest, it is that of the file that first loaded; one that does not load is never
recorded, for then it would lock out the good one.

`<file>.sha256` holds a line that `sha256sum -c` understands and a comment with the size and modification time that
the file had when it was hashed. While these two are unchanged the digest is taken as read, so that opening a cached
file of a gigabyte costs nothing; `verify` of the store hashes regardless.
"""

import hashlib
import logging
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from vizion3d.errors import WeightsError

_LOG = logging.getLogger(__name__)
_CHUNK_BYTES = 1 << 20
_SEAL = re.compile(r"(?P<sha256>[0-9a-f]{64})  .*\n# bytes=(?P<size>\d+) mtime_ns=(?P<mtime>\d+)\n?")


@dataclass(frozen=True)
class Seal:
    """A digest, and the size and time stamp of the file when it was taken."""

    sha256: str
    size_bytes: int
    mtime_ns: int

    def untouched(self, file: Path) -> bool:
        """Whether the file still has the size and time stamp it had when it was hashed."""
        now = file.stat()
        return (self.size_bytes, self.mtime_ns) == (now.st_size, now.st_mtime_ns)


def sha256_of(file: Path) -> str:
    """SHA-256 of a file's content in lower-case hex."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def digest_of(file: Path) -> str:
    """As `sha256_of`, but read once in a process while size and time stamp of the file are unchanged."""
    status = file.stat()
    return _digest_of(file, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=16)
def _digest_of(file: Path, size_bytes: int, mtime_ns: int) -> str:
    return sha256_of(file)


def seal_path(file: Path) -> Path:
    """Where the digest of that file is recorded."""
    return file.with_name(file.name + ".sha256")


def read_seal(file: Path) -> Seal | None:
    """The recorded digest, or None if there is none yet.

    Raises:
        WeightsError: the record is unreadable. It is not ignored, for then damage to it would pass for a first use.
    """
    path = seal_path(file)
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    found = _SEAL.fullmatch(text)
    if found is None:
        raise WeightsError(f"{path} is damaged: if you trust {file}, delete this record and it is written anew")
    return Seal(found["sha256"], int(found["size"]), int(found["mtime"]))


def write_seal(file: Path, sha256: str, *, like: Path | None = None) -> None:
    """Record the digest of `file`; `like` stands for it where it is not in place yet."""
    status = (like or file).stat()
    path = seal_path(file)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    line = f"{sha256}  {file.name}\n# bytes={status.st_size} mtime_ns={status.st_mtime_ns}\n"
    draft.write_text(line, encoding="utf-8", newline="\n")
    draft.replace(path)


def forget(file: Path) -> None:
    """Remove the record of a file that is no longer there: it says nothing about the next one."""
    with suppress(OSError):  # nothing can be brought to a folder that cannot be written either
        seal_path(file).unlink(missing_ok=True)


def record(file: Path) -> None:
    """Record the digest of a file that has loaded, unless one is on record."""
    if read_seal(file) is None:
        digest = sha256_of(file)
        _LOG.info("%s: recorded sha256 %s on first use", file, digest)
        _try_to_seal(file, digest)


def check(file: Path, *, expected: str | None, always_hash: bool = False) -> None:
    """Compare a cached file with the digest that is expected of it, or else with the one on record; without either, do nothing.

    Args:
        file: the cached file.
        expected: digest from the registry, or None to trust the first use.
        always_hash: hash even if size and time stamp say that nothing changed.

    Raises:
        WeightsError: the content is not what it was, or not what the registry says.
    """
    seal = read_seal(file)
    known = expected or (seal.sha256 if seal else None)
    if known is None or (seal and seal.sha256 == known and seal.untouched(file) and not always_hash):
        return
    digest = sha256_of(file)
    if digest != known:
        path = seal_path(file)
        raise WeightsError(
            f"{file} is not the file it should be: its sha256 is {digest}, expected {known}. If you put it there on purpose, "
            f"delete its record {path}; if not, delete both files and fetch it again"
            if expected is None
            else f"{file} is not the published file: its sha256 is {digest}, expected {known}; delete it and fetch it again"
        )
    _try_to_seal(file, digest)


def _try_to_seal(file: Path, digest: str) -> None:
    try:
        write_seal(file, digest)
    except OSError as error:  # A read-only cache is fine: it only costs hashing in each process.
        _LOG.debug("%s: cannot record its digest: %s", file, error)
