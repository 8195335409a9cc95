# SPDX-License-Identifier: Apache-2.0
"""How fast this machine is with vizion3d: each measured time beside the ceiling that the machine sets, taken in turn.

A time alone says more of what else the machine does than of what is measured. So everything, ceilings too, is run once, then
again and again in turn, and compared by medians: what disturbs one disturbs the others as well, and ratios hold.
"""

from vizion3d.bench.cases import Case, model_cases
from vizion3d.bench.ceiling import Ceiling, ceilings
from vizion3d.bench.report import Report, Row, measure, recommended
from vizion3d.bench.timing import take_turns

__all__ = ["Case", "Ceiling", "Report", "Row", "ceilings", "measure", "model_cases", "recommended", "take_turns"]
