# SPDX-License-Identifier: Apache-2.0
"""Known weights by name, address and file name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vizion3d.errors import WeightsError
from vizion3d.weights import cache_path, find, match, registry, resolve


def test_names_and_addresses_are_unique_and_addresses_are_https() -> None:
    records = registry.RECORDS
    assert len({record.name for record in records}) == len({record.url for record in records}) == len(records) == 20
    for record in records:
        assert record.url.startswith("https://")
        assert record.url.endswith("/" + record.file_name)


def test_only_what_its_authors_give_away_without_a_question_is_for_commercial_use() -> None:
    assert [record.name for record in registry.RECORDS if record.commercial_use == "yes"] == [
        "depth-anything-v2-small",
        "depth-anything-3-metric-large",
        "depth-anything-3-mono-large",
    ]
    unclear = {record.name for record in registry.RECORDS if record.commercial_use == "unclear"}
    metric = {f"depth-anything-v2-metric-{place}-small" for place in ("indoor", "outdoor")}
    assert unclear == metric | {"las2-s", "las2-m", "las2-l"}
    for record in registry.RECORDS:
        assert (record.licence == "CC-BY-NC-4.0") == (record.commercial_use == "no")
        assert record.basis and record.sha256 is None, "nobody has fetched one yet"


def test_metric_records_know_their_scale() -> None:
    scales = {record.name: record.max_depth_m for record in registry.RECORDS}
    for name, max_depth_m in scales.items():
        assert max_depth_m == (20.0 if "indoor" in name else 80.0 if "outdoor" in name else None)
    indoor = find("depth-anything-v2-metric-indoor-base")
    assert indoor.url == (
        "https://huggingface.co/depth-anything/Depth-Anything-V2-Metric-Hypersim-Base/resolve/main/"
        "depth_anything_v2_metric_hypersim_vitb.pth"
    )


def test_records_that_share_a_file_name_agree_on_everything_a_file_name_can_tell_or_it_tells_nothing() -> None:
    for one in registry.RECORDS:
        for two in registry.RECORDS:
            if one.file_name == two.file_name and match(one.file_name) is not None:
                assert replace(one, name="", url="") == replace(two, name="", url="")


@pytest.mark.parametrize(
    ("typo", "meant"),
    [("depth-anything-v2-smal", "depth-anything-v2-small"), ("S2M2-L", "s2m2-l"), ("s2m2l", "s2m2-l")],
)
def test_a_typo_is_answered_with_the_name_that_was_meant(typo: str, meant: str) -> None:
    with pytest.raises(WeightsError, match=f"{typo}.*did you mean.*{meant}.*There are: depth-anything-v2-small, "):
        resolve(typo)


@pytest.mark.parametrize(
    "source",
    [
        "s2m2-l",
        "https://huggingface.co/minimok/s2m2/resolve/main/CH256NTR3.pth?download=true",
        "https://mirror.example/CH256NTR3.pth#top",
        "/data/CH256NTR3.pth",
        "C:\\data\\CH256NTR3.pth",
        Path("CH256NTR3.pth"),
    ],
)
def test_a_record_is_known_by_name_address_and_file_name(source: str | Path) -> None:
    assert match(source) == find("s2m2-l")


def test_nothing_is_known_about_a_strange_file() -> None:
    assert match("/data/mine.pth") is None
    assert match("/data/DA3MONO-LARGE/model.safetensors") is None, "METRIC's is called so as well"


def test_the_default_address_of_vizion3d_is_a_known_record() -> None:
    address = "https://github.com/OlafenwaMoses/vizion3D/releases/download/essentials-v1/depth_anything_v2_vitb.pth"
    assert match(address) == find("vizion3d-depth-anything-v2-vitb")
    assert cache_path(address) == cache_path("vizion3d-depth-anything-v2-vitb")
    assert cache_path(address) != cache_path("depth-anything-v2-base"), "same file name, other place"
