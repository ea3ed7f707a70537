# SPDX-License-Identifier: BSD-3-Clause
"""Figures that a process publishes, and those of another process."""

from __future__ import annotations

from . import _zmalloc
from ._named import ask

MOST_SECONDS = 2_000_000


def _milliseconds(interval: float | None) -> int:
    """For C, where 0 is none."""
    if interval is None:
        return 0
    if isinstance(interval, bool) or not isinstance(interval, (int, float)):
        raise TypeError(f"publish: argument 'interval' must be a number or None, not {type(interval).__name__}")
    if not 0 < interval <= MOST_SECONDS:
        raise ValueError(f"publish: argument 'interval' must be above 0 and at most {MOST_SECONDS}, not {interval}")
    return max(1, round(interval * 1000))


def publish(on: bool = True, *, interval: float | None = None) -> None:
    """Publishes this process's figures for published() in others of its user, or ends that. Linux.

    Every report(), and each sample of a Monitor, refreshes them. With an interval, in seconds, a thread of C's own
    does so too, at least so often. A forked child publishes nothing until it calls this itself. See zmalloc_publish.
    OSError where the platform or a sandbox has no place for them.

    >>> zmalloc.publish(interval=0.5)
    >>> zmalloc.published().interval_ms
    500
    >>> zmalloc.publish(False)
    """
    ask("publish", _zmalloc.zmalloc_publish, on, _milliseconds(interval))


def published(pid: int | None = None) -> _zmalloc.Published:
    """What a process has published, in bytes, and when: help(zmalloc.Published) has each figure.

    Raises what the other questions about processes raise, and

    - FileNotFoundError if the process publishes nothing;
    - PermissionError if it is another user's, or the page is another process's: a child may have its parent's;
    - BlockingIOError if the page was being written all the time;
    - OSError if the process has not refreshed it as it promised (ESTALE), or if it is another version's
      (EPROTONOSUPPORT) or no such page at all (EBADMSG).

    >>> zmalloc.publish()
    >>> zmalloc.published().used == zmalloc.used_memory()
    True
    >>> zmalloc.publish(False)
    """
    return ask("published", _zmalloc.zmalloc_published, pid)
