# SPDX-License-Identifier: Apache-2.0
"""Memory of the maps of one frame for those of the next one."""

from __future__ import annotations

import ctypes

# Numbers of mallopt(3) in glibc, and the values that glibc itself would come to at most.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 64 << 20
_LARGEST_BYTES = 32 << 20


def keep_freed_memory() -> None:
    """Let this process keep up to 64 MB that it has freed, in pieces of up to 32 MB, instead of returning them to the system.

    Every frame asks for the same maps again, and pages that come fresh from the system cost more than what is computed in
    them: a third of the time of all outputs of a 960x540 pair. Where the C library is not glibc nothing changes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(_MMAP_THRESHOLD, _LARGEST_BYTES)
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)


def return_freed_memory() -> None:
    """Give back to the system what this process has freed and keeps, after something large is gone."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim:
        malloc_trim(0)
