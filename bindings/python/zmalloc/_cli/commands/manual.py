# SPDX-License-Identifier: BSD-3-Clause
"""zmalloc manual."""

from __future__ import annotations

import os
import pydoc
import shutil
import subprocess
import sys
from tempfile import NamedTemporaryFile

import zmalloc

from .. import manual as page
from ..failure import OK

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def _by_man(source: str) -> bool:
    """Has man show the page; whether it did."""
    if shutil.which("man") is None:
        return False
    with NamedTemporaryFile("w", suffix=".1", encoding="utf-8") as file:
        file.write(source)
        file.flush()
        return subprocess.run(["man", "-l", file.name], stderr=subprocess.DEVNULL, check=False).returncode == 0


def _by_groff(source: str) -> str | None:
    """The page as groff makes it; nothing without groff."""
    if shutil.which("groff") is None:
        return None
    command = ["groff", "-man", "-Tutf8"]
    done = subprocess.run(command, input=source, capture_output=True, text=True, encoding="utf-8", check=False)
    return done.stdout if done.returncode == 0 and done.stdout else None


def manual(arguments: argparse.Namespace) -> int:
    source = page.source(zmalloc.__version__)
    if arguments.source:
        print(source, end="")
    elif not sys.stdout.isatty():
        print(page.plain(), end="")
    elif os.environ.get("TERM", "") in ("", "dumb"):
        print(page.plain(), end="")
    elif not _by_man(source):
        pydoc.pager(_by_groff(source) or page.plain())
    return OK
