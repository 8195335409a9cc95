# SPDX-License-Identifier: Apache-2.0
"""The doctor for robots and recordings: seconds of topics -> one page. `bag` and `live` collect facts, `page` tells them."""
