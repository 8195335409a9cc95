# SPDX-License-Identifier: Apache-2.0
"""Where the networks' numbers come from: known files, a cache that fetches and checks them, and a safe reader."""

from vizion3d.weights.architectures import ARCHITECTURES, Architecture
from vizion3d.weights.checkpoint import read_state_dict
from vizion3d.weights.locate import LocatedWeights, file_of, find_weights, locate, record_first_use, task_of
from vizion3d.weights.registry import RECORDS, WeightsRecord, find, match, names
from vizion3d.weights.store import cache_dir, cache_path, resolve, trust, verify

__all__ = [
    "ARCHITECTURES",
    "RECORDS",
    "Architecture",
    "LocatedWeights",
    "WeightsRecord",
    "cache_dir",
    "cache_path",
    "file_of",
    "find",
    "find_weights",
    "locate",
    "match",
    "names",
    "read_state_dict",
    "record_first_use",
    "resolve",
    "task_of",
    "trust",
    "verify",
]
