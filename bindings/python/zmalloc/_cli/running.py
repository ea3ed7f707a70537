# SPDX-License-Identifier: BSD-3-Clause
"""A program that is run and watched: by the kernel from outside, and by a library that is preloaded from inside."""

from __future__ import annotations

import fcntl
import os
import re
import resource
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import NamedTuple

from .failure import PARTIAL, Failure, reason
from .preloaded import Gathered, Page, by_process

NOT_EXECUTABLE, NO_PROGRAM = 126, 127
SHORTEST, OFTEN = 0.005, 20  # at first, readings are this near; then by a 20th of the time so far, up to `every`
ENOUGH_READINGS = 5  # for the most RSS that they have seen
ROOM = 1 << 20  # that a folder for pages has at the least
FOLDERS = "zmalloc-run-"
NEW = 60  # seconds for which a folder may be without its lock
MOST_READINGS = 10000  # then every second one goes, and they are taken half as often

# As src/preload/run.h has them.
_FOLDER, _MILLISECONDS, _LIMIT, _SOFT_LIMIT, _PUBLISH_MILLISECONDS = (
    f"ZMALLOC_{name}"
    for name in ("RUN_FOLDER", "RUN_MILLISECONDS", "RUN_LIMIT", "RUN_SOFT_LIMIT", "PUBLISH_MILLISECONDS")
)


class Reading(NamedTuple):
    """One moment: seconds since the start, the levels of the program's own process, RSS of it and all it started."""

    time: float
    used: int | None
    allocated: int | None
    active: int | None
    resident: int | None
    rss: int | None
    all_rss: int
    told: float | None = None  # when the program told its levels, but for RSS: a bit before


class Outcome(NamedTuple):
    """What is known of a run."""

    status: int  # the exit status, or a signal's number below 0
    wall: float
    user: float
    system: float
    minor_faults: int
    major_faults: int
    pid: int
    peak_rss: int | None  # of the largest process
    readings: list[Reading]
    pages: list[Page]
    number_ended: int  # of children that had ended before the program did, also those whose pages were not kept
    bytes_seen: int  # that were allocated through the library, in all processes
    interrupted: int | None = None  # by this signal, from the keyboard or to this program

    @property
    def own(self) -> list[Page]:
        """Of the program's own process: more than one if it has executed others in its place."""
        return [page for page in self.pages if page.pid == self.pid and page.is_filled]

    @property
    def is_seen(self) -> bool:
        """Whether the library was in the program, even if it told nothing before a signal ended it."""
        return any(page.pid == self.pid for page in self.pages)

    @property
    def children(self) -> list[list[Page]]:
        """The images of each process but the program's own, in the order of their starts."""
        processes = by_process(page for page in self.pages if page.pid != self.pid)
        return [images for images in processes.values() if any(page.is_filled for page in images)]


def _field(pid: int, name: str) -> int | None:
    """A size of /proc/PID/status in bytes."""
    with suppress(OSError, ValueError):
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith(f"{name}:"):
                    return int(line.split()[1]) * 1024
    return None


def _children(pid: int) -> list[int]:
    """Of all its threads."""
    found: list[int] = []
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError), open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                found += map(int, file.read().split())
    return found


def _rss_of_all(pid: int) -> int:
    """Of a process and its descendants; pages that they share count for each."""
    total, left = 0, [pid]
    while left:
        one = left.pop()
        total += _field(one, "VmRSS") or 0
        left += _children(one)
    return total


def _has_room(folder: str) -> bool:
    """For the pages of some processes: who can't write one says nothing."""
    try:
        known = os.statvfs(folder)
    except OSError:
        return False
    return known.f_bavail * known.f_frsize >= ROOM


def _sweep(place: str) -> None:
    """Removes what runs that were killed have left there: nobody has its lock."""
    for name in os.listdir(place):
        if name.startswith(FOLDERS):
            with suppress(OSError), ExitStack() as stack:
                folder = os.path.join(place, name)
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                stack.callback(os.close, descriptor)
                known = os.fstat(descriptor)
                if known.st_uid == os.geteuid() and time.time() - known.st_mtime > NEW:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _private_folder() -> Iterator[str]:
    """In memory where that can be, and gone at the end; or, if this process is killed, when there is another."""
    places = (os.environ.get("XDG_RUNTIME_DIR"), "/dev/shm")
    good = [place for place in places if place and os.access(place, os.W_OK | os.X_OK) and _has_room(place)]
    with ExitStack() as stack:
        try:
            folder = tempfile.mkdtemp(prefix=FOLDERS, dir=good[0] if good else None)
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            stack.callback(os.close, descriptor)
        except OSError as error:
            raise Failure(PARTIAL, f"there is no place for a temporary folder: {reason(error)}") from None
        with suppress(OSError):  # no locks there, or not to be listed
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            _sweep(os.path.dirname(folder))
        yield folder


class Signals:
    """Those that end a program. A terminal sends the first two to both; the program may live on, and if not, what is
    known is to be reported. The others come to this program alone, which passes them on.
    """

    SHARED, PASSED_ON = (signal.SIGINT, signal.SIGQUIT), (signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self.came: list[int] = []
        self._pid: int | None = None

    def __enter__(self) -> Signals:
        self._before = {number: signal.getsignal(number) for number in (*self.SHARED, *self.PASSED_ON)}
        for number, before in self._before.items():
            if before != signal.SIG_IGN:  # else the program would not get them either
                signal.signal(number, self._note)  # exec sets it back, and ignored ones not
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _note(self, number: int, _: object) -> None:
        self.came.append(number)
        self._pass_on(number)

    def _pass_on(self, number: int) -> None:
        if self._pid is not None and number in self.PASSED_ON:
            with suppress(ProcessLookupError):
                os.kill(self._pid, number)

    def program_is(self, pid: int | None) -> None:
        """It has started; or ended, and its number may be another's."""
        self._pid = pid
        for number in self.came:
            self._pass_on(number)


class Run:
    """How a program is to be run."""

    def __init__(
        self, words: list[str], library: str | None, every: float, limit: int | None = None,
        soft_limit: int | None = None, publishes: bool = False, outside: bool = False,
    ) -> None:  # fmt: skip
        # From outside only the kernel is asked, so that nothing disturbs what is measured. Its files are nowhere.
        self.words, self.library, self.every, self.outside = words, library, every, outside
        self.limit, self.soft_limit, self.publishes = limit, soft_limit, publishes
        self.readings: list[Reading] = []

    def _environment(self, folder: str) -> dict[str, str]:
        environment = dict(os.environ)
        if self.library is not None:
            library = self.library
            if re.search(r"[\s:]", library):  # which would end its name there
                library = os.path.join(folder, "library.so")
                os.symlink(self.library, library)
            others = environment.get("LD_PRELOAD")
            environment["LD_PRELOAD"] = f"{library}:{others}" if others else library
            milliseconds = str(max(1, round(self.every * 1000)))
            environment |= {_FOLDER: folder, _MILLISECONDS: "0" if self.outside else milliseconds}
            environment |= {_PUBLISH_MILLISECONDS: milliseconds} if self.publishes else {}
            environment |= {_LIMIT: str(self.limit)} if self.limit else {}
            environment |= {_SOFT_LIMIT: str(self.soft_limit)} if self.soft_limit else {}
        return environment

    def _start(self, folder: str) -> subprocess.Popen[bytes]:
        nowhere = subprocess.DEVNULL if self.outside else None
        try:
            return subprocess.Popen(
                self.words, env=self._environment(folder), stdin=nowhere, stdout=nowhere, stderr=nowhere
            )
        except FileNotFoundError:
            word = self.words[0]
            if "/" in word and os.path.exists(word):
                raise Failure(NOT_EXECUTABLE, f"{word}: the interpreter that it names is not there") from None
            raise Failure(NO_PROGRAM, f"no program {word!r}") from None
        except OSError as error:
            raise Failure(NOT_EXECUTABLE, f"{self.words[0]}: {error.strerror}") from None

    def _read(self, pid: int, began: float, gathered: Gathered) -> None:
        gathered.sort_out(pid)
        pages = [page for page in gathered.pages_of(pid) if page.is_filled]
        inside = pages[-1].figures if pages else {}
        rss = _field(pid, "VmRSS")
        if rss is not None:
            moment = time.monotonic() - began
            self.readings.append(Reading(
                moment, inside.get("used"), inside.get("allocated"), inside.get("active"), inside.get("resident"),
                rss, _rss_of_all(pid), max((inside["updated_ns"] or 0) / 1e9 - began, 0) if inside else None,
            ))  # fmt: skip
        if len(self.readings) >= MOST_READINGS:
            del self.readings[1::2]
            self.every *= 2

    def go(self) -> Outcome:
        """Runs it to its end."""
        with _private_folder() as folder, Signals() as signals:
            began = time.monotonic()
            own_peak = _field(os.getpid(), "VmHWM") or 0
            process = self._start(folder)
            signals.program_is(process.pid)
            gathered = Gathered(folder)
            status, usage, seen_peak = self._watch(process.pid, began, gathered)
            signals.program_is(None)
            wall = time.monotonic() - began
            process.returncode = status
            gathered.sort_out(process.pid)
            pages, bytes_seen = gathered.all(), gathered.bytes_seen()
        # The kernel's figure begins with that of this program, in whose memory the child ran before exec.
        kernels = usage.ru_maxrss * 1024
        is_seen = len(self.readings) >= ENOUGH_READINGS
        peaks = [kernels] if kernels > own_peak else [seen_peak] if is_seen else []
        peaks += [peak for peak in (page.figures["peak_rss"] for page in pages) if peak is not None]
        peaks += [max(reading.rss or 0 for reading in self.readings)] if peaks and self.readings else []
        return Outcome(
            status, wall, usage.ru_utime, usage.ru_stime, usage.ru_minflt, usage.ru_majflt, process.pid,
            max(peaks, default=None), self.readings, pages, gathered.number, bytes_seen,
            signals.came[0] if signals.came else None,
        )  # fmt: skip

    def _watch(self, pid: int, began: float, gathered: Gathered) -> tuple[int, resource.struct_rusage, int]:
        """Readings until the end; the status, what the kernel counted, and the most RSS that was seen."""
        peak = 0
        descriptor = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else -1
        try:
            ended = select.poll()
            if descriptor >= 0:
                ended.register(descriptor, select.POLLIN)
            due = began
            while True:
                done, status, usage = os.wait4(pid, os.WNOHANG)
                if done:
                    return os.waitstatus_to_exitcode(status), usage, peak
                peak = max(peak, _field(pid, "VmHWM") or 0)
                self._read(pid, began, gathered)
                now = time.monotonic()
                due = max(due + min(self.every, max(SHORTEST, (now - began) / OFTEN)), now)
                ended.poll(max(due - now, 0.001) * 1000)
        finally:
            if descriptor >= 0:
                os.close(descriptor)
