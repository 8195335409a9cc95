# SPDX-License-Identifier: Apache-2.0
"""What this project measures of itself: `python -m bench`, or `make bench`, prints targets beside what is measured.

A module here that has ``targets()``, which gives `bench.target.Target` records one by one, is part of it, unless it says
`ONLY_IF_NAMED`, because it takes minutes: `python -m bench exported`, and of nodes `soak`, `rigs` and `load`. `accuracy` (make
accuracy), `transport` and `stereo_network` print tables of their own: `python -m bench.transport`.
"""
