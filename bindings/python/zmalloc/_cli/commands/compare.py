# SPDX-License-Identifier: BSD-3-Clause
"""zmalloc compare."""

from __future__ import annotations

import signal
import sys

from ..._optional import missing
from ..comparison import COLUMNS, Contender, as_json, table, verdicts, warnings
from ..drawing import can_draw, draw_comparison, expect_drawable, text_picture
from ..failure import OK, PARTIAL, USAGE, Failure, complain, reason
from ..parser import ALLOCATORS
from ..preloaded import libraries, library_for
from ..run_report import named
from ..running import Run
from ..screen import Progress, say, show
from .run import end_as, expect_writable, words_of, write_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

SYSTEM = "system"
BAR = 20


def _contenders(arguments: argparse.Namespace) -> list[Contender]:
    """Those that were asked for; without a list the plain system and all that were built, but for the C library's."""
    if arguments.allocators is None:
        there = libraries()
        names = [SYSTEM, *(name for name in ALLOCATORS if name in there and name != "libc")]
        if len(names) < 2:
            library_for("jemalloc", "compare")  # says what there is
    else:
        names = list(dict.fromkeys(arguments.allocators.split(",")))
        wrong = [name for name in names if name not in (SYSTEM, *ALLOCATORS)]
        if wrong:
            raise Failure(USAGE, f"compare: no allocator {wrong[0]!r}; there are {', '.join((SYSTEM, *ALLOCATORS))}")
    return [Contender(name, None if name == SYSTEM else library_for(name, "compare")) for name in names]


def _run_all(words: list[str], contenders: list[Contender], arguments: argparse.Namespace) -> int | None:
    """Each once in each round, and another one first each time; the signal that interrupted it."""
    total = arguments.runs * len(contenders)
    with Progress(sys.stderr) as progress:
        for number in range(total):
            turn, place = divmod(number, len(contenders))
            contender = contenders[(place + turn) % len(contenders)]
            done = number * BAR // total
            progress.tell(f"[{'#' * done}{'.' * (BAR - done)}] run {number + 1} of {total}: {contender.name}")
            outcome = Run(words, contender.library, arguments.every, outside=True).go()
            if outcome.interrupted or outcome.status == -signal.SIGINT:
                return outcome.interrupted or signal.SIGINT
            contender.outcomes.append(outcome)
    return None


def _draw(arguments: argparse.Namespace, words: list[str], contenders: list[Contender]) -> None:
    if arguments.plot is not None and can_draw():
        try:
            draw_comparison(arguments.plot, words, [(each.name, each.course()) for each in contenders])
        except OSError as error:
            raise Failure(PARTIAL, f"compare: {arguments.plot!r}: {reason(error)}") from None
        return
    if arguments.plot is not None:
        complain(f"compare: only a text in place of {arguments.plot!r}: {missing('matplotlib')}")
    print("RSS over time:")
    for line in text_picture([(each.name, each.course()) for each in contenders]):
        print(line)


def compare(arguments: argparse.Namespace) -> int:
    words = words_of(arguments)
    contenders = _contenders(arguments)
    for file in (arguments.json, arguments.plot):
        expect_writable("compare", file)
    if arguments.plot is not None and can_draw():
        expect_drawable("compare", arguments.plot)
    interrupted = _run_all(words, contenders, arguments)
    known = [each for each in contenders if each.outcomes]
    is_written = True
    if known and arguments.json is not None:  # first: who reads the table may leave
        try:
            write_json("compare", arguments.json, as_json(words, known, COLUMNS))
        except Failure as failure:
            complain(str(failure))
            is_written = False
    if known:
        number = f"{len(known[0].outcomes)} of {arguments.runs} runs of each"
        print(f"zmalloc compare: {named(words)}: {number}")
        show(table(known))
        say("medians, and half of what lies between the lower and the upper quartile; * is the best")
        for text in (*verdicts(known), *warnings(known)):
            say(text)
        _draw(arguments, words, known)
    if interrupted is not None:
        complain("compare: interrupted")
        return end_as(-interrupted)
    is_same = len({outcome.status for each in known for outcome in each.outcomes}) == 1
    return OK if is_same and is_written else PARTIAL
