# SPDX-License-Identifier: BSD-3-Clause
"""What each command does: asks the module, and tells the answer to people or to other programs.

A command is a function in the module of its name here. No other command's is loaded, nor what that needs.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def carry_out(arguments: argparse.Namespace) -> int:
    """The command's exit status."""
    command = getattr(import_module(f".{arguments.command}", __name__), arguments.command)
    status: int = command(arguments)
    return status
