# SPDX-License-Identifier: Apache-2.0
"""Images, depth, clouds and diagnostics of running nodes or of a recording in a viewer that need not be on the robot.

What is shown leaves over the WebSocket protocol of Foxglove, which Foxglove and Lichtblick understand, by the package
foxglove-sdk: the messages as they are, and only those that somebody looks at.
"""
