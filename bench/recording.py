# SPDX-License-Identifier: Apache-2.0
"""What a recording costs: frames a second by one process, by two, by a live node, against the sum of its stages; memory by
length; what it costs to be killed and to go on.

`python -m bench.recording BAG` repeats a rosbag2 recording of a rectified rig (NAMESPACE/left, NAMESPACE/right) until it is
long enough, and runs `vizion3d bag` on that with sgbm, for depth alone.
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
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from rosbags.rosbag2 import StoragePlugin, Writer

from bench.live import Probe
from vizion3d_ros.bag.plan import INFO, images_of, make_plan
from vizion3d_ros.bag.prepare import choose_cameras
from vizion3d_ros.bag.reader import BagReader
from vizion3d_ros.bag.serialized import stamp_of

_GAP_NS = 100_000_000
_SEGMENT = 8
_NODE_TIMEOUT_S = 30.0


def repeat(source: Path, target: Path, frames: int) -> int:
    """The recording again and again, each time later, until there are so many left images; how many there are."""
    with closing(BagReader(source)) as bag, Writer(target, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {
            name: writer.add_connection(name, one.msgtype, msgdef=one.msgdef.data, rihs01=one.digest)
            for name, one in bag.connections.items()
        }
        once = [(topic, log_ns, bytes(cdr)) for topic, log_ns, cdr in bag.recorded(bag.topics)]
        most = max(topic.message_count for topic in bag.topics.values())
        turns = -(-frames // most)
        for turn in range(turns):
            later_ns = turn * (bag.end_ns - bag.begin_ns + _GAP_NS)
            for topic, log_ns, cdr in once:
                sec, nanosec = divmod(stamp_of(cdr) + later_ns, 10**9)
                stamp = sec.to_bytes(4, "little") + nanosec.to_bytes(4, "little")
                writer.write(connections[topic], log_ns + later_ns, cdr[:4] + stamp + cdr[12:])
        return turns * most


class Run(NamedTuple):
    """What a run of the command was."""

    seconds: float
    peak_mb: float
    said: str


def run(bag: Path, out: Path, *options: str, half: int = 0, kill: Callable[[int], object] | None = None) -> Run:
    """Run the command; once `half` of its files are there, `kill` is called with the number of its process."""
    command = [sys.executable, "-m", "vizion3d", "bag", str(bag), "--out", str(out), "--only", "depth"]
    command += ["--segment", str(_SEGMENT), *options]
    since_s = time.perf_counter()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
        while kill is not None and process.poll() is None:
            if len(list(out.glob("*.mcap"))) >= half:
                kill(process.pid)
                break
            time.sleep(0.05)
        _, _, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - since_s
        said.seek(0)
        return Run(seconds, usage.ru_maxrss / 1024, said.read())


def kill_all(pid: int) -> None:
    """End a process as a cluster does that wants its machine back."""
    os.kill(pid, signal.SIGKILL)


def kill_one(pid: int) -> None:
    """End one of the processes that work for this one, as a machine does whose memory is full."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
            os.kill(int(child), signal.SIGKILL)
            return


def through_node(path: Path) -> tuple[float, int]:
    """Seconds that a live node takes for the frames, and how many it gave depth for; each is sent once it has given the one
    before, so that it drops none."""
    from vizion3d_ros import stereo_frames

    with closing(BagReader(path)) as bag, Probe() as probe:
        cameras = choose_cameras(bag, (), (), str(path))
        plan = make_plan(bag, cameras)
        infos = plan.infos
        namespace = cameras[0].image.rsplit("/", 2)[0]
        newest = 0

        def heard(stamp_ns: int) -> None:
            nonlocal newest
            newest = stamp_ns

        probe.listen(f"{namespace}/depth/image_rect", stereo_frames.OUTPUTS["depth/image_rect"], heard)
        publishers = [
            probe.node.create_publisher(stereo_frames.INPUTS[f"{side}/{name}"], f"{namespace}/{side}/{name}", 10)
            for side in ("left", "right")
            for name in ("camera_info", "image_rect")
        ]
        probe.start("vizion3d_ros.stereo_depth_node", "--ros-args", "-r", f"__ns:={namespace}")
        probe.wait(lambda: all(publisher.get_subscription_count() for publisher in publishers))
        answered, since_s = 0, 0.0
        for row, images in images_of(bag, cameras, plan.frames):
            messages = []
            for cdr, which in zip(images, plan.frames[row, :, INFO].tolist(), strict=True):
                info = infos[which][:4] + bytes(cdr[4:12]) + infos[which][12:]  # with the stamp of its image
                messages += [info, bytes(cdr)]

            def send(messages: list[bytes] = messages) -> None:
                for publisher, message in zip(publishers, messages, strict=True):
                    publisher.publish(message)

            send()
            stamp_ns = stamp_of(images[0])
            if row == 0:  # which counts for nothing: the node may not know all publishers yet
                while not probe.wait(lambda: newest == stamp_ns, 2.0):  # noqa: B023, it is called at once
                    send()
                since_s = time.perf_counter()
            else:
                answered += probe.wait(lambda: newest == stamp_ns, _NODE_TIMEOUT_S)  # noqa: B023
        return time.perf_counter() - since_s, answered


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bag", type=Path)
    parser.add_argument("--frames", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        few = repeat(options.bag, folder / "brief", max(1, options.frames // 10))
        frames = repeat(options.bag, full := folder / "full", options.frames)
        short = run(folder / "brief", folder / "short")
        long = run(full, folder / "long")
        said = next(line for line in long.said.splitlines() if "a second (reading" in line)
        stages = [float(value) for value in re.findall(r"([0-9.]+) s", said[said.rindex("(") :])]
        tell(said.replace(f"{folder}/", ""))
        tell(f"{frames} frames: {frames / long.seconds:.2f} a second with the start of the program, {long.seconds:.1f} s;")
        tell(f"  its stages one after the other: {sum(stages):.1f} s")
        tell(f"peak memory: {short.peak_mb:.0f} MB with {few} frames, {long.peak_mb:.0f} MB with {frames}")
        seconds, answered = through_node(full)
        tell(f"live node: {answered} frames in {seconds:.1f} s, {answered / seconds:.2f} a second, one after the other")
        two = run(full, folder / "two", "--jobs", "2")
        tell(f"--jobs 2: {two.seconds:.1f} s, {long.seconds / two.seconds:.2f} times as fast")
        half = len(list((folder / "long").glob("*.mcap"))) // 2
        died = run(full, folder / "died", "--jobs", "2", half=half, kill=kill_one)
        was_told = "was killed" in died.said
        tell(f"--jobs 2, one process killed half way{'' if was_told else ' (NOT TOLD)'}: {died.seconds:.1f} s")
        killed = run(full, folder / "killed", half=half, kill=kill_all)
        resumed = run(full, folder / "killed", "--resume")
        idle = run(full, folder / "killed", "--resume")
        ratio = (killed.seconds + resumed.seconds) / long.seconds
        tell(f"killed half way and resumed: {killed.seconds:.1f} + {resumed.seconds:.1f} s, {ratio:.2f} times as long")
        tell(f"--resume with nothing left to do: {idle.seconds:.1f} s")
        same = all(
            (folder / other / file.name).read_bytes() == file.read_bytes()
            for file in sorted((folder / "long").glob("*.mcap"))
            for other in ("two", "died", "killed")
        )
        tell(f"the files of all are {'the same' if same else 'DIFFERENT'}")


def tell(line: str) -> None:
    """Print a line now, for those who wait."""
    print(line, flush=True)


if __name__ == "__main__":
    main()
