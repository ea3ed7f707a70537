# SPDX-License-Identifier: BSD-3-Clause
"""What the command line does: asks the module, and tells the answer to people or to other programs."""

from __future__ import annotations

import difflib
import json
import logging
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import zmalloc

from ._parser import UsageError, make_parser
from ._screen import Column, Rolling, Table, safe, say, show, shown

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from typing import TextIO

    from ._monitor import Monitor
    from ._series import Sample

OK, PARTIAL, USAGE, NO_PROCESS = range(4)

FIGURES = {
    "used": "in blocks, to the byte",
    "allocated": "in blocks, as the allocator counts",
    "active": "in pages that hold blocks",
    "resident": "held by the allocator",
    "rss": "held of the machine's memory",
    "allocator_overhead_bytes": "allocated beyond used",
    "allocator_frag_bytes": "active beyond allocated",
    "allocator_rss_bytes": "resident beyond active: can be purged",
    "rss_overhead_bytes": "code, stacks, other libraries' memory",
    "mapped": "the allocator's addresses for blocks",
    "retained": "addresses kept, memory given back",
    "metadata": "for the allocator's own use",
    "mem_fragmentation_ratio": "rss / used",
    "allocator_frag_smallbins_ratio": "places for small blocks / those taken",
    "pss": "rss, shared pages by their part",
    "uss": "what would be free if it ended",
    "private_dirty": "written to, and shared with none",
    "swap": "in swap, and not in rss",
    "huge_pages": "in huge pages without a file",
    "peak": "the most used that any reading found",
    "total_allocated": "ever allocated",
    "total_freed": "ever freed",
    "limit": "the most that may be used",
    "soft_limit": "beyond this the handler is called",
}
KERNEL = ("rss", "pss", "uss", "private_dirty", "swap", "huge_pages")  # known of any process
LIMITS = ("limit", "soft_limit")
LONGEST = 2000  # of what is said on standard error
OTHERS_NOTE = "What its allocator has in use only the library in that process can tell: there, zmalloc.report()."

Answer = TypeVar("Answer")


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


def print_json(value: object) -> None:
    print(json.dumps(value, allow_nan=False), flush=True)


class Watched:
    """A process, its figures over time, and how far they could be had."""

    def __init__(self, pid: int | None, length: int = 1) -> None:
        self.pid = os.getpid() if pid is None else pid
        self.is_own = self.pid == os.getpid()
        self.status = OK
        self.ended = False
        self.monitor, self.first = ask(self.pid, lambda: self._begin(length))

    def _begin(self, length: int) -> tuple[Monitor, Sample]:
        from ._monitor import Monitor

        try:
            monitor = Monitor(None, length, walk=True, pid=self.pid)
            sample = monitor.sample()
            if self.is_own and sample.rss is None:
                zmalloc.smaps()  # tells why
        except OSError as error:
            if isinstance(error, ProcessLookupError):
                raise
            monitor = Monitor(None, length, pid=self.pid)
            sample = monitor.sample()
            missing = ", ".join(name for name in KERNEL if getattr(sample, name) is None)
            complain(f"process {self.pid}: {missing} unknown: {reason(error)}")
            self.status = PARTIAL
        return monitor, sample

    def figures(self, sample: Sample) -> dict[str, Any]:
        """As JSON has them."""
        return {"pid": self.pid, "allocator": zmalloc.allocator if self.is_own else None, **sample._asdict()}

    def samples(self, interval: float, count: int | None) -> Iterator[Sample]:
        """The first and then as many as are wanted, or as there are until the process ends."""
        due = time.monotonic()
        number = 1
        yield self.first
        while number != count:
            due = max(due + interval, time.monotonic())
            time.sleep(max(due - time.monotonic(), 0))
            sample = self.next()
            if sample is None:
                self.monitor.mark("process ended")
                self.status = self.status if count is None else PARTIAL
                return
            yield sample
            number += 1

    def next(self) -> Sample | None:
        """Another sample; none if the process has ended."""
        try:
            return self.monitor.sample()
        except ProcessLookupError:
            self.ended = True
            return None
        except OSError as error:
            raise Failure(PARTIAL, f"process {self.pid}: {reason(error)}") from None

    def end(self) -> int:
        """What there is to say at the end, and the status."""
        if self.ended:
            complain(f"process {self.pid} has ended")
        return self.status


def report(arguments: argparse.Namespace) -> int:
    watched = Watched(arguments.pid)
    sample = watched.first
    if arguments.json:
        print_json(watched.figures(sample))
        return watched.status
    names = FIGURES if watched.is_own else KERNEL
    table = Table([Column("figure", least=16), Column("value", number=True), Column("what it is", least=20, leave=1)])
    told = {name: shown(getattr(sample, name), arguments.bytes) for name in names}
    told.update({name: "none" for name in LIMITS if name in told and getattr(sample, name) is None})
    table.rows = [[name, told[name], FIGURES[name]] for name in names]
    print(f"process {watched.pid}{f', {zmalloc.allocator}' if watched.is_own else ''}")
    show(table)
    if not watched.is_own:
        say(OTHERS_NOTE)
    return watched.status


def smaps(arguments: argparse.Namespace) -> int:
    pid = arguments.pid
    sums = ask(pid, lambda: zmalloc.smaps(pid=pid))
    wanted = {} if arguments.fields else sums
    for name in arguments.fields:
        plain = name[:-1] if name.endswith(":") else name  # as the kernel writes it
        wanted[plain] = sums[plain] if plain in sums else ask(pid, lambda: _rare_field(name, pid, sums))  # noqa: B023
    if arguments.json:
        print_json({"pid": pid, "fields": wanted})
        return OK
    rows = [[safe(name), shown(size, arguments.bytes)] for name, size in wanted.items()]
    show(Table([Column("field", least=8), Column("sum", number=True)], rows))
    return OK


def _rare_field(name: str, pid: int, others: dict[str, int]) -> int:
    """One that the kernel has in each mapping and does not sum."""
    try:
        return zmalloc.smaps(name, pid)
    except (FileNotFoundError, ValueError):
        known = {field for mapping in zmalloc.mappings(pid) for field in mapping.fields} | set(others)
        folded = {field.casefold(): field for field in sorted(known)}
        near = difflib.get_close_matches(name.casefold(), folded, 1)
        hint = f": did you mean {folded[near[0]]}?" if near else f"; there are {', '.join(sorted(known))}"
        raise Failure(USAGE, f"smaps: no field '{name}'{hint}") from None


def mappings(arguments: argparse.Namespace) -> int:
    pid = arguments.pid
    found = ask(pid, lambda: zmalloc.mappings(pid))
    if arguments.json:
        names = ("begin", "end", "offset", "permissions", "path", "fields")
        print_json({"pid": pid, "mappings": [dict(zip(names, mapping)) for mapping in found]})
        return OK
    table = Table([Column("addresses", leave=1), Column("mode", leave=2)])
    sums: dict[str, int | None] = {}
    for field, leave in (("Size", 3), ("Rss", 0), ("Pss", 5), ("Private_Dirty", 4), ("Swap", 6)):
        if any(field in mapping.fields for mapping in found):
            table.columns.append(Column(field, number=True, leave=leave))
            sizes = [mapping.fields.get(field) for mapping in found]
            sums[field] = None if None in sizes else sum(filter(None, sizes))
    table.columns.append(Column("path", least=16, keep_end=True))
    for mapping in found:
        told = [shown(mapping.fields.get(field), arguments.bytes) for field in sums]
        addresses = f"{mapping.begin:012x}-{mapping.end:012x}"
        table.rows.append([addresses, mapping.permissions, *told, safe(mapping.path)])
    table.rows.append(["", "", *(shown(size, arguments.bytes) for size in sums.values()), f"{len(found)} mappings"])
    show(table)
    return OK


def watch(arguments: argparse.Namespace) -> int:
    watched = Watched(arguments.pid)
    if arguments.json:
        for sample in watched.samples(arguments.interval, arguments.count):
            print_json(watched.figures(sample))
        return watched.end()
    names = [*(("used", "allocated", "active", "resident") if watched.is_own else ()), *KERNEL]
    widths = [max(len(name), 14 if arguments.bytes else 9) for name in names]
    heads = [name.rjust(width) for name, width in zip(names, widths)]
    columns = [Column("time".ljust(8)), *(Column(head, True, leave=i) for i, head in enumerate(heads))]
    with Rolling(columns) as table:
        for sample in watched.samples(arguments.interval, arguments.count):
            sizes = [shown(getattr(sample, name), arguments.bytes) for name in names]
            cells = [size.rjust(width) for size, width in zip(sizes, widths)]
            table.add([time.strftime("%H:%M:%S", time.localtime(sample.wall)), *cells])
    return watched.end()


def plot(arguments: argparse.Namespace) -> int:
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    try:
        from matplotlib.backend_bases import FigureCanvasBase
    except ImportError as error:
        raise Failure(USAGE, f"plot: needs matplotlib, which can't be imported: {error}") from None
    kinds = sorted(FigureCanvasBase.get_supported_filetypes())
    if Path(arguments.output).suffix[1:].lower() not in kinds:
        raise Failure(USAGE, f"plot: '{arguments.output}' does not end in one of .{', .'.join(kinds)}")
    if not os.access(Path(arguments.output).parent, os.W_OK):
        raise Failure(PARTIAL, f"plot: can't write into the folder of '{arguments.output}'")
    watched = Watched(arguments.pid, arguments.count)
    for _ in watched.samples(arguments.interval, arguments.count):
        pass
    try:
        watched.monitor.plot(arguments.output, title=f"process {watched.pid}")
    except OSError as error:
        raise Failure(PARTIAL, f"plot: '{arguments.output}': {reason(error)}") from None
    return watched.end()


def serve(arguments: argparse.Namespace) -> int:
    try:
        from ._serve import Server
    except ImportError as error:
        raise Failure(USAGE, f"serve: {error}") from None
    watched = Watched(arguments.pid)
    try:
        server = Server(arguments.address, arguments.port, watched.monitor)
    except OSError as error:
        raise Failure(PARTIAL, f"serve: {arguments.address} port {arguments.port}: {error.strerror}") from None
    with server:
        print(f"serving {server.url}", flush=True)
        while watched.next() is not None:
            time.sleep(1.0)
    return watched.end()


def completion(arguments: argparse.Namespace) -> int:
    from ._derived import COMPLETIONS

    print(COMPLETIONS[arguments.shell](), end="")
    return OK


def manual(arguments: argparse.Namespace) -> int:
    from ._derived import manual as page

    print(page(zmalloc.__version__), end="")
    return OK


COMMANDS = {command.__name__: command for command in (report, smaps, mappings, watch, plot, serve, completion, manual)}


def run(arguments: list[str] | None) -> int:
    """Does what the command line says, as it is written."""
    if sys.stdout is None:
        raise Failure(PARTIAL, "standard output is closed")
    try:
        options = make_parser(f"zmalloc {zmalloc.__version__} ({zmalloc.allocator})").parse_args(arguments)
        status = COMMANDS[options.command](options)
    except SystemExit:  # argparse has printed the help, or the version
        status = OK
    sys.stdout.flush()
    return status


def end_by(number: signal.Signals) -> int:
    """Ends this process by the signal, as whoever started it expects."""
    signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
    os.kill(os.getpid(), number)
    return 128 + number


def main(arguments: list[str] | None = None) -> int:
    """The program; its exit status."""
    try:
        return run(arguments)
    except UsageError as error:
        command, said = error.args
        complain(f"{': '.join([*command.split()[1:], said])} (see {command} --help)")
        return USAGE
    except Failure as failure:
        complain(str(failure))
        return failure.status
    except MemoryError:
        complain("out of memory")
        return PARTIAL
    except KeyboardInterrupt:
        return end_by(signal.SIGINT)
    except BrokenPipeError:
        return end_by(signal.SIGPIPE)
    except OSError as error:
        complain(f"standard output: {reason(error)}")
        give_up(sys.stdout)
        return PARTIAL
