# SPDX-License-Identifier: BSD-3-Clause
"""When there is no answer: the exit status, and what is said on standard error."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from .screen import safe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO, TypeVar

    Answer = TypeVar("Answer")

OK, PARTIAL, USAGE, NO_PROCESS = range(4)

LONGEST = 2000  # of what is said on standard error


class Failure(Exception):
    """Why the program ends without an answer, and with which status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def give_up(stream: TextIO) -> None:
    """What is left to write would only fail again, at the end."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def complain(message: str) -> None:
    """Tells on standard error, in vain if there is none."""
    if sys.stderr is not None:
        try:
            print(f"zmalloc: {safe(message[:LONGEST], sys.stderr)}", file=sys.stderr, flush=True)
        except OSError:
            give_up(sys.stderr)


def reason(error: BaseException) -> str:
    """An error in the words of the system where it is the system's."""
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)


def ask(pid: int, question: Callable[[], Answer]) -> Answer:
    """The answer to a question about a process."""
    try:
        return question()
    except ProcessLookupError:
        none = f"no process {pid}: there is none, it has ended, or it has no memory of its own"
        raise Failure(NO_PROCESS, none) from None
    except PermissionError as error:
        raise Failure(NO_PROCESS, f"process {pid}: {reason(error)}") from None
    except OSError as error:
        raise Failure(PARTIAL, f"process {pid}: {reason(error)}") from None
