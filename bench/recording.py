# SPDX-License-Identifier: Apache-2.0
"""What a recording costs: frames a second against the sum of its stages, with two processes, memory by length, resumed work.

`python -m bench.recording BAG` repeats a rosbag2 recording of a rig until it is long enough, and runs `vizion3d bag` on that.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from rosbags.rosbag2 import StoragePlugin, Writer

from vizion3d_ros.bag.reader import BagReader
from vizion3d_ros.bag.serialized import stamp_of

_GAP_NS = 100_000_000
_SEGMENT = 16


def repeat(source: Path, target: Path, frames: int) -> None:
    """The recording again and again, each time later, until there are so many left images."""
    with closing(BagReader(source)) as bag, Writer(target, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {
            name: writer.add_connection(name, one.msgtype, msgdef=one.msgdef.data, rihs01=one.digest)
            for name, one in bag.connections.items()
        }
        once = [(topic, log_ns, bytes(cdr)) for topic, log_ns, cdr in bag.recorded(bag.topics)]
        most = max(topic.message_count for topic in bag.topics.values())
        for turn in range(-(-frames // most)):
            later_ns = turn * (bag.end_ns - bag.begin_ns + _GAP_NS)
            for topic, log_ns, cdr in once:
                sec, nanosec = divmod(stamp_of(cdr) + later_ns, 10**9)
                stamp = sec.to_bytes(4, "little") + nanosec.to_bytes(4, "little")
                writer.write(connections[topic], log_ns + later_ns, cdr[:4] + stamp + cdr[12:])


class Run(NamedTuple):
    """What a run of the command was."""

    seconds: float
    peak_mb: float
    said: str


def run(bag: Path, out: Path, *options: str, kill_after: int = 0) -> Run:
    """Run the command; with `kill_after` it is killed once so many files are there."""
    command = [sys.executable, "-m", "vizion3d", "bag", str(bag), "--out", str(out), "--only", "depth"]
    command += ["--segment", str(_SEGMENT), *options]
    since_s = time.perf_counter()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
        while kill_after and len(list(out.glob("*.mcap"))) < kill_after:
            time.sleep(0.05)
        if kill_after:
            process.send_signal(signal.SIGKILL)
        _, _, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - since_s
        said.seek(0)
        return Run(seconds, usage.ru_maxrss / 1024, said.read())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bag", type=Path)
    parser.add_argument("--frames", type=int, default=300)
    options = parser.parse_args()
    source, frames, tenth = options.bag, options.frames, max(1, options.frames // 10)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, count in (("brief", tenth), ("full", frames)):
            repeat(source, folder / name, count)
        short = run(folder / "brief", folder / "short")
        long = run(folder / "full", folder / "long")
        said = next(line for line in long.said.splitlines() if "a second (reading" in line)
        stages = [float(value) for value in re.findall(r"([0-9.]+) s", said[said.rindex("(") :])]
        print(said.replace(f"{folder}/", ""))
        print(f"{frames} frames: {frames / long.seconds:.2f} a second with the start of the program, {long.seconds:.1f} s;")
        print(f"  its stages one after the other: {sum(stages):.1f} s")
        print(f"peak memory: {short.peak_mb:.0f} MB with {tenth} frames, {long.peak_mb:.0f} MB with {frames}")
        two = run(folder / "full", folder / "two", "--jobs", "2")
        print(f"--jobs 2: {two.seconds:.1f} s, {long.seconds / two.seconds:.2f} times as fast")
        files = len(list((folder / "long").glob("*.mcap")))
        killed = run(folder / "full", folder / "killed", kill_after=files // 2)
        resumed = run(folder / "full", folder / "killed", "--resume")
        print(f"killed half way and resumed: {killed.seconds:.1f} + {resumed.seconds:.1f} s")
        same = all(
            (folder / other / file.name).read_bytes() == file.read_bytes()
            for file in sorted((folder / "long").glob("*.mcap"))
            for other in ("two", "killed")
        )
        print(f"the files of all are {'the same' if same else 'DIFFERENT'}")


if __name__ == "__main__":
    main()
