# SPDX-License-Identifier: BSD-3-Clause
"""zmalloc completion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..derived import COMPLETIONS
from ..failure import OK

if TYPE_CHECKING:
    import argparse


def completion(arguments: argparse.Namespace) -> int:
    print(COMPLETIONS[arguments.shell](), end="")
    return OK
