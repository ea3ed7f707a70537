# SPDX-License-Identifier: BSD-3-Clause
"""What a run was like, for people: levels, costs, the widest gap, what that means, and the children."""

from __future__ import annotations

import os
import shlex
import signal
from typing import NamedTuple

from .preloaded import LEVELS, RUNNING
from .screen import UNKNOWN, Column, Table, human, safe, say, show, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .preloaded import Page
    from .running import Outcome, Reading

MOST_CHILDREN = 5
LONGEST = 500  # of the command line, in a report
ABOUT_THE_MOST = 0.98  # of the most RSS
LOOK_AT_RSS = 4 << 20  # a process that never has more is too small for advice
TITLES = dict(zip(LEVELS, ("used", "allocated", "active", "resident", "RSS")))


class Gap(NamedTuple):
    """Between a known level and the next known one: what it is called, and what is to be said of it."""

    name: str
    below: str
    above: str
    advice: str


# From the lowest up. Where levels between are unknown, the gap is that of all between, by the first that fits.
GAPS = (
    Gap("used", "", "used", "Most of it is in blocks that the program itself holds: another allocator would change "
        "little. Look for where the program allocates."),
    Gap("caches", "used", "allocated", "The allocator holds much in caches and headers: many small blocks, or many "
        "threads. Try another allocator."),
    Gap("fragmentation", "allocated", "active", "Much is free space between blocks (fragmentation): another "
        "allocator may place them better. Try `zmalloc run --allocator jemalloc`."),
    Gap("retained", "active", "resident", "Much is free, and kept by the allocator: a shorter decay time, or a "
        "purge, would give it back."),
    Gap("not the allocator's", "resident", "rss", "Most of it is not the allocator's: code, libraries, stacks and "
        "mappings of the program's own. Another allocator would change little."),
)  # fmt: skip


def known_gaps(levels: dict[str, int | None]) -> list[tuple[str, int, Gap]]:
    """What each known level adds to the one below: a name, bytes, and what it is by its upper end."""
    found: list[tuple[str, int, Gap]] = []
    floor, names = 0, []
    for gap in GAPS:
        names.append(gap.name)
        level = levels[gap.above]
        if level is not None:
            found.append((" or ".join(names), max(level - floor, 0), gap))
            floor, names = level, []
    return found


def _rss_at(moment: float, readings: list[Reading]) -> int:
    """Between two readings of RSS, as if it had grown or shrunk evenly."""
    before = max((each for each in readings if each.time <= moment), key=lambda each: each.time, default=readings[0])
    after = min((each for each in readings if each.time >= moment), key=lambda each: each.time, default=readings[-1])
    if after.time <= before.time:
        return before.rss or 0
    share = (moment - before.time) / (after.time - before.time)
    return round((before.rss or 0) + share * ((after.rss or 0) - (before.rss or 0)))


def _told(readings: list[Reading]) -> list[Reading]:
    """What the program told, each once, at the moment when it did, with the RSS of then: of a program that grows, the
    RSS of a moment later is larger than what it told, and by something that is in none of its levels.
    """
    known = {reading.told: reading for reading in readings if reading.used is not None and reading.told is not None}
    return [each._replace(time=told, rss=_rss_at(told, readings)) for told, each in known.items() if told is not None]


def moments(readings: list[Reading]) -> list[Reading]:
    """For a picture: what the program told at the moment when it did, and RSS alone where it had told nothing yet."""
    return sorted([*(each for each in readings if each.used is None), *_told(readings)], key=lambda each: each.time)


def widest(outcome: Outcome) -> tuple[str, int, Gap, Reading] | None:
    """The largest gap at the moment of the most RSS; of several such, the middle one: while a program ends, its
    blocks may be freed and not yet given back.
    """
    known = _told(outcome.readings)
    if not known:
        return None
    most = max(reading.rss or 0 for reading in known)
    tops = [reading for reading in known if (reading.rss or 0) >= ABOUT_THE_MOST * most]
    top = tops[(len(tops) - 1) // 2]
    name, size, gap = max(known_gaps({level: getattr(top, level) for level in LEVELS}), key=lambda each: each[1])
    return name, size, gap, top


def peaks_and_last(outcome: Outcome) -> dict[str, tuple[int | None, int | None]]:
    """Of each level, over all readings and what the pages have."""
    found: dict[str, tuple[int | None, int | None]] = {}
    for level in LEVELS:
        seen = [getattr(reading, level) for reading in outcome.readings]
        seen += [page.figures[level] for page in outcome.own]
        seen += [page.figures[f"peak_{level}"] for page in outcome.own if level in ("used", "rss")]
        last = outcome.own[-1].figures[level] if outcome.own else (seen[-1] if seen else None)
        found[level] = max((figure for figure in seen if figure is not None), default=None), last
    return found


def _most(images: list[Page], name: str) -> int | None:
    return max((figure for figure in (page.figures[name] for page in images) if figure is not None), default=None)


def _children(outcome: Outcome) -> list[list[Page]]:
    """Their images, of the largest first."""
    return sorted(outcome.children, key=lambda images: -(_most(images, "peak_rss") or 0))


def _larger_child(outcome: Outcome) -> Page | None:
    """One that had more than twice the memory of the program itself."""
    for images in _children(outcome)[:1]:
        if (_most(images, "peak_rss") or 0) > max(2 * (peaks_and_last(outcome)["rss"][0] or 0), LOOK_AT_RSS):
            return images[-1]
    return None


def how_it_ended(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"ended by signal {-status}"


def advice(outcome: Outcome, limit: int | None) -> str:
    """One sentence that follows from the figures; none where they are not all."""
    failed = sum(page.figures["failed"] or 0 for page in outcome.pages)
    if limit is not None and failed:
        requests = f"{failed} request{'s' if failed > 1 else ''}"
        return (f"{requests} failed at the limit of {human(limit)}: what the program did then is what it would do on "
                "a full machine.")  # fmt: skip
    if not outcome.own:
        return ("The program's calls were not seen: it is static, runs with other rights than its caller's, or ended "
                "before it began.")  # fmt: skip
    child = _larger_child(outcome)
    if child is not None:
        return (f"A child had the most memory: {child.pid} ({safe(child.program)}). Run that by itself to see where "
                "its memory was.")  # fmt: skip
    if outcome.own[-1].answered_elsewhere:
        return ""
    found = widest(outcome)
    if found is None:
        return "It ended before the first reading: a smaller --every sees more."
    _, _, gap, top = found
    most = peaks_and_last(outcome)["rss"][0] or 0
    if most >= LOOK_AT_RSS and (top.rss or 0) < most / 2:
        return "The most RSS was between two readings of the program: a smaller --every may see more."
    if (top.rss or 0) < LOOK_AT_RSS:
        return "It needs little memory: most of it is what any process of its kind needs."
    return gap.advice


def _own_allocator(outcome: Outcome) -> str | None:
    if outcome.own and outcome.own[-1].answered_elsewhere:
        calls = ", ".join(outcome.own[-1].answered_elsewhere)
        return (f"Another library, or the program itself, answers {calls}: what goes there is not counted, and "
                "blocks may go from one allocator to another.")  # fmt: skip
    return None


def named(words: list[str]) -> str:
    """The command line in a shell's words, for people: not thousands of files' names."""
    text = shlex.join(words)
    return safe(text if len(text) <= LONGEST else text[: LONGEST - 3] + "...")


def show_report(words: list[str], outcome: Outcome, limit: int | None, soft_limit: int | None) -> None:
    """On standard output, which may lead elsewhere."""
    name = outcome.own[-1].allocator if outcome.own else UNKNOWN
    print(f"zmalloc run: {named(words)}: {how_it_ended(outcome.status)}, allocator {safe(name)}")
    levels = peaks_and_last(outcome)
    rows = [[TITLES[level], *(shown(figure, False) for figure in levels[level])] for level in LEVELS]
    show(Table([Column("level"), Column("peak", number=True), Column("last", number=True)], rows))
    show_costs(outcome)
    found = widest(outcome)
    if found is not None:
        label, size, _, top = found
        say(f"largest part at the most RSS, {top.time:.1f} s after the start: {label}, {human(size)} of "
            f"{human(top.rss or 0)}")  # fmt: skip
    if soft_limit is not None:
        passed = sum(page.figures["soft_passed"] or 0 for page in outcome.pages)
        say(f"soft limit of {human(soft_limit)}: passed {passed} time{'s' if passed != 1 else ''}")
    for text in (_own_allocator(outcome), advice(outcome, limit)):
        if text:
            say(text)
    show_children(outcome)


def show_costs(outcome: Outcome) -> None:
    if outcome.own:
        allocated = sum(page.figures["total_allocated"] or 0 for page in outcome.own)
        freed = sum(page.figures["total_freed"] or 0 for page in outcome.own)
        say(f"allocated {human(allocated)}, freed {human(freed)}: {human(round(allocated / outcome.wall))} a second")
    say(f"wall {outcome.wall:.2f} s, user {outcome.user:.2f} s, system {outcome.system:.2f} s; page faults: "
        f"{outcome.minor_faults} minor, {outcome.major_faults} major")  # fmt: skip


def _row(head: str, images: list[Page]) -> list[str]:
    """A process, under the name of its last image; the kernel has counted for all images together."""
    last = images[-1]
    seconds = ((last.figures["user_us"] or 0) + (last.figures["system_us"] or 0)) / 1e6
    faults = (last.figures["minor_faults"] or 0) + (last.figures["major_faults"] or 0)
    most = (shown(_most(images, name), False) for name in ("peak_used", "peak_rss"))
    return [head, safe(last.program), *most, f"{seconds:.2f} s", str(faults), last.end]


def show_children(outcome: Outcome) -> None:
    """The program's own process, and the children that had the most memory."""
    children = _children(outcome)
    if not children:
        return
    rows = [_row("itself", outcome.own)] if outcome.own else []
    rows += [_row(str(images[-1].pid), images) for images in children[:MOST_CHILDREN]]
    columns = [Column("child", number=True), Column("program", least=8), Column("most used", number=True),
               Column("most RSS", number=True), Column("CPU", number=True, leave=1),
               Column("faults", number=True, leave=2), Column("end", leave=3)]  # fmt: skip
    show(Table(columns, rows))
    number = outcome.number_ended + sum(images[-1].end == RUNNING for images in children)
    more = max(number, len(children)) - min(len(children), MOST_CHILDREN)
    if more > 0:
        print(f"and {more} more")


# What a page has for itself, or in other units.
NOT_TOLD = ("born", "elsewhere", "ended", "sequence", "user_us", "system_us")


def _image(page: Page) -> dict[str, Any]:
    figures = {name: figure for name, figure in page.figures.items() if name not in NOT_TOLD}
    return {
        "allocator": page.allocator, "name": page.program, "end": page.end,
        "answered_elsewhere": page.answered_elsewhere,
        "user": (page.figures["user_us"] or 0) / 1e6, "system": (page.figures["system_us"] or 0) / 1e6,
        **figures,
    }  # fmt: skip


def as_json(words: list[str], outcome: Outcome) -> dict[str, Any]:
    """All of it."""
    levels = peaks_and_last(outcome)
    found = widest(outcome)
    return {
        "program": [os.fsencode(word).decode("utf-8", "replace") for word in words],
        "status": outcome.status if outcome.status >= 0 else None,
        "signal": -outcome.status if outcome.status < 0 else None,
        "pid": outcome.pid,
        "allocator": outcome.own[-1].allocator if outcome.own else None,
        "wall": outcome.wall, "user": outcome.user, "system": outcome.system,
        "minor_faults": outcome.minor_faults, "major_faults": outcome.major_faults,
        "peak_rss": outcome.peak_rss,
        "levels": {name: {"peak": peak, "last": last} for name, (peak, last) in levels.items()},
        "largest_part": None if found is None else {"name": found[0], "bytes": found[1], "time": found[3].time},
        "bytes_seen": outcome.bytes_seen,
        "children_ended": outcome.number_ended,
        "readings": [reading._asdict() for reading in outcome.readings],
        "processes": [_image(page) for page in outcome.pages],
    }  # fmt: skip
