# SPDX-License-Identifier: Apache-2.0
"""How the arithmetic is executed: on which device, in which precision."""
