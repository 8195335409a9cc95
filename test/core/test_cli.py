# SPDX-License-Identifier: Apache-2.0
"""The command among other commands of a shell."""

from __future__ import annotations

import os
import subprocess
import sys


def test_a_reader_who_has_had_enough_makes_no_noise():
    """`vizion3d weights list | head`."""
    arguments = ["weights", "list"]
    read, write = os.pipe()
    os.close(read)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "vizion3d", *arguments], stdout=write, stderr=subprocess.PIPE, timeout=120
        )
    finally:
        os.close(write)
    assert (ended.returncode, ended.stderr) == (141, b"")
