# SPDX-License-Identifier: Apache-2.0
"""Read tensors from a checkpoint without running anything that somebody hid in it, and fill a network with them, strictly."""

import os
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vizion3d.errors import DependencyError, WeightsError
from vizion3d.weights.architectures import some
from vizion3d.weights.forms import Form, form_of
from vizion3d.weights.store import is_cached

if TYPE_CHECKING:
    from torch import Tensor, nn

# Where training scripts put the tensors beside optimizer, epoch and the like.
_WRAPPERS = ("state_dict", "model_state_dict", "model")
# What wrappers of a network put before the name of every tensor: parallel training, torch.compile, Lightning.
_PREFIXES = ("module.", "_orig_mod.", "model.")
_SAFE_LEGACY_TORCH = "2.6"


def read_state_dict(path: str | os.PathLike[str], *, mapped: bool = False) -> "dict[str, Tensor]":
    """The tensors of a file written by `torch.save` or safetensors, on the CPU, by name.

    They are taken out of the mapping of a training script, and wrappers' prefixes off all their names.

    Args:
        path: of the file.
        mapped: leave the values on the disk until they are looked at, where the form of the file allows it. For a look at
            the keys; they change with the file.

    Raises:
        WeightsError: the file is missing, damaged, something else than a checkpoint, or holds code.
        DependencyError: it is a safetensors file and that library is not installed.
    """
    file = Path(path)
    try:
        form = form_of(file)
    except WeightsError as error:
        raise WeightsError(f"{error}; {_way_out(file)}") from error.__cause__
    content = _read_safetensors(file) if form == "safetensors" else _unpickle(file, form, mapped and form == "zip")
    return _without_prefixes(_tensors(content, file))


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
        raise WeightsError(f"{path} does not fit {name}. Tensors {'; '.join(texts)}: use the published file")
    floats = {key: tensor.float() if tensor.is_floating_point() else tensor for key, tensor in tensors.items()}
    network.load_state_dict(floats, assign=True)
    network.eval().requires_grad_(False)


def _unpickle(file: Path, form: Form, mapped: bool) -> object:
    import torch

    # Older ones could be made to run code from a file that begins like this form.
    if form == "legacy" and torch.__version__ < _SAFE_LEGACY_TORCH:  # by number, not as text
        raise WeightsError(
            f"{file} has the form that torch.save wrote before torch 1.6, which torch {torch.__version__} cannot read safely: "
            "install torch 2.6 or later, or have the file saved anew"
        )
    try:
        return torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        # Its own text tells how to load the file nonetheless, which is the last thing to do: hence `from None`.
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"code, not only tensors: {named[1]}" if named else "code, not only tensors (or is damaged)"
        raise WeightsError(
            f"{file} is refused: it holds {what}, of which nothing was run: use the original weights file, or have its "
            "author save a plain state_dict"
        ) from None
    except Exception as error:  # torch raises RuntimeError, ValueError, EOFError, KeyError ... on damaged files
        raise WeightsError(f"{file} is damaged and cannot be read ({error}); {_way_out(file)}") from error


def _read_safetensors(file: Path) -> object:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise DependencyError(f"{file} is a safetensors file; reading it needs: pip install safetensors") from error
    try:
        return load_file(file)
    except Exception as error:
        raise WeightsError(f"{file} is damaged and cannot be read ({error}); {_way_out(file)}") from error


def _way_out(file: Path) -> str:
    """What to do about a bad file. Only of the cache's own it may be to delete it: no other file comes back by itself."""
    return "delete it and fetch or copy it again" if is_cached(file) else "give the original file"


def _tensors(content: object, file: Path) -> "dict[str, Tensor]":
    from torch import Tensor

    if isinstance(content, Mapping):
        content = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), content)
    if not isinstance(content, Mapping) or not content:
        raise WeightsError(f"{file} holds a {type(content).__name__}, not a mapping from keys to tensors")
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise WeightsError(f"{file} holds a {type(value).__name__} under the key {key!r}, not a tensor")
    return dict(content)


def _without_prefixes(tensors: "dict[str, Tensor]") -> "dict[str, Tensor]":
    while prefix := next((p for p in _PREFIXES if all(key.startswith(p) for key in tensors)), None):
        tensors = {key.removeprefix(prefix): tensor for key, tensor in tensors.items()}
    return tensors
