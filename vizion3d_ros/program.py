# SPDX-License-Identifier: Apache-2.0
"""The programs of this package: a quiet end after any signal, and one clear line for a user's mistake.

Nothing slow is imported here, so that a program knows what to do about signals, and has chosen its transport and its
threads, before torch and rclpy come in.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn, TypeVar

from vizion3d.errors import InputError, Vizion3dError
from vizion3d.runtime.memory import keep_freed_memory
from vizion3d.runtime.threads import wait_passively
from vizion3d_ros import fast_dds

if TYPE_CHECKING:
    from types import FrameType

    from rclpy.executors import Executor
    from rclpy.node import Node

N = TypeVar("N", bound="Node")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_POLL_S = 0.2  # how long a signal may wait for the executor
_END_TIMEOUT_S = 5.0
_ending = False
_loop_looks = False  # whether what spins looks for itself whether a signal has come
_late = threading.Timer(_END_TIMEOUT_S, os._exit, (0,))  # and does not come to it: a callback loads a model, say
_late.daemon = True


def mono_depth_node() -> NoReturn:
    """Console script."""
    _start("mono_depth_node")


def stereo_depth_node() -> NoReturn:
    """Console script."""
    _start("stereo_depth_node")


def multi_depth_node() -> NoReturn:
    """Console script."""
    _start("multi")


def synthetic_camera_node() -> NoReturn:
    """Console script."""
    _start("demo.synthetic_camera_node")


def picture_camera_node() -> NoReturn:
    """Console script."""
    _start("demo.picture_camera_node")


def depth_viewer_node() -> NoReturn:
    """Console script."""
    _start("demo.depth_viewer_node")


def rviz_in_camera_frame() -> NoReturn:
    """Console script."""
    _start("rviz")


def bag_player() -> NoReturn:
    """Console script."""
    _start("bag.player")


def _start(module: str) -> NoReturn:
    """Run `main` of a module of this package as this process, to its end."""
    _on_signals(lambda *_: os._exit(0))
    wait_passively()
    keep_freed_memory()
    status = 2
    try:
        fast_dds.use()
        main = importlib.import_module(f"vizion3d_ros.{module}").main
        interrupt_on_signals()
        status = main()
    except Vizion3dError as error:
        print(f"error: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        status = 0
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # a second signal during the interpreter's own end would be told, and threads may still be at work


def interrupt_on_signals() -> None:
    """From now on the first signal raises KeyboardInterrupt, those after it do nothing: nothing disturbs the end."""
    _on_signals(_interrupt)


def _on_signals(handler: Callable[[int, FrameType | None], object]) -> None:
    for number in _SIGNALS:
        # A shell ignores SIGINT for what it starts in the background, without meaning it; nohup means it.
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    global _ending
    if not _ending:
        _ending = True
        sys.unraisablehook = lambda _: None  # of destructors, whose objects were interrupted while they were made
        if not _loop_looks:
            raise KeyboardInterrupt
        _late.start()


def end(*nodes: Node | None) -> None:
    """Destroy nodes and shut ROS down; if that takes longer than 5 s, end the process with status 1 there and then.

    Fast DDS can deadlock while a participant is destroyed (docs/transport.md), which no Python code could notice.
    """
    from rclpy.utilities import try_shutdown

    global _ending
    _ending = True
    _late.cancel()
    faulthandler.dump_traceback_later(_END_TIMEOUT_S, exit=True, file=2)
    try:
        for node in nodes:
            if node is not None:
                node.destroy_node()
        try_shutdown()
        gc.collect()  # what an interrupted constructor left holds a participant, and that shared memory
    finally:
        faulthandler.cancel_dump_traceback_later()


def check_arguments(args: Sequence[str] | None = None) -> None:
    """Raise `InputError` if one of the arguments, by default the process's, is nothing that rclpy can read."""
    for text in sys.argv if args is None else args:
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InputError(f"the argument {text!a} is not UTF-8, which ROS wants: rename it, or give a link to it") from None


def run(
    make_node: Callable[[], N],
    args: list[str] | None = None,
    until: Callable[[N], bool] = lambda _: False,
    *,
    by_events: bool = False,
) -> int:
    """Make a node and spin it until it is interrupted or done.

    Args:
        make_node: makes it.
        args: of the command line; None takes the process's.
        until: whether it is done.
        by_events: see `run_nodes`.

    Returns:
        Exit status: 0 after a signal or an outside shutdown, 1 if the node could not be made.

    Raises:
        InputError: an argument is not UTF-8, or nothing that ROS knows.
    """
    from rclpy.utilities import remove_ros_args

    check_arguments(args)
    if args is None and (unknown := remove_ros_args()[1:]):
        raise InputError(f"what is {' '.join(unknown)}? Parameters are given as: --ros-args -p NAME:=VALUE")

    def make_nodes(nodes: list[N]) -> None:
        nodes.append(make_node())

    return run_nodes(make_nodes, args, lambda nodes: until(nodes[0]), by_events=by_events)


def run_nodes(
    make_nodes: Callable[[list[N]], None],
    args: list[str] | None = None,
    until: Callable[[list[N]], bool] = lambda _: False,
    *,
    by_events: bool = False,
) -> int:
    """As `run`, of several nodes on one executor.

    Args:
        make_nodes: appends them to a list one by one, so that those before one that cannot be made are ended, too.
        args: of the command line, with what is not ROS's; None takes the process's.
        until: whether they are done.
        by_events: run callbacks as events come, where this rclpy can. Its usual executor looks at everything that all nodes
            have for each message: with eight depth nodes one costs six times as much as with one, and frames get lost. A
            signal waits for the callback that runs, up to 5 s.
    """
    import rclpy
    from rclpy.exceptions import ParameterException
    from rclpy.executors import ExternalShutdownException
    from rclpy.signals import SignalHandlerOptions

    global _loop_looks
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    nodes: list[N] = []
    try:
        make_nodes(nodes)
        executor = _open_executor(by_events)
        for node in nodes:
            executor.add_node(node)
        while rclpy.ok() and not _ending and not until(nodes):
            executor.spin_once(timeout_sec=_POLL_S)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except (Vizion3dError, ParameterException) as error:  # rclpy's of a parameter of its own, such as use_sim_time
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Exception:
        if rclpy.ok() and not _ending:
            raise  # otherwise the end came from outside, in the middle of something
    finally:
        _loop_looks = False
        end(*nodes)
    return 0


def _open_executor(by_events: bool) -> Executor:
    global _loop_looks
    from rclpy.executors import SingleThreadedExecutor

    if not by_events:
        return SingleThreadedExecutor()
    try:
        from rclpy.experimental import EventsExecutor
    except ImportError:  # Humble
        return SingleThreadedExecutor()
    _loop_looks = True  # what a signal raises in a callback would be logged as fatal
    return EventsExecutor()
