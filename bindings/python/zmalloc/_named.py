# SPDX-License-Identifier: BSD-3-Clause
"""Errors name the call that was made, and not the C call behind it."""

from __future__ import annotations

TYPE_CHECKING = False  # typing itself would take longer to import than all that an `import zmalloc` needs
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Result = TypeVar("Result")


def ask(call: str, function: Callable[..., Result], *arguments: object) -> Result:
    """What the C call returns; if it fails, its error is put down to the call of that name."""
    try:
        return function(*arguments)
    except Exception as error:
        _rename(error, f"{function.__name__}: ", f"{call}: ")
        raise


def _rename(error: Exception, old: str, new: str) -> None:
    words = [new + word[len(old) :] if str(word).startswith(old) else word for word in error.args]
    error.args = tuple(words)
    if isinstance(error, OSError) and len(words) > 1:
        error.strerror = words[1]
