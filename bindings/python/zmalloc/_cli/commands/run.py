# SPDX-License-Identifier: BSD-3-Clause
"""zmalloc run."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from contextlib import redirect_stdout, suppress

from ..._optional import missing
from ..drawing import can_draw, draw_run, expect_drawable, text_picture
from ..failure import PARTIAL, USAGE, Failure, complain, give_up, reason
from ..preloaded import library_for
from ..run_report import as_json, show_report
from ..running import Run

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from ..running import Outcome


def words_of(arguments: argparse.Namespace) -> list[str]:
    """The program and its arguments, without the mark before them."""
    words: list[str] = arguments.words[1:] if arguments.words[:1] == ["--"] else arguments.words
    if not words or not words[0]:
        raise Failure(USAGE, f"{arguments.command}: no program is named")
    return words


def expect_writable(command: str, file: str | None) -> None:
    """What would fail at the end fails now."""
    if file is not None:
        folder = os.path.dirname(file) or "."
        if os.path.isdir(file) or not os.access(file if os.path.exists(file) else folder, os.W_OK):
            raise Failure(PARTIAL, f"{command}: can't write {file!r}")


def write_json(command: str, file: str, value: object) -> None:
    try:
        with open(file, "w", encoding="utf-8") as stream:
            json.dump(value, stream, allow_nan=False)
            stream.write("\n")
    except OSError as error:
        raise Failure(PARTIAL, f"{command}: {file!r}: {reason(error)}") from None


def end_as(status: int) -> int:
    """The program's status as this program's, or its signal; no core is dumped for that a second time."""
    if status >= 0:
        return status
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    with suppress(OSError):  # of SIGKILL nobody can change what it does
        signal.signal(-status, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [-status])
    os.kill(os.getpid(), -status)
    return 128 - status


def _draw(arguments: argparse.Namespace, outcome: Outcome, words: list[str]) -> None:
    """Without matplotlib, in text."""
    if can_draw():
        try:
            draw_run(arguments.plot, outcome, words)
        except OSError as error:
            raise Failure(PARTIAL, f"run: {arguments.plot!r}: {reason(error)}") from None
        return
    complain(f"run: a text in place of {arguments.plot!r}: {missing('matplotlib')}")
    levels = [("RSS", [(each.time, each.rss or 0) for each in outcome.readings]),
              ("used", [(each.time, each.used or 0) for each in outcome.readings])]  # fmt: skip
    for line in text_picture(levels):
        print(line)


def run(arguments: argparse.Namespace) -> int:
    words = words_of(arguments)
    library = library_for(arguments.allocator, "run")
    expect_writable("run", arguments.json)
    expect_writable("run", arguments.plot)
    if arguments.plot is not None and can_draw():
        expect_drawable("run", arguments.plot)
    outcome = Run(
        words, library, arguments.every, arguments.limit, arguments.soft_limit, publishes=arguments.publish
    ).go()
    if arguments.json is not None:  # first: who reads the report may leave
        try:
            write_json("run", arguments.json, as_json(words, outcome))
        except Failure as failure:
            complain(str(failure))
    try:
        # Standard output is the program's.
        with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(sys.stderr or nowhere):
            show_report(words, outcome, arguments.limit, arguments.soft_limit)
            if arguments.plot is not None:
                _draw(arguments, outcome, words)
    except Failure as failure:
        complain(str(failure))
    except BrokenPipeError:
        raise
    except OSError:  # of standard error: the status is the program's all the same
        give_up(sys.stderr)
    return end_as(outcome.status)
