# SPDX-License-Identifier: Apache-2.0
"""The Fast DDS profile for large messages, and how to use it.

With its default settings Fast DDS loses most best-effort messages over about 0.5 MB between processes. The profile in this
package gives shared memory 64 MB. Both sides need it, before they start::

    eval "$(python -m vizion3d_ros.fast_dds)"
"""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path
from typing import Any

PROFILE = Path(__file__).with_name("fast_dds_large_messages.xml")
_FIRST_RCLPY_WITH_FAST_DDS_3 = 8  # Kilted has 9, Jazzy 7


def variable() -> str:
    """The environment variable in which this distro's Fast DDS looks for a profile."""
    try:
        major = int(importlib.metadata.version("rclpy").partition(".")[0])
    except importlib.metadata.PackageNotFoundError:
        major = _FIRST_RCLPY_WITH_FAST_DDS_3
    return "FASTDDS_DEFAULT_PROFILES_FILE" if major >= _FIRST_RCLPY_WITH_FAST_DDS_3 else "FASTRTPS_DEFAULT_PROFILES_FILE"


def environment() -> dict[str, str]:
    """The variable, by name, that a process needs to use the profile."""
    return {variable(): str(PROFILE)}


def advise(logger: Any) -> None:
    """Tell the user how to set the profile, if this process runs on Fast DDS without any."""
    from rclpy.utilities import get_rmw_implementation_identifier

    if "fastrtps" in get_rmw_implementation_identifier() and variable() not in os.environ:
        logger.warning(
            "Fast DDS runs with its default settings, which lose best-effort images over 0.5 MB. Before starting this node "
            f"and the camera: export {variable()}={PROFILE}"
        )


if __name__ == "__main__":
    for name, value in environment().items():
        print(f"export {name}={value}")
