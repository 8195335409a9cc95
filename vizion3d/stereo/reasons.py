# SPDX-License-Identifier: Apache-2.0
"""Why a pixel has no depth."""

from __future__ import annotations

from enum import IntEnum


class Reason(IntEnum):
    """What a pixel of the reason map says."""

    VALID = 0
    TOO_NEAR = 1
    TOO_FAR = 2
    NO_TEXTURE = 3
    HIDDEN = 4
    BORDER = 5
    LOW_CONFIDENCE = 6

    @property
    def text(self) -> str:
        """For legends."""
        return self.name.lower().replace("_", " ")
