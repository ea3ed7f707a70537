# SPDX-License-Identifier: BSD-3-Clause
"""The command line: `python -m zmalloc`, and what the script `zmalloc` calls."""

from __future__ import annotations

import signal
import sys


def main() -> int:
    """The program; its exit status."""
    # Not as an exception: an import may turn that into another error.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from ._cli.program import main as carry_out

    return carry_out()


if __name__ == "__main__":
    sys.exit(main())
