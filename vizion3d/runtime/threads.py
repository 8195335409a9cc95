# SPDX-License-Identifier: Apache-2.0
"""How many processor threads the arithmetic of a process may use."""

from __future__ import annotations

import os


def set_threads(count: int) -> None:
    """Limit torch and OpenCV, for the whole process; 0 leaves both at their own default."""
    if count:
        import cv2
        import torch

        torch.set_num_threads(count)
        cv2.setNumThreads(count)


def wait_passively() -> None:
    """Let threads of torch that wait for each other sleep instead of spin. To be called before torch is imported.

    On a loaded machine the spinning ones take the time from those that they wait for.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
