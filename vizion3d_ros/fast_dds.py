# SPDX-License-Identifier: Apache-2.0
"""Fast DDS for images: shared memory that is large enough, told where it is not, and cleared of what dead processes left.

With its default settings Fast DDS loses most best-effort messages over about 0.5 MB between processes. What counts is the
shared memory of the *sender*, chosen before its first participant is made. The programs of this package choose it
themselves; a camera driver needs it from its environment::

    eval "$(python -m vizion3d_ros.fast_dds)"

docs/transport.md has the numbers.
"""

from __future__ import annotations

import argparse
import fcntl
import importlib.metadata
import importlib.util
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from vizion3d.errors import InputError

PROFILE = Path(__file__).with_name("fast_dds_large_messages.xml")
SIZE_VARIABLE = "VIZION3D_SHARED_MEMORY_MB"
SHARED_MEMORY = Path("/dev/shm")
_DEFAULT_MB = 16
_PROFILE_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")  # Fast DDS 3 and 2
_FIRST_RCLPY_WITH_FAST_DDS_3 = 8  # Kilted has 9, Jazzy 7
_CHOSEN_BY_USER = (*_PROFILE_VARIABLES, "FASTDDS_BUILTIN_TRANSPORTS", "ROS_DISCOVERY_SERVER")
_SEGMENT_SIZE = re.compile(r"(?<=<segment_size>)\d+(?=</segment_size>)")
_SEGMENTS_A_MESSAGE = 3  # best effort, messages over a third of the segment begin to be lost


def environment(segment_mb: str | None = None) -> dict[str, str]:
    """The variables that a process needs for shared memory of this size; None takes $VIZION3D_SHARED_MEMORY_MB, or 16.

    Raises:
        InputError: the size is not a whole number of megabytes from 1 to 4095.
    """
    text = segment_mb or os.environ.get(SIZE_VARIABLE) or str(_DEFAULT_MB)
    if not (text.isdecimal() and 1 <= int(text) < 4096):
        raise InputError(
            f"the shared memory wanted (--segment or {SIZE_VARIABLE}) is {text!r}; "
            "it must be a whole number of megabytes from 1 to 4095"
        )
    return dict.fromkeys(_variables(), str(_profile(int(text))))


def _variables() -> tuple[str, ...]:
    """Where the Fast DDS of this rclpy looks for a profile; both places if the version of the rclpy that counts is unknown.

    Not always both, because Fast DDS 3 warns of the old one in each process.
    """
    spec = importlib.util.find_spec("rclpy")
    try:
        distribution = importlib.metadata.distribution("rclpy")
    except importlib.metadata.PackageNotFoundError:
        return _PROFILE_VARIABLES
    if spec is None or spec.origin != str(distribution.locate_file("rclpy/__init__.py")):  # another one is first on the path
        return _PROFILE_VARIABLES
    has_fast_dds_3 = int(distribution.version.partition(".")[0]) >= _FIRST_RCLPY_WITH_FAST_DDS_3
    return _PROFILE_VARIABLES[:1] if has_fast_dds_3 else _PROFILE_VARIABLES[1:]


def is_chosen_by_user(variables: Mapping[str, str] = os.environ) -> bool:
    """Whether the transport is chosen already: by a profile, by built-in transports or by a discovery server."""
    own_files = (Path(f"DEFAULT_{name}_PROFILES.xml") for name in ("FASTDDS", "FASTRTPS"))
    return any(variables.get(name) for name in _CHOSEN_BY_USER) or any(path.is_file() for path in own_files)


def use() -> None:
    """Choose the shared memory of this process, unless the user has. To be called before rclpy makes its first node."""
    if not is_chosen_by_user():
        os.environ.update(environment())


def _profile(segment_mb: int) -> Path:
    """The profile that comes with the package, or a copy with another size beside the other things that are cached."""
    if segment_mb == _DEFAULT_MB:
        return PROFILE
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vizion3d"
    path = cache / f"fast_dds_{segment_mb}_mb.xml"
    text = _SEGMENT_SIZE.sub(str(segment_mb << 20), PROFILE.read_text(encoding="utf-8"))
    if not (path.is_file() and path.read_text(encoding="utf-8") == text):
        cache.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}")
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    return path


# Advice


@cache
def segment_bytes() -> int | None:
    """Size of this process's shared memory segment; None where no profile says so. Fast DDS looks once, and so does this."""
    for name in _PROFILE_VARIABLES:
        try:
            found = _SEGMENT_SIZE.search(Path(os.environ[name]).read_text(encoding="utf-8"))
        except (KeyError, OSError, ValueError):
            continue
        if found:
            return int(found[0])
    return None


def shared_memory_problem() -> str | None:
    """Why this process, which has a node already, does without shared memory, if it does."""
    segment = segment_bytes()
    if segment is None or not SHARED_MEMORY.is_dir() or f" {SHARED_MEMORY}/fast" in Path("/proc/self/maps").read_text():
        return None
    space = shutil.disk_usage(SHARED_MEMORY)
    return (
        f"{SHARED_MEMORY} has {_mb(space.free)} free of {_mb(space.total)}, and the shared memory of a process takes "
        f"{_mb(segment)}: Fast DDS does without it, and images over 0.5 MB get lost. In a container: docker run "
        "--shm-size=512m or --ipc=host. To remove what dead processes left there: python -m vizion3d_ros.fast_dds --clean"
    )


def message_problem(topic: str, message_bytes: int) -> str | None:
    """Why messages of this size, sent from this process, may get lost, if they may."""
    segment = segment_bytes()
    if segment is None or _SEGMENTS_A_MESSAGE * message_bytes <= segment:
        return None
    enough = 1 << (_SEGMENTS_A_MESSAGE * message_bytes >> 20).bit_length()
    return (
        f"{topic} has {_mb(message_bytes)} a message and the shared memory of this process {_mb(segment)}: best-effort "
        f"listeners will miss some. Start this process with {SIZE_VARIABLE}={enough}"
    )


def uses_fast_dds() -> bool:
    """Whether ROS runs on Fast DDS."""
    from rclpy.utilities import get_rmw_implementation_identifier

    return "fastrtps" in get_rmw_implementation_identifier()


def _mb(size: int) -> str:
    return f"{size / (1 << 20):.3g} MB"


# What dead processes left


def clean(folder: Path = SHARED_MEMORY) -> list[Path]:
    """Remove the shared memory of processes that are gone.

    A process holds a lock on the file NAME_el (or _sl) as long as it uses the segment or port NAME, in this or in another
    container; the lock ends with the process, however that ends.

    Returns:
        The files that were removed.
    """
    removed = []
    for lock in sorted(folder.glob("fast*_el")):
        name = lock.name.removesuffix("_el")
        if not name.startswith(("fastdds_", "fastrtps_")):
            continue
        files = [lock, folder / f"{name}_sl", folder / name, folder / f"sem.{name}_mutex"]
        with _unused(files[:2]) as is_unused:
            if is_unused:
                removed += [file for file in files if _remove(file)]
    return removed


@contextmanager
def _unused(locks: list[Path]) -> Iterator[bool]:
    """Whether nobody holds these locks, nor can take them meanwhile; files of other users count as held."""
    taken = []
    try:
        for path in filter(Path.exists, locks):
            taken.append(os.open(path, os.O_RDWR))
            fcntl.flock(taken[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except OSError:
        yield False
    finally:
        for descriptor in taken:
            os.close(descriptor)


def _remove(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:
        return False
    return True


def main() -> None:
    """Print the variables to set, or clean up."""
    parser = argparse.ArgumentParser(prog="python -m vizion3d_ros.fast_dds", description=__doc__.splitlines()[0])
    parser.add_argument("--segment", metavar="MB", help=f"size (default: ${SIZE_VARIABLE}, or {_DEFAULT_MB})")
    parser.add_argument("--clean", action="store_true", help="remove the shared memory of processes that are gone, and list it")
    options = parser.parse_args()
    if not options.clean:
        try:
            print("\n".join(f"export {name}={value}" for name, value in environment(options.segment).items()))
        except InputError as error:
            parser.error(str(error))
        return
    freed = shutil.disk_usage(SHARED_MEMORY).free
    removed = clean()
    freed = shutil.disk_usage(SHARED_MEMORY).free - freed
    print("\n".join((*map(str, removed), f"{len(removed)} files removed, {_mb(freed)} freed")))


if __name__ == "__main__":
    main()
