# SPDX-License-Identifier: Apache-2.0
"""The message classes that frames are made of: those of ROS where it is installed, else classes with the same fields.

Messages of either kind become the same bytes in a recording (`bag.serialized.serialize`), so that recordings need no ROS.
"""

from __future__ import annotations

from typing import Any


def type_name(kind: type) -> str:
    """ "sensor_msgs/msg/Image" of such a class."""
    return f"{kind.__module__.partition('.')[0]}/msg/{kind.__name__}"


def is_compressed(message: Any) -> bool:
    """Whether an image message is a CompressedImage, of whatever class."""
    return hasattr(message, "format")


def _class_without_ros(name: str) -> type:
    """A class that fills what it is not given with zeros, as those of ROS do."""
    from rosbags.convert.converter import default_message
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.LATEST)
    package, _, short = name.split("/")
    base = store.types[name]

    def fill(self: Any, **given: Any) -> None:
        vars(self).update(vars(default_message(store, name)) | given)

    return type(short, (base,), {"__init__": fill, "__module__": f"{package}.msg"})


try:
    from builtin_interfaces.msg import Time
    from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2, PointField
    from std_msgs.msg import Header
    from stereo_msgs.msg import DisparityImage
except ImportError:
    Time: Any = _class_without_ros("builtin_interfaces/msg/Time")  # type: ignore[no-redef]
    CameraInfo: Any = _class_without_ros("sensor_msgs/msg/CameraInfo")  # type: ignore[no-redef]
    CompressedImage: Any = _class_without_ros("sensor_msgs/msg/CompressedImage")  # type: ignore[no-redef]
    Image: Any = _class_without_ros("sensor_msgs/msg/Image")  # type: ignore[no-redef]
    PointCloud2: Any = _class_without_ros("sensor_msgs/msg/PointCloud2")  # type: ignore[no-redef]
    PointField: Any = _class_without_ros("sensor_msgs/msg/PointField")  # type: ignore[no-redef]
    Header: Any = _class_without_ros("std_msgs/msg/Header")  # type: ignore[no-redef]
    DisparityImage: Any = _class_without_ros("stereo_msgs/msg/DisparityImage")  # type: ignore[no-redef]
