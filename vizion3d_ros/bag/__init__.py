# SPDX-License-Identifier: Apache-2.0
"""The recording door: bags read, played, and their messages understood without ROS."""
