# SPDX-License-Identifier: BSD-3-Clause
"""The command line: `python -m zmalloc`, and what the script `zmalloc` calls."""

from __future__ import annotations

import sys

from ._cli import main

if __name__ == "__main__":
    sys.exit(main())
