# SPDX-License-Identifier: Apache-2.0
"""What a file is, by its first bytes: one of the forms that tensors are kept in, or something that has come instead of one."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Literal

from vizion3d.errors import WeightsError

Form = Literal["zip", "legacy", "safetensors"]
"""What torch.save has written since torch 1.6, what it wrote before, and the form of the library of that name."""

_ZIP = b"PK\x03\x04"
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # a number of torch's, as a pickle of its own
_HEAD_BYTES = 512


def form_of(file: Path, called: str = "") -> Form:
    """The form of a checkpoint.

    Args:
        file: the checkpoint.
        called: what messages call it, instead of by its path.

    Raises:
        WeightsError: it is none, not the whole of one, or cannot be read; the message says what it is.
    """
    called = called or str(file)
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
        size_bytes = file.stat().st_size
        if head.startswith(_ZIP):
            _check_archive(file, size_bytes, called)
            return "zip"
    except OSError as error:
        raise WeightsError(f"cannot read the weights file {file}: {error.strerror or error}") from error
    if head.startswith(_LEGACY):
        return "legacy"
    if head[8:9] == b"{" and 8 + int.from_bytes(head[:8], "little") <= size_bytes:
        return "safetensors"
    raise WeightsError(f"{called} {_instead(head)}")


def _check_archive(file: Path, size_bytes: int, called: str) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            members = {name.rpartition("/")[2] for name in archive.namelist()}
    except zipfile.BadZipFile:
        raise WeightsError(f"{called} is cut short: it ends after {size_bytes} bytes, before the end of the archive") from None
    if "constants.pkl" in members:  # torch.load would run it
        raise WeightsError(f"{called} is a TorchScript program, not weights: the state_dict of the network is needed")
    if "data.pkl" not in members:
        raise WeightsError(f"{called} is a zip archive that torch.save did not write: if weights are in it, unpack them")


def _instead(head: bytes) -> str:
    """What a file is that begins so and holds no tensors."""
    text = head.lstrip().lower()
    if not head:
        return "is empty"
    if text.startswith(b"version https://git-lfs"):
        return "is a git-lfs pointer, a text that stands for the file: run `git lfs pull` where you copied it from"
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "is a web page, not weights: the address led to a page, such as a log-in or an error"
    if head.startswith(b"\x1f\x8b"):
        return "is compressed by gzip, not weights as they are: unpack it"
    if all(byte >= 32 or byte in b"\t\r\n" for byte in head):
        return f"is text, not weights: it begins {head[:60].decode(errors='replace')!r}"
    return "is not a checkpoint: it is neither of torch.save nor of safetensors"
