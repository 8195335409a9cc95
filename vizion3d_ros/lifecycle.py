# SPDX-License-Identifier: Apache-2.0
"""A managed node: one that a lifecycle manager can configure, activate, deactivate and clean up, or that starts by itself."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from lifecycle_msgs.srv import ChangeState
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from vizion3d.errors import Vizion3dError


class ManagedNode(LifecycleNode):
    """A node with four things to do: `configure`, `activate`, `deactivate`, `cleanup`.

    Each does nothing where there is nothing to do, for `deactivate` and `cleanup` also undo what `activate` and `configure`
    had done when they failed. What one raises is logged and makes its transition a failure, after which the state is as before;
    rclpy itself would pass over it in silence.

    Attributes:
        failure: why the last transition failed; "" if it did not.
    """

    def __init__(self, name: str, **node_arguments: Any) -> None:
        super().__init__(name, **node_arguments)
        self.failure = ""
        self._starting = False
        self._raised: Exception | None = None
        self._answer_change_state = self._service_change_state.callback
        self._service_change_state.callback = self._on_change_state

    def start(self) -> None:
        """Configure and activate without a manager.

        Raises:
            Exception: what one of them raised.
        """
        self._starting = True
        for transition in (self.trigger_configure, self.trigger_activate):
            transition()
            if self._raised:
                raise self._raised
        self._starting = False

    @property
    def state(self) -> str:
        """By its name in the lifecycle of ROS: unconfigured, inactive, active, finalized, or one in between."""
        return self._state_machine.current_state[1]

    def destroy_node(self) -> None:
        """See rclpy's `Node`."""
        self._state_machine.destroy_when_not_in_use()  # it would keep the node in the graph until it is collected
        super().destroy_node()

    # What a node defines

    def configure(self) -> None:
        """Get ready to work."""
        raise NotImplementedError

    def activate(self) -> None:
        """Begin to work."""
        raise NotImplementedError

    def deactivate(self) -> None:
        """Stop working."""
        raise NotImplementedError

    def cleanup(self) -> None:
        """Give up what `configure` has taken."""
        raise NotImplementedError

    # What rclpy calls

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """See rclpy's `LifecycleNode`."""
        return self._attempt("configure", self.configure, undo=self.cleanup)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """See rclpy's `LifecycleNode`."""
        return self._attempt("activate", self.activate, undo=self.deactivate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """See rclpy's `LifecycleNode`."""
        return self._attempt("deactivate", self.deactivate)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """See rclpy's `LifecycleNode`."""
        return self._attempt("cleanup", self.cleanup)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """See rclpy's `LifecycleNode`."""
        return self._attempt("shutdown", self._shutdown)

    def _shutdown(self) -> None:
        self.deactivate()
        self.cleanup()

    def _attempt(
        self, name: str, action: Callable[[], object], undo: Callable[[], object] = lambda: None
    ) -> TransitionCallbackReturn:
        self.failure = ""
        try:
            action()
            return TransitionCallbackReturn.SUCCESS
        except Exception as error:
            self._tell(name, error)
        undo()
        return TransitionCallbackReturn.FAILURE

    def _tell(self, name: str, error: Exception) -> None:
        text = str(error) if isinstance(error, Vizion3dError) else f"{type(error).__name__}: {error}"
        self.failure = f"{name} failed: {text}"
        if self._starting:  # whoever starts it hears of it
            self._raised = error
            return
        self.get_logger().error(self.failure)
        if not isinstance(error, Vizion3dError):
            logging.getLogger("vizion3d").debug("unexpected", exc_info=error)

    def _on_change_state(self, request: ChangeState.Request, response: ChangeState.Response) -> ChangeState.Response:
        """Refuse a transition that there is not from here; in Humble and Jazzy it would end the process."""
        asked = request.transition
        possible = {label: number for number, label, *_ in self._state_machine.available_transitions}
        if asked.label in possible if asked.label else asked.id in possible.values():
            return self._answer_change_state(request, response)
        self.get_logger().error(
            f"transition {asked.label or asked.id} is not possible while {self.state}; there are: "
            + (", ".join(f"{label} ({number})" for label, number in possible.items()) or "none")
        )
        response.success = False
        return response
