# SPDX-License-Identifier: Apache-2.0
"""How many best-effort images arrive, by the sender's shared memory and the size of the image.

python -m bench.transport                                 the table
python -m bench.transport --reliable                        the same for reliable publishers and subscribers
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

from vizion3d.evaluate.report import table
from vizion3d_ros import fast_dds
from vizion3d_ros.demo.domains import reserved_domain

SEGMENTS_MB = ("default", "4", "8", "16", "32", "64")
IMAGES_MB = (0.9, 2.8, 6.2, 25.0)
MESSAGES = 30
RATE_HZ = 15.0


def send(size_mb: float, reliable: bool) -> None:
    """The sender's process: 30 images once somebody listens and knows of it."""
    import array

    import rclpy
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import Image

    from vizion3d_ros.bag.round_trip import round_trip

    rclpy.init()
    node = rclpy.create_node("sender")
    reliability = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
    publisher = node.create_publisher(Image, "image", QoSProfile(depth=1, reliability=reliability))
    while not publisher.get_subscription_count():
        time.sleep(0.02)
    round_trip(node, ["/image"], 5.0)
    image = Image(data=array.array("B", bytes(round(size_mb * 1e6))))
    for _ in range(MESSAGES):
        publisher.publish(image)
        time.sleep(1 / RATE_HZ)
    round_trip(node, ["/image"], 5.0)
    node.destroy_node()
    rclpy.shutdown()


def receive(segment: str, size_mb: float, reliable: bool) -> int:
    """How many of the images arrive in this process, which has Fast DDS's default settings."""
    import rclpy
    from rclpy.context import Context
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import Image

    with reserved_domain() as domain:
        chosen = {} if segment == "default" else fast_dds.environment(segment)
        environment = {**os.environ, **chosen, "ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        context = Context()
        rclpy.init(context=context, domain_id=domain)
        node = rclpy.create_node("receiver", context=context)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        arrived: list[object] = []
        reliability = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        qos = QoSProfile(depth=5, reliability=reliability)
        node.create_subscription(Image, "image", lambda _: arrived.append(None), qos)
        words = ["--send", str(size_mb), *(["--reliable"] if reliable else [])]
        sender = subprocess.Popen([sys.executable, __file__, *words], env=environment)
        while sender.poll() is None:
            executor.spin_once(timeout_sec=0.05)
        executor.shutdown()
        node.destroy_node()
        context.try_shutdown()
        return len(arrived)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--send", type=float, metavar="MB", help=argparse.SUPPRESS)
    parser.add_argument("--reliable", action="store_true")
    options = parser.parse_args()
    if options.send:
        send(options.send, options.reliable)
        return
    kind = "reliable" if options.reliable else "best-effort"
    print(f"{MESSAGES} {kind} images at {RATE_HZ:g} Hz, arrived by size of the image and of the sender's shared memory\n")
    rows = [
        [f"{size_mb:g} MB", *(str(receive(segment, size_mb, options.reliable)) for segment in SEGMENTS_MB)]
        for size_mb in IMAGES_MB
    ]
    print(table(["image", *(f"{s} MB" if s.isdecimal() else s for s in SEGMENTS_MB)], rows))


if __name__ == "__main__":
    main()
