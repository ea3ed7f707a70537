# SPDX-License-Identifier: BSD-3-Clause
"""zmalloc completion, zmalloc manual: what is made of the parser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import zmalloc

from ..failure import OK

if TYPE_CHECKING:
    import argparse


def completion(arguments: argparse.Namespace) -> int:
    from ..derived import COMPLETIONS

    print(COMPLETIONS[arguments.shell](), end="")
    return OK


def manual(arguments: argparse.Namespace) -> int:
    from ..derived import manual as page

    print(page(zmalloc.__version__), end="")
    return OK
