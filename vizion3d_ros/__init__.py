# SPDX-License-Identifier: Apache-2.0
"""ROS 2 nodes around vizion3d. Everything that imports rclpy is in this package."""
