# SPDX-License-Identifier: Apache-2.0
"""The server to which viewers connect: what it offers, what they look at, and messages to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vizion3d.errors import DependencyError, InputError
from vizion3d_ros.bag.serialized import typestore

if TYPE_CHECKING:
    from foxglove.websocket import ServerListener

# Messages that a slow viewer may be behind, for each viewer; of large ones this is the memory it may cost.
_BACKLOG = 64
OFFERS_AT_ONCE = _BACKLOG // 2  # offers wait in the same queue, and a viewer whose queue is full of them is sent away


class ViewServer:
    """Offers topics to viewers that connect by WebSocket. A context manager; ends when it is left.

    Args:
        host: address to listen at; "0.0.0.0" is all of this machine's.
        port: to listen at; 0 is any that is free.
        has_time: the time that viewers show is that of the messages, as for recordings.

    Raises:
        DependencyError: foxglove-sdk or rosbags is missing.
        InputError: nothing can listen there.
    """

    def __init__(self, host: str, port: int, has_time: bool = False) -> None:
        try:
            import foxglove.websocket  # the folder foxglove of a clone is no such package
            import rosbags  # noqa: F401
        except ImportError as error:
            raise DependencyError(f"the live view needs {error.name}: pip install foxglove-sdk rosbags") from error
        foxglove.set_log_level("WARNING")
        self._foxglove = foxglove
        self._channels: dict[str, Any] = {}
        self._context = foxglove.Context()
        self._asked: set[str] = set()
        try:
            self._server = foxglove.start_server(
                name="vizion3d",
                host=host,
                port=port,
                capabilities=[foxglove.websocket.Capability.Time] if has_time else [],
                server_listener=_listener(self._asked),
                context=self._context,
                message_backlog_size=_BACKLOG,
            )
        except Exception as error:  # of every kind that the library has
            raise InputError(f"nothing can listen at {host}:{port} ({error}); choose another --host or --port") from error
        self._has_time, self._now_ns = has_time, 0
        self._host = host

    @property
    def address(self) -> str:
        """Where viewers connect, ws://HOST:PORT."""
        return f"ws://{self._host}:{self._server.port}"

    @property
    def app_address(self) -> str:
        """A page that opens Foxglove on this server."""
        return self._server.app_url() or ""

    @property
    def offered(self) -> Mapping[str, str]:
        """Topics that viewers may look at, with their types."""
        return {topic: channel.schema_name() for topic, channel in self._channels.items()}

    @property
    def wanted(self) -> frozenset[str]:
        """Topics that a viewer looks at."""
        return frozenset(topic for topic, channel in self._channels.items() if channel.has_sinks())

    def take_asked(self) -> set[str]:
        """Topics for which a viewer has asked since the last call."""
        return {self._asked.pop() for _ in range(len(self._asked))}  # the server's thread adds to it meanwhile

    def offer(self, topic: str, type_name: str, definition: str) -> None:
        """Let viewers look at a topic.

        Args:
            topic: full name.
            type_name: "sensor_msgs/msg/Image".
            definition: of the type and all that it is made of, as `definition_of` and recordings have it.
        """
        self._channels[topic] = self._foxglove.Channel(
            topic,
            message_encoding="cdr",
            schema=self._foxglove.Schema(name=type_name, encoding="ros2msg", data=definition.encode()),
            context=self._context,
        )

    def withdraw(self, topic: str) -> None:
        """Take an offer back."""
        self._channels.pop(topic).close()

    def send(self, topic: str, cdr: bytes, time_ns: int) -> None:
        """Send a message, in CDR, to the viewers that look at its topic."""
        if self._has_time and time_ns != self._now_ns:
            self._now_ns = time_ns
            self._server.broadcast_time(time_ns)
        self._channels[topic].log(cdr, log_time=time_ns)

    def forget(self) -> None:
        """Let viewers forget what they have been sent, since time jumps back."""
        self._server.clear_session()

    def __enter__(self) -> ViewServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()


def definition_of(type_name: str) -> str | None:
    """The definition of a message type of ROS; None of one that is not known here."""
    from rosbags.typesys import TypesysError

    try:
        return typestore().generate_msgdef(type_name, ros_version=2)[0]
    except TypesysError:
        return None


def _listener(asked: set[str]) -> ServerListener:
    """What the server calls, in a thread of its own."""
    from foxglove.websocket import ChannelView, Client, ServerListener

    class Listener(ServerListener):
        def on_subscribe(self, client: Client, channel: ChannelView) -> None:
            asked.add(channel.topic)

    return Listener()
