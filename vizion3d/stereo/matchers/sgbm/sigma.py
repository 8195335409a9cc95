# SPDX-License-Identifier: Apache-2.0
"""How far off a disparity is, by its confidence."""

from __future__ import annotations

SIGMA_OF_CONFIDENCE = ((0.0, 0.70), (0.1, 0.53), (0.5, 0.43), (0.8, 0.43), (0.9, 0.41), (0.95, 0.23))
"""(lowest confidence, pixels of the matched images): 68.3 % of the valid pixels are off by no more.

Fitted by ``python -m bench.sigma`` on the everyday pairs of `vizion3d.synthetic.benchmark`: what a camera in good order sees,
with sensor noise, exposures that differ by a tenth and rows a quarter of a pixel apart. Without all that the error is half as
large, with rows a whole pixel apart twice.
"""
