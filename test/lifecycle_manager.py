# SPDX-License-Identifier: Apache-2.0
"""Who manages a node of another process in tests."""

from __future__ import annotations

import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from ros_harness import RosHarness

from vizion3d_ros.conversions import stamp_ns


class Manager:
    """Does what Nav2's lifecycle manager does, over the same services, and looks on."""

    def __init__(self, ros: RosHarness, node: str) -> None:
        self._ros = ros
        self._clients = {
            kind: ros.node.create_client(kind, f"{node}/{name}")
            for kind, name in ((ChangeState, "change_state"), (GetState, "get_state"), (SetParameters, "set_parameters"))
        }
        self._statuses: list[tuple[int, DiagnosticStatus]] = []
        self._name = f"{node[1:]}: depth"
        ros.node.create_subscription(DiagnosticArray, "/diagnostics", self._take, 20)

    def _take(self, message: DiagnosticArray) -> None:
        stamp = stamp_ns(message.header.stamp)
        self._statuses += [(stamp, one) for one in message.status if one.name == self._name]

    def _call(self, kind: type, request: Any) -> Any:
        client = self._clients[kind]
        self._ros.wait_for(client.service_is_ready, f"a service {kind.__name__}")
        future = client.call_async(request)
        self._ros.wait_for(future.done, f"an answer of {kind.__name__}")
        return future.result()

    def change(self, transition: int) -> bool:
        """Ask for a transition by its number; whether it succeeded."""
        return self._call(ChangeState, ChangeState.Request(transition=Transition(id=transition))).success

    def bring_up(self) -> bool:
        """Configure and activate; whether both succeeded."""
        return self.change(Transition.TRANSITION_CONFIGURE) and self.change(Transition.TRANSITION_ACTIVATE)

    def state(self) -> int:
        """Number of the state."""
        return self._call(GetState, GetState.Request()).current_state.id

    def set(self, name: str, text: str) -> str:
        """Set a parameter; why that is refused."""
        value = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=text)
        return (
            self._call(SetParameters, SetParameters.Request(parameters=[Parameter(name=name, value=value)])).results[0].reason
        )

    def next_status(self) -> DiagnosticStatus:
        """The next status that is made from now on."""
        now_ns = time.time_ns()
        self._ros.wait_for(lambda: self._statuses and self._statuses[-1][0] >= now_ns, "a status")
        return self._statuses[-1][1]
