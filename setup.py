# SPDX-License-Identifier: Apache-2.0
"""The only home of the package's metadata, read by pip and by colcon alike."""

from glob import glob
from pathlib import Path

from setuptools import find_packages, setup

NAME = "vizion3d"
DOCS = ["mkdocs", "mkdocs-material", "mkdocstrings[python]"]
COLCON = ["colcon-core", "colcon-ros", "colcon-python-setup-py", "colcon-recursive-crawl"]

setup(
    name=NAME,
    version="0.1.0",
    description="Camera images to depth, disparity and point clouds: stereo and monocular depth nodes on one torch core.",
    long_description=(Path(__file__).resolve().parent / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="vizion3d maintainers",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["vizion3d", "vizion3d.*", "vizion3d_ros", "vizion3d_ros.*"]),
    package_data={"vizion3d": ["py.typed"], "vizion3d_ros": ["py.typed", "*.xml"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        *((f"share/{NAME}/{folder}", glob(f"{folder}/*")) for folder in ("launch", "config", "rviz", "layouts")),
    ],
    install_requires=["numpy>=1.21", "torch>=2.3", "opencv-python-headless>=4.5.5,<5", "pillow>=9.0.1", "pyyaml>=5"],
    extras_require={
        "ros": [
            "ros-rclpy[fastrtps]",
            "ros-sensor-msgs",
            "ros-stereo-msgs",
            "ros-diagnostic-msgs",
            "ros-rosgraph-msgs",
            "ros-lifecycle-msgs",
        ],
        "open3d": ["open3d"],
        # Scales, legends and axes in pictures.
        "plots": ["matplotlib"],
        "bag": ["rosbags", "mcap"],
        "ray": ["ray", "rosbags"],
        "view": ["foxglove-sdk", "rosbags"],
        # Engines, with what builds them; on a robot that only runs them openvino or onnxruntime alone does.
        "openvino": ["openvino", "onnx", "onnxscript"],
        "onnx": ["onnxruntime", "onnx", "onnxscript"],
        "docs": DOCS,
        "test": ["pytest", "hypothesis", "safetensors"],
        "dev": [
            "matplotlib",
            "pytest",
            "pytest-xdist",
            "hypothesis",
            "foxglove-sdk",
            "websockets",
            "onnx",
            "onnxruntime",
            "onnxscript",
            "safetensors",
            "ruff",
            "mypy",
            "pre-commit",
            "types-PyYAML",
            *COLCON,
            *DOCS,
        ],
    },
    zip_safe=False,
    entry_points={
        "console_scripts": [
            "vizion3d = vizion3d.cli:main",
            "mono_depth_node = vizion3d_ros.program:mono_depth_node",
            "stereo_depth_node = vizion3d_ros.program:stereo_depth_node",
            "multi_depth_node = vizion3d_ros.program:multi_depth_node",
            "synthetic_camera_node = vizion3d_ros.program:synthetic_camera_node",
            "picture_camera_node = vizion3d_ros.program:picture_camera_node",
            "depth_viewer_node = vizion3d_ros.program:depth_viewer_node",
            "rviz_in_camera_frame = vizion3d_ros.program:rviz_in_camera_frame",
            "bag_player = vizion3d_ros.program:bag_player",
        ],
        # Subcommands of `vizion3d` that other packages bring, and what they add to those that are there: modules with
        # `add_parser(subparsers)`.
        "vizion3d.commands": [
            "params = vizion3d_ros.commands.params",
            "bench = vizion3d_ros.commands.bench",
            "topics = vizion3d_ros.commands.topics",
            "sample = vizion3d_ros.commands.sample",
            "bag = vizion3d_ros.commands.bag",
            "view = vizion3d_ros.commands.view",
        ],
    },
)
