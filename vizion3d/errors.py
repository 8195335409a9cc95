# SPDX-License-Identifier: Apache-2.0
"""What vizion3d raises when the user can do something about it.

Every message names the value that is wrong and what would be right. Catch `Vizion3dError` to catch them all; the
children also derive from the built-in exception a Python user would expect.
"""


class Vizion3dError(Exception):
    """Base of every error that vizion3d raises on purpose."""


class InputError(Vizion3dError, ValueError):
    """An image, option or number given by the caller cannot be used."""


class MissingImageError(InputError, FileNotFoundError):
    """The path of an image does not exist."""


class CalibrationError(Vizion3dError, ValueError):
    """The camera numbers do not describe a usable camera or stereo rig."""


class WeightsError(Vizion3dError, RuntimeError):
    """A weights file cannot be found, downloaded, trusted or loaded."""


class EngineError(Vizion3dError, RuntimeError):
    """An engine cannot be built for a network, or does not answer as the network does."""


class DependencyError(Vizion3dError, ImportError):
    """An optional package is needed for what was asked; the message holds the command that installs it."""
