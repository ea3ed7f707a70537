# SPDX-License-Identifier: BSD-3-Clause
"""zmalloc completion."""

from __future__ import annotations

from ..derived import COMPLETIONS
from ..failure import OK

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def completion(arguments: argparse.Namespace) -> int:
    print(COMPLETIONS[arguments.shell](), end="")
    return OK
