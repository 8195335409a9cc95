# SPDX-License-Identifier: Apache-2.0
"""The recording door: bags read, made and played, and their messages understood without ROS."""
