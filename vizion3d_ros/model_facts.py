# SPDX-License-Identifier: Apache-2.0
"""What a robot's log should hold of the model that made its depth: which weights exactly, whose, and how they run."""

from __future__ import annotations

from vizion3d import runtime, weights
from vizion3d.options import RobotMonoOptions, RobotStereoOptions
from vizion3d.stereo.matchers import WITHOUT_WEIGHTS


def model_facts(options: RobotStereoOptions | RobotMonoOptions, *, is_metric: bool) -> dict[str, str]:
    """The facts of a model that these options have opened, by their name in /diagnostics.

    Args:
        options: those of the node.
        is_metric: whether its depth is in metres.

    Raises:
        Vizion3dError: the weights are no longer there.
    """
    depth = {"depth is": "metric" if is_metric else "RELATIVE, not metres"}
    if options.model in WITHOUT_WEIGHTS:
        return {"model": options.model, "weights": "none", "device": "cpu"} | depth
    located = weights.find_weights(options.model, "stereo" if isinstance(options, RobotStereoOptions) else "mono")
    device, dtype = runtime.check(options.device, options.precision)
    return {
        "model": located.record.name if located.record else located.architecture,
        "weights": str(located.path),
        "weights sha256": located.sha256,
        "weights licence": located.record.terms if located.record else "not known to vizion3d",
        "device": str(device),
        "precision": str(dtype).removeprefix("torch."),
        "engine": options.engine,
    } | depth
