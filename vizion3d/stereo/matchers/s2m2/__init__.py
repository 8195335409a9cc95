# SPDX-License-Identifier: Apache-2.0
"""The S2M2 stereo network, written from a description of its mathematics; one file per part."""

from vizion3d.stereo.matchers.s2m2.checkpoint import load_s2m2
from vizion3d.stereo.matchers.s2m2.matcher import S2M2Matcher, load
from vizion3d.stereo.matchers.s2m2.model import S2M2
from vizion3d.stereo.matchers.s2m2.padding import pad

__all__ = ["S2M2", "S2M2Matcher", "load", "load_s2m2", "pad"]
