# SPDX-License-Identifier: Apache-2.0
"""Camera images to depth, disparity and point clouds, for scripts and for robots.

`vizion3d.stereo` takes a rectified pair. Importing this package loads neither torch nor
Open3D. The ROS 2 nodes are in `vizion3d_ros`.
"""

__version__ = "0.1.0"
