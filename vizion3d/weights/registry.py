# SPDX-License-Identifier: Apache-2.0
"""The published weights that vizion3d knows by name: addresses, licences, sizes and scale."""

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath, PureWindowsPath
from typing import Literal

from vizion3d.errors import WeightsError
from vizion3d.weights.address import is_url, parse
from vizion3d.weights.architectures import ARCHITECTURES, Task

APACHE = "Apache-2.0"
MIT = "MIT"
NON_COMMERCIAL = "CC-BY-NC-4.0"

_HUB = "https://huggingface.co/{repo}/resolve/main/{file}"
_RELEASE = "https://github.com/OlafenwaMoses/vizion3D/releases/download/essentials-v1/{file}"


@dataclass(frozen=True)
class WeightsRecord:
    """What is known about one published weights file before it is opened.

    Attributes:
        name: what the user types.
        architecture: the network family that the tensors belong to, a name from `ARCHITECTURES`.
        size: size, or variant and size, of the network within its family.
        file_name: name of the file at its address and in the cache. Not unique: two addresses may serve one name.
        url: where it is published.
        licence: SPDX identifier of the licence of the weights, which is not that of this package.
        commercial_use: whether they may be used commercially, as far as their authors say.
        basis: what that rests on, one sentence.
        approx_bytes: 4 bytes per parameter; the file is a little larger.
        sha256: digest in hex where somebody of this project has fetched and loaded the file, else None: nothing of the record
            is verified then (see `vizion3d.weights.integrity`).
        max_depth_m: Depth in metres that the network's output 1.0 stands for; None for relative depth and for stereo.
        sha256_begins: how the digest begins by others' reports, which `weights verify --online` compares; "" if there are none.
    """

    name: str
    architecture: str
    size: str
    file_name: str
    url: str
    licence: str
    commercial_use: Literal["yes", "no", "unclear"]
    basis: str
    approx_bytes: int
    sha256: str | None
    max_depth_m: float | None
    sha256_begins: str = ""

    @property
    def task(self) -> Task:
        """ "mono" (one picture) or "stereo" (a rectified pair)."""
        return ARCHITECTURES[self.architecture].task

    @property
    def terms(self) -> str:
        """Licence, and what whoever sells something must know."""
        use = {"yes": "", "no": ", for NON-COMMERCIAL use only", "unclear": f", commercial use is UNCLEAR: {self.basis}"}
        return self.licence + use[self.commercial_use]


# size: (encoder, parameters, licence)
_DEPTH_ANYTHING_V2 = {
    "small": ("vits", 24_785_089, APACHE),
    "base": ("vitb", 97_470_785, NON_COMMERCIAL),
    "large": ("vitl", 335_315_649, NON_COMMERCIAL),
}
# Metric networks of Depth Anything V2, by place: (training set, largest depth in metres)
METRIC = {"indoor": ("Hypersim", 20.0), "outdoor": ("VKITTI", 80.0)}
_DEPTH_ANYTHING_3 = "metric", "mono"
# size: (file, parameters)
_S2M2 = {
    "S": ("CH128NTR1.pth", 26_501_043),
    "M": ("CH192NTR2.pth", 80_470_259),
    "L": ("CH256NTR3.pth", 180_724_083),
    "XL": ("CH384NTR3.pth", 405_710_003),
}
# size: (parameters and running statistics, how the digest begins by the model card of fastforks/las2)
_LAS2 = {
    "S": (6_061_428, "dda5ad549571"),
    "M": (10_430_244, "c41b61efce9b"),
    "L": (27_243_108, "12f86f758b0a"),
}


def _depth_anything_v2(size: str, place: str | None = None) -> WeightsRecord:
    encoder, parameters, licence = _DEPTH_ANYTHING_V2[size]
    commercial_use: Literal["yes", "no", "unclear"] = "yes" if licence == APACHE else "no"
    basis = f"the authors' README names {licence} for this size"
    if place is None:
        name, repo, file = f"depth-anything-v2-{size}", "Depth-Anything-V2", f"depth_anything_v2_{encoder}.pth"
        max_depth_m = None
    else:
        training_set, max_depth_m = METRIC[place]
        name, repo = f"depth-anything-v2-metric-{place}-{size}", f"Depth-Anything-V2-Metric-{training_set}"
        file = f"depth_anything_v2_metric_{training_set.lower()}_{encoder}.pth"
        if licence == APACHE:
            commercial_use = "unclear"
        basis = f"the authors name {licence} for the relative network of this size and nothing for the metric files"
    return WeightsRecord(
        name=name,
        architecture="depth_anything_v2",
        size=encoder,
        file_name=file,
        url=_HUB.format(repo=f"depth-anything/{repo}-{size.capitalize()}", file=file),
        licence=licence,
        commercial_use=commercial_use,
        basis=basis,
        approx_bytes=4 * parameters,
        sha256=None,
        max_depth_m=max_depth_m,
    )


def _depth_anything_3(variant: str) -> WeightsRecord:
    file = "model.safetensors"
    return WeightsRecord(
        name=f"depth-anything-3-{variant}-large",
        architecture="depth_anything_3",
        size=f"{variant}-large",
        file_name=file,
        url=_HUB.format(repo=f"depth-anything/DA3{variant.upper()}-LARGE", file=file),
        licence=APACHE,
        commercial_use="yes",
        basis=f"the table in the authors' README names {APACHE} for this model, trained on public academic data sets",
        approx_bytes=4 * 334_171_394,
        sha256=None,
        max_depth_m=None,
    )


def _s2m2(size: str) -> WeightsRecord:
    file, parameters = _S2M2[size]
    return WeightsRecord(
        name=f"s2m2-{size.lower()}",
        architecture="s2m2",
        size=size,
        file_name=file,
        url=_HUB.format(repo="minimok/s2m2", file=file),
        licence=NON_COMMERCIAL,
        commercial_use="no",
        basis="the authors' README gives code and weights for non-commercial research and education only",
        approx_bytes=4 * parameters,
        sha256=None,
        max_depth_m=None,
    )


def _las2(size: str) -> WeightsRecord:
    numbers, sha256_begins = _LAS2[size]
    file = f"LAS2_{size}.pth"
    return WeightsRecord(
        name=f"las2-{size.lower()}",
        architecture="las2",
        size=size,
        file_name=file,
        url=_HUB.format(repo="tomtomtommi/LiteAnyStereoV2", file=file),
        licence=MIT,
        commercial_use="unclear",
        basis="the authors' page tags the weights MIT, which allows it; they do not list their training images and teacher "
        "network, which may be for research only",
        approx_bytes=4 * numbers,
        sha256=None,
        max_depth_m=None,
        sha256_begins=sha256_begins,
    )


def _vizion3d_release(name: str, like: WeightsRecord, file: str) -> WeightsRecord:
    """The copy of a published file that the vizion3D 1.0 release hosts; its terms are those of the original."""
    return replace(like, name=name, file_name=file, url=_RELEASE.format(file=file))


RECORDS: tuple[WeightsRecord, ...] = (
    *(_depth_anything_v2(size) for size in _DEPTH_ANYTHING_V2),
    *(_depth_anything_v2(size, place) for place in METRIC for size in _DEPTH_ANYTHING_V2),
    *(_depth_anything_3(variant) for variant in _DEPTH_ANYTHING_3),
    *(_s2m2(size) for size in _S2M2),
    *(_las2(size) for size in _LAS2),
    _vizion3d_release("vizion3d-depth-anything-v2-vitb", _depth_anything_v2("base"), file="depth_anything_v2_vitb.pth"),
    _vizion3d_release("vizion3d-s2m2-l", _s2m2("L"), file="stereo-depth-s2m2-L.pth"),
)


def names(task: Task) -> list[str]:
    """The names of the weights for a task."""
    return [record.name for record in RECORDS if record.task == task]


def find(name: str, known: Sequence[str] = ()) -> WeightsRecord:
    """The record of that name.

    Args:
        name: of weights.
        known: what can be had at this door, for the message; by default every name there is.

    Raises:
        WeightsError: no record has that name; the message lists near ones and all.
    """
    for record in RECORDS:
        if record.name == name:
            return record
    known = known or [record.name for record in RECORDS]
    close = difflib.get_close_matches(name.lower(), known, n=3)
    hint = f"did you mean {' or '.join(close)}? There" if close else "there"
    raise WeightsError(f"no weights are named {name!r}; {hint} are: {', '.join(known)}")


def published(source: str | os.PathLike[str]) -> WeightsRecord | None:
    """The record of a registry name or of a published address, with or without a query."""
    text = source_text(source)
    url = parse(text).url.partition("?")[0] if is_url(text) else None
    return next((record for record in RECORDS if text == record.name or url == record.url), None)


def match(source: str | os.PathLike[str]) -> WeightsRecord | None:
    """What is known about a registry name, an address or a file: by name, else by address, else by file name.

    A file name is a hint, not a proof: whoever renames a file misleads this function. One that is given to several networks,
    such as model.safetensors, says nothing.
    """
    text = source_text(source)
    # A path of either system may appear in a configuration file written on the other.
    name = PurePosixPath(parse(text).url.partition("?")[0]).name if is_url(text) else PureWindowsPath(text).name
    named = [record for record in RECORDS if record.file_name == name]
    return published(source) or (named[0] if len({record.size for record in named}) == 1 else None)


def source_text(source: str | os.PathLike[str]) -> str:
    """A name, an address or a path as text.

    Raises:
        WeightsError: it is none of these.
    """
    text = os.fspath(source) if isinstance(source, (str, os.PathLike)) else None
    if not isinstance(text, str):
        raise WeightsError(f"weights are {source!r:.60}; a name, a path or an address is needed")
    return text
