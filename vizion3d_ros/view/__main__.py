# SPDX-License-Identifier: Apache-2.0
"""``python -m vizion3d_ros.view`` is `vizion3d view`, for the demo to start it as it starts the nodes."""

import sys

from vizion3d.cli import main

if __name__ == "__main__":
    sys.exit(main(["view", *sys.argv[1:]]))
