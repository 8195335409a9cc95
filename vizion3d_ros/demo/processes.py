# SPDX-License-Identifier: Apache-2.0
"""Modules of this package as processes side by side, which end with those who started them."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

_STOP_TIMEOUT_S = 7  # a little more than a program gives itself
_PR_SET_PDEATHSIG = 1


@contextmanager
def running(
    commands: Sequence[Sequence[str]], environment: Mapping[str, str], stdout: int | None = None
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes for the time of a block, each of a module with its arguments.

    They end gently, the last first, for a killed one leaves its shared memory behind.
    """
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for module, *arguments in commands:
            command = [sys.executable, "-m", f"vizion3d_ros.{module}", *arguments]
            processes.append(
                subprocess.Popen(command, env=environment, stdout=stdout, start_new_session=True, preexec_fn=end_with_parent)
            )
        yield processes
    finally:
        _stop(processes)


def ros_args(parameters: Mapping[str, Any], remaps: Mapping[str, str]) -> list[str]:
    """The arguments that set parameters and remap topics."""
    assignments = [word for name, value in parameters.items() for word in ("-p", f"{name}:={_text(value)}")]
    return ["--ros-args", *assignments, *(word for old, new in remaps.items() for word in ("-r", f"{old}:={new}"))]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"[{', '.join(map(str, value))}]" if isinstance(value, (tuple, list)) else str(value)


def end_with_parent() -> None:
    """Let this child be interrupted when its parent ends, however that ends (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in reversed(processes):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
    for process in processes:
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
