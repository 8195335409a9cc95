# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for those without a robot: cameras, a viewer that judges, and all of it in one command."""
