# SPDX-License-Identifier: BSD-3-Clause
"""Runs of one program under several allocators, compared."""

from __future__ import annotations

import statistics
from typing import NamedTuple

from .run_report import how_it_ended
from .running import Outcome
from .screen import UNKNOWN, Column, Table, human

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

LITTLE_SEEN = 16 << 20  # RSS of a program from which on it is told that few of its bytes were seen


class Figure(NamedTuple):
    """The middle of several runs, and half of what lies between their quartiles."""

    median: float
    spread: float

    @property
    def low(self) -> float:
        return self.median - self.spread

    @property
    def high(self) -> float:
        return self.median + self.spread


class Measure(NamedTuple):
    """A column: less is better in all."""

    name: str
    title: str
    of: Callable[[Outcome], float | None]
    show: Callable[[float], str]


def _most_rss_of_all(outcome: Outcome) -> float | None:
    return max((reading.all_rss for reading in outcome.readings), default=None)


def _seconds(value: float) -> str:
    return f"{value:.3f} s" if value < 10 else f"{value:.1f} s"


def _bytes(value: float) -> str:
    return human(round(value))


def _number(value: float) -> str:
    return f"{value:.0f}"


COLUMNS = (
    Measure("wall", "wall", lambda outcome: outcome.wall, _seconds),
    Measure("cpu", "CPU", lambda outcome: outcome.user + outcome.system, _seconds),
    Measure("peak_rss", "peak RSS", lambda outcome: outcome.peak_rss, _bytes),
    Measure("all_rss", "of all", _most_rss_of_all, _bytes),
    Measure("faults", "faults", lambda outcome: outcome.minor_faults + outcome.major_faults, _number),
)


class Contender:
    """One allocator, and what its runs were like."""

    def __init__(self, name: str, library: str | None) -> None:
        self.name, self.library = name, library
        self.outcomes: list[Outcome] = []

    def figure(self, measure: Measure) -> Figure | None:
        """None if a run does not tell."""
        values = [value for value in map(measure.of, self.outcomes) if value is not None]
        if len(values) < len(self.outcomes):
            return None
        if len(values) < 2:
            return Figure(values[0], 0.0)
        lower, _, upper = statistics.quantiles(values, n=4, method="inclusive")
        return Figure(statistics.median(values), (upper - lower) / 2)

    def course(self) -> list[tuple[float, int]]:
        """RSS over time, of the run whose wall time is the middle one."""
        middle = sorted(self.outcomes, key=lambda outcome: outcome.wall)[len(self.outcomes) // 2]
        return [(reading.time, reading.all_rss) for reading in middle.readings]


def _shown(measure: Measure, figure: Figure | None, best: bool) -> str:
    if figure is None:
        return UNKNOWN
    return f"{measure.show(figure.median)} ±{measure.show(figure.spread)}{'*' if best else ' '}"


def _best(contenders: list[Contender], measure: Measure) -> float | None:
    known = [figure.median for figure in (each.figure(measure) for each in contenders) if figure is not None]
    return min(known, default=None)


def table(contenders: list[Contender]) -> Table:
    """A row for each, with the best of each column marked."""
    columns = [Column("allocator"), *(Column(measure.title, number=True) for measure in COLUMNS)]
    bests = [_best(contenders, measure) for measure in COLUMNS]
    rows = []
    for each in contenders:
        figures = [each.figure(measure) for measure in COLUMNS]
        cells = [
            _shown(measure, figure, figure is not None and figure.median == best)
            for measure, figure, best in zip(COLUMNS, figures, bests)
        ]
        rows.append([each.name, *cells])
    return Table(columns, rows)


def _are_apart(one: Figure, other: Figure) -> bool:
    return one.high < other.low or other.high < one.low


def verdicts(contenders: list[Contender]) -> Iterator[str]:
    """Of which columns the differences mean something."""
    if len(contenders) < 2:
        return
    if min(len(each.outcomes) for each in contenders) < 2:
        yield "One run of each says nothing of noise: more --runs do."
        return
    noise = []
    for measure in COLUMNS:
        figures = {each.name: each.figure(measure) for each in contenders}
        known = {name: figure for name, figure in figures.items() if figure is not None}
        if len(known) < 2:
            continue
        best = min(known, key=lambda name: known[name].median)
        apart = [name for name in known if name != best and _are_apart(known[best], known[name])]
        if not apart:
            noise.append(measure.title)
        elif measure.name in ("wall", "peak_rss"):
            most = max(apart, key=lambda name: known[name].median)
            less = 100 * (1 - known[best].median / known[most].median)
            percent = f"{less:.0f}" if less >= 1 else "under 1"
            yield f"{measure.title}: {best} has {percent} % less than {most}, beyond the noise."
    if noise:
        yield f"Within the noise: {', '.join(noise)}."


def _expected(outcome: Outcome) -> int:
    """How many bytes a program of that size has allocated at the least."""
    return (outcome.peak_rss or 0) // 10 if (outcome.peak_rss or 0) > LITTLE_SEEN else 0


def warnings(contenders: list[Contender]) -> Iterator[str]:
    """What is not as it seems."""
    endings = {each.name: sorted({how_it_ended(outcome.status) for outcome in each.outcomes}) for each in contenders}
    if len({tuple(ending) for ending in endings.values()}) > 1:
        told = "; ".join(f"{name}: {', '.join(ending)}" for name, ending in endings.items())
        yield f"Runs ended differently: {told}."
    elif next(iter(endings.values())) != ["exit status 0"]:
        yield f"All runs: {', '.join(next(iter(endings.values())))}. What the program wrote was dropped."
    for each in contenders:
        if each.library is None:
            continue
        last = each.outcomes[-1]
        elsewhere = {call for page in last.own for call in page.answered_elsewhere}
        if elsewhere:
            yield f"{each.name}: another library, or the program itself, answers {', '.join(sorted(elsewhere))}."
        if not last.is_seen or (last.own and last.bytes_seen < _expected(last)):
            yield (f"{each.name}: only {human(last.bytes_seen)} were allocated through it. The program may be "
                   "static, or have an allocator of its own, whose calls are not seen.")  # fmt: skip


def as_json(words: list[str], contenders: list[Contender], columns: tuple[Measure, ...]) -> dict[str, Any]:
    """All runs, and the middle of each figure."""
    return {
        "program": [word.encode("utf-8", "replace").decode() for word in words],
        "contenders": [
            {
                "name": each.name,
                "figures": {
                    measure.name: None if figure is None else figure._asdict()
                    for measure, figure in ((measure, each.figure(measure)) for measure in columns)
                },
                "runs": [
                    {**{measure.name: measure.of(outcome) for measure in columns}, "status": outcome.status,
                     "bytes_seen": outcome.bytes_seen,
                     "readings": [reading._asdict() for reading in outcome.readings]}
                    for outcome in each.outcomes
                ],
            }
            for each in contenders
        ],
    }  # fmt: skip
