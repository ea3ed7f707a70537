# SPDX-License-Identifier: BSD-3-Clause
"""zmalloc top."""

from __future__ import annotations

import errno
import os
import sys
import time

import zmalloc

from ..._kernel import known, process_name
from ..failure import OK, PARTIAL, Failure, reason
from ..screen import Column, Repeated, Table, print_json, safe, shown
from ..watched import as_json, clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from typing import Any

    from ..._kernel import Silent

# What a page that is none is called where there is little room.
SHORT = {errno.ESTALE: "stale", errno.EAGAIN: "torn", errno.EPERM: "foreign", errno.EBADMSG: "forged",
         errno.EPROTONOSUPPORT: "version"}  # fmt: skip
SIZES = ("rss", "pss", "private_dirty", "used", "fragmentation")


def _numbers(everybody: bool) -> Iterator[int]:
    """The processes of this user, or of all, in no order."""
    try:
        entries = os.scandir("/proc")
    except OSError as error:
        raise Failure(PARTIAL, f"top: /proc: {reason(error)}") from None
    with entries:
        for entry in entries:
            if entry.name.isascii() and entry.name.isdecimal():
                try:
                    if everybody or os.stat(f"/proc/{entry.name}").st_uid == os.geteuid():
                        yield int(entry.name)
                except OSError:  # it has ended
                    continue


def _read(pid: int, silent: Silent) -> dict[str, Any] | None:
    """A process; None if it has ended, has no memory of its own, or tells this user nothing."""
    try:
        figures, published, error = known("top", pid, True, silent)
    except ProcessLookupError:
        return None
    except OSError:  # another user's: the kernel tells everybody its rss
        try:
            figures, published, error = {"rss": zmalloc.rss(pid)}, None, None
        except OSError:
            return None
    return {
        "pid": pid,
        "name": process_name(pid),
        "allocator": published.allocator if published is not None else None,
        "published": as_json(published),
        "error": error.strerror.partition(": ")[2] if error is not None and error.strerror else None,
        "rss": figures.get("rss"),
        "pss": figures.get("pss"),
        "private_dirty": figures.get("private_dirty"),
        "used": figures.get("used"),
        "fragmentation": figures.get("allocator_frag_bytes"),
        "ratio": figures.get("mem_fragmentation_ratio"),
        "as of": clock(published) if published is not None else SHORT.get(error.errno or 0, "error") if error else "",
    }


def _is_wanted(process: dict[str, Any], arguments: argparse.Namespace) -> bool:
    if arguments.published and process["published"] is None and process["error"] is None:
        return False
    return arguments.filter is None or arguments.filter.casefold() in (process["name"] or "").casefold()


def _order(key: str, process: dict[str, Any]) -> tuple[bool, Any, int]:
    """Sizes from the largest, and those that are unknown last."""
    value = process[key]
    if key in SIZES:
        return value is None, 0 if value is None else -value, process["pid"]
    return value is None, value, process["pid"]


def _processes(arguments: argparse.Namespace, silent: Silent) -> list[dict[str, Any]]:
    read = (_read(pid, silent) for pid in _numbers(arguments.all))
    found = [process for process in read if process is not None]
    wanted = [process for process in found if _is_wanted(process, arguments)]
    return sorted(wanted, key=lambda process: _order(arguments.sort, process))


def _sum(processes: list[dict[str, Any]], name: str) -> int | None:
    sizes = [process[name] for process in processes if process[name] is not None]
    return sum(sizes) if sizes else None


def _table(processes: list[dict[str, Any]], arguments: argparse.Namespace) -> Table:
    table = Table([Column("pid", number=True), *(Column(name, number=True, leave=leave) for name, leave in zip(
        SIZES, (0, 3, 2, 0, 5))), Column("rss/used", number=True, leave=4), Column("as of", leave=6),
        Column("name", least=12)])  # fmt: skip
    for process in processes[: arguments.top]:
        sizes = ["" if process[name] is None and name in SIZES[3:] else shown(process[name], arguments.bytes)
                 for name in SIZES]  # fmt: skip
        ratio = "" if process["ratio"] is None else shown(process["ratio"], arguments.bytes)
        name = safe(process["name"] or "")
        table.rows.append([str(process["pid"]), *sizes, ratio, process["as of"], name])
    sums = ["" if (size := _sum(processes, name)) is None else shown(size, arguments.bytes) for name in SIZES]
    number = f"{len(processes)} processes" if len(processes) != 1 else "1 process"
    if arguments.top is not None and len(processes) > arguments.top:
        number += f", {arguments.top} shown"
    table.rows.append(["", *sums, "", "", number])
    return table


def _readings(arguments: argparse.Namespace) -> Iterator[list[dict[str, Any]]]:
    """As many as are wanted; on a terminal until it is interrupted, elsewhere one."""
    count = arguments.count
    if count is None and not sys.stdout.isatty():
        count = 1
    due = time.monotonic()
    number = 0
    silent: Silent = {}
    while number != count:
        time.sleep(max(due - time.monotonic(), 0))
        silent = {pid: told for pid, told in silent.items() if time.monotonic() < told[0]}  # many have ended
        yield _processes(arguments, silent)
        due = max(due + arguments.interval, time.monotonic())
        number += 1


def top(arguments: argparse.Namespace) -> int:
    if arguments.json:
        for processes in _readings(arguments):
            listed = [{name: process[name] for name in process if name not in ("ratio", "as of")}
                      | {"mem_fragmentation_ratio": process["ratio"]} for process in processes]  # fmt: skip
            print_json({"wall": time.time(), "processes": listed[: arguments.top]})
        return OK
    with Repeated() as screen:
        for processes in _readings(arguments):
            screen.show(_table(processes, arguments))
    return OK
