# SPDX-License-Identifier: BSD-3-Clause
"""Scopes in which a limit on the bytes in use is set."""

from __future__ import annotations

import sys

from . import _zmalloc
from ._named import ask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

INFINITE = float("inf")


def to_bytes(limit: float | None, call: str) -> int:
    """A limit as C has it: 0 is no limit."""
    if limit is None or (isinstance(limit, float) and limit == INFINITE):
        return 0
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise TypeError(f"{call}: argument 'bytes' must be an int, math.inf or None, not {type(limit).__name__}")
    if limit < 0:
        raise ValueError(f"{call}: argument 'bytes' must not be negative")
    if limit > 2 * sys.maxsize + 1:
        raise OverflowError(f"{call}: argument 'bytes' is too large")
    return limit


def from_bytes(limit: int) -> float:
    """A limit as Python has it."""
    return limit or INFINITE


class Limit:
    """A limit on the bytes in use, for all threads, within a `with` block. At its end the limit from before is set.

    >>> with zmalloc.limit(zmalloc.used_memory() + 1_000_000) as limit:
    ...     print(limit.bytes == zmalloc.limit())
    True
    """

    __slots__ = ("_before", "_bytes")

    def __init__(self, bytes: float | None) -> None:
        self._bytes = to_bytes(bytes, "limit")
        self._before: int | None = None

    @property
    def bytes(self) -> float:
        """The limit, in bytes; math.inf: none."""
        return from_bytes(self._bytes)

    def __enter__(self) -> Limit:
        if self._before is not None:
            raise RuntimeError("limit: the scope has begun already: make a new one")
        before = _zmalloc.zmalloc_limit()
        ask("limit", _zmalloc.zmalloc_set_limit, self._bytes)
        self._before = before
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._before is not None
        _zmalloc.zmalloc_set_limit(self._before)
