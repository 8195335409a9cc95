# SPDX-License-Identifier: Apache-2.0
"""python -m vizion3d"""

import sys

from vizion3d.cli import main

sys.exit(main())
