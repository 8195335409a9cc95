# SPDX-License-Identifier: Apache-2.0
"""vizion3d view [INPUT...]: images, depth, clouds and diagnostics in Foxglove or Lichtblick, on this or another machine.

  vizion3d view                                   what runs in this ROS domain
  vizion3d view BAG                               a recording, at its own pace, again and again
  vizion3d view LEFT RIGHT --calib FILE           the depth of a pair of pictures
  vizion3d view FOLDER [--calib FILE]             the depth of the pictures of a folder

Only what a viewer looks at is subscribed to or read. The viewer connects to ws://HOST:PORT, which has no password: of a robot
without a screen, leave --host as it is and go through SSH (ssh -L 8765:localhost:8765 ROBOT), or give --host 0.0.0.0 in a
network of friends. Pictures become a recording first, by `vizion3d bag`, whose options are there for more.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from vizion3d.cli import make_parser
from vizion3d.cli.pair import PICTURES
from vizion3d.errors import DependencyError, InputError
from vizion3d_ros.program import interrupt_on_signals


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "view",
        help="see running nodes, a recording or pictures live, in Foxglove or Lichtblick",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "inputs", nargs="*", type=Path, metavar="INPUT", help="recording, folder or pictures (default: what runs)"
    )
    parser.add_argument("--calib", nargs="+", default=[], metavar="FILE", help="calibration of pictures")
    parser.add_argument("--model", default="", help="for pictures (default: sgbm for pairs)")
    parser.add_argument("--rate", type=float, default=1.0, help="speed of a recording (default: %(default)s, its own)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8765, help="to listen at; 0 is any free one (default: %(default)s)")
    parser.add_argument(
        "--layout", type=Path, metavar="FILE", help="write a layout for what is there, to be imported by the viewer"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show until Ctrl-C.

    Raises:
        InputError: something that was given cannot be used.
        DependencyError: foxglove-sdk, rosbags or, for what runs, rclpy is missing.
    """
    from vizion3d_ros.view.layout import write_layout
    from vizion3d_ros.view.server import ViewServer

    def start(has_time: bool) -> ViewServer:
        interrupt_on_signals()
        server = ViewServer(arguments.host, arguments.port, has_time)
        print(f"serving {server.address}, for Foxglove ({server.app_address}) and Lichtblick; Ctrl-C ends it", flush=True)
        return server

    def write() -> None:
        if arguments.layout:
            write_layout(arguments.layout, server.offered)

    if not arguments.rate > 0:
        raise InputError(f"--rate is {arguments.rate:g}; it must be above 0")
    if not arguments.inputs:
        try:
            from vizion3d_ros.view import live
        except ImportError as error:
            raise DependencyError(
                f"what runs can be seen where ROS is ({error}): source the setup file of a ROS 2 installation, or give a "
                "recording or pictures"
            ) from error
        with start(has_time=False) as server:
            live.show(server, write)
        return 0
    from vizion3d_ros.bag.reader import BagReader
    from vizion3d_ros.view import recording

    with _recording(arguments) as place, closing(BagReader(*place)) as reader, start(has_time=True) as server:
        recording.show(server, reader, write, arguments.rate)
    return 0


@contextmanager
def _recording(arguments: argparse.Namespace) -> Iterator[list[Path]]:
    """The recordings that were given, or one with the depth of the pictures that were given."""
    from vizion3d_ros.bag.pictures import recognise

    if len(arguments.inputs) == 2 and _are_pictures(arguments.inputs) and not arguments.calib:
        raise InputError("a pair of pictures has no depth without the calibration of its cameras: give --calib FILE")
    with tempfile.TemporaryDirectory(prefix="vizion3d_view_") as folder:
        inputs = _in_folders(arguments.inputs, Path(folder) / "pictures")
        if recognise(inputs, arguments.calib, None, 0.0) is None:
            if arguments.calib or arguments.model:
                raise InputError(f"--calib and --model are for pictures; of {inputs[0]} make a recording: vizion3d bag")
            yield inputs
            return
        depth = Path(folder) / "depth"
        given = [*map(str, inputs), "--out", str(depth), "--copy-inputs"]
        given += ["--calib", *arguments.calib] if arguments.calib else []
        given += ["--model", arguments.model] if arguments.model else []
        options = make_parser().parse_args(["bag", *given])
        options.run(options)
        yield [depth]


def _in_folders(inputs: list[Path], place: Path) -> list[Path]:
    """The inputs; one picture, or the two of a pair, as the folder of pictures that `vizion3d bag` takes."""
    if len(inputs) > 2 or not _are_pictures(inputs):
        return inputs
    sides = ("left", "right") if len(inputs) == 2 else ("",)
    for side, path in zip(sides, inputs, strict=True):
        (place / side).mkdir(parents=True, exist_ok=True)
        (place / side / f"picture{path.suffix}").symlink_to(path.resolve())
    return [place]


def _are_pictures(paths: list[Path]) -> bool:
    return all(path.is_file() and path.suffix.lower() in PICTURES for path in paths)
