# SPDX-License-Identifier: Apache-2.0
"""Read tensors from a checkpoint without running anything that somebody hid in it, and fill a network with them, strictly."""

import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vizion3d.errors import WeightsError
from vizion3d.weights.architectures import some

if TYPE_CHECKING:
    from torch import Tensor, nn

_ZIP_MAGIC = b"PK\x03\x04"
_WRAPPERS = ("model", "state_dict")
_PARALLEL = "module."  # what torch's data-parallel wrappers put before every key


def read_state_dict(path: str | os.PathLike[str], *, mapped: bool = False) -> "dict[str, Tensor]":
    """The tensors of a file written by `torch.save`, on the CPU, by key.

    An outer mapping with the tensors under "model" or "state_dict" is unwrapped, and the prefix "module." taken off if all
    keys have it.

    Args:
        path: of the file.
        mapped: leave the values on the disk until they are looked at. For a look at the keys; they change with the file.

    Raises:
        WeightsError: The file is missing, damaged, something else than a checkpoint, or holds more than tensors.
    """
    import torch

    file = Path(path)
    _refuse_other_files(file)
    try:
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError:
        # Its own text tells how to load the file nonetheless, which is the last thing to do: hence `from None`.
        raise WeightsError(
            f"{file} is refused: it holds code, not only tensors (or is damaged). Nothing of it was run. Use the "
            "original weights file, or have its author save a plain state_dict."
        ) from None
    except Exception as error:  # torch raises RuntimeError, ValueError, EOFError, KeyError ... on damaged archives
        raise WeightsError(f"{file} is damaged and cannot be read: {error}. Delete it and fetch it again.") from error
    return _tensors(content, file)


def fill(network: "nn.Module", tensors: "Mapping[str, Tensor]", path: str | os.PathLike[str], name: str) -> None:
    """Give a network, which may be on the meta device, its weights in float32, and make it ready for inference.

    Counters stay whole numbers.

    Args:
        network: the network that the tensors should fit.
        tensors: from `read_state_dict`.
        path: where they come from, for the message.
        name: what the network is called, for the message.

    Raises:
        WeightsError: a tensor is missing, unknown or of another shape.
    """
    expected = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    found = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    differing = [key for key in expected if key in found and found[key] != expected[key]]
    faults = {
        "missing": [key for key in expected if key not in found],
        "unknown": [key for key in found if key not in expected],
        "of wrong shape": [f"{key} {found[key]} instead of {expected[key]}" for key in differing],
    }
    texts = [f"{len(items)} {fault}: {some(items)}" for fault, items in faults.items() if items]
    if texts:
        raise WeightsError(f"{path} does not fit {name}. Tensors {'; '.join(texts)}. Use the published file.")
    floats = {key: tensor.float() if tensor.is_floating_point() else tensor for key, tensor in tensors.items()}
    network.load_state_dict(floats, assign=True)
    network.eval().requires_grad_(False)


def _refuse_other_files(file: Path) -> None:
    """Say what the file is when it is not a zip archive, the form that torch has written since 1.6.

    The older forms are refused too: versions of torch before 2.6 could be made to run code from them.
    """
    try:
        size_bytes = file.stat().st_size
        with file.open("rb") as stream:
            head = stream.read(512)
        whole = zipfile.is_zipfile(file)
    except OSError as error:
        raise WeightsError(f"Cannot read the weights file {file}: {error.strerror}.") from error
    is_zip = head.startswith(_ZIP_MAGIC)
    if is_zip and whole:
        return
    text = head.lstrip().lower()
    if not size_bytes:
        reason = "is empty"
    elif is_zip:
        reason = f"is cut short: it ends after {size_bytes} bytes, before the end of the archive"
    elif text.startswith(b"version https://git-lfs"):
        reason = "is a git-lfs pointer, a text that stands for the file: run `git lfs pull` where you copied it from"
    elif text.startswith((b"<!doctype", b"<html", b"<?xml")):
        reason = "is a web page, not weights: the address led to a page, such as a log-in or an error"
    else:
        reason = "is not a checkpoint in the form that torch.save writes since torch 1.6"
    raise WeightsError(f"{file} {reason}. Delete it and fetch it again.")


def _tensors(content: object, file: Path) -> "dict[str, Tensor]":
    from torch import Tensor

    if isinstance(content, Mapping):
        content = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), content)
    if not isinstance(content, Mapping) or not content:
        raise WeightsError(f"{file} holds a {type(content).__name__}, not a mapping from keys to tensors.")
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise WeightsError(f"{file} holds a {type(value).__name__} under the key {key!r}, not a tensor.")
    if all(key.startswith(_PARALLEL) for key in content):
        return {key.removeprefix(_PARALLEL): value for key, value in content.items()}
    return dict(content)
