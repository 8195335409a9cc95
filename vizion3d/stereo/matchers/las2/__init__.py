# SPDX-License-Identifier: Apache-2.0
"""The stereo network Lite Any Stereo V2, written from a description of its mathematics; one file per part."""

from vizion3d.stereo.matchers.las2.checkpoint import load_las2
from vizion3d.stereo.matchers.las2.matcher import LAS2Matcher, load
from vizion3d.stereo.matchers.las2.model import LAS2, SIZES
from vizion3d.stereo.matchers.las2.padding import pad

__all__ = ["LAS2", "SIZES", "LAS2Matcher", "load", "load_las2", "pad"]
