# SPDX-License-Identifier: Apache-2.0
"""Subcommands of `vizion3d` that need ROS messages, entry points of the group `vizion3d.commands`."""
