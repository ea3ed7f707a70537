# SPDX-License-Identifier: BSD-3-Clause
"""A Monitor's picture: the levels over time, and the gaps between them, by matplotlib."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from .._figures import FIGURES, LIMITS
from .._optional import optional

if TYPE_CHECKING:
    from .series import Event, Sample, Series


class Level(NamedTuple):
    """A figure that is at least the one below: its name for people, what it adds to that, and the colour of this."""

    field: str
    name: str
    adds: str
    colour: str


# Colours that also those tell apart who see few, and a printer without any: they get lighter upwards.
COLOURS = ("#58508d", "#bc5090", "#ffa600", "#c8c8c8")
GAPS = [(figure.gap[0], figure.meaning) for figure in FIGURES if figure.gap]
LEVELS = [Level("used", "used", "in blocks", "#003f5c")]
LEVELS += [Level(name, "RSS" if name == "rss" else name, adds, colour) for (name, adds), colour in zip(GAPS, COLOURS)]
LEVELS_OF_ANOTHER = [  # as much as the kernel tells
    Level("uss", "USS", "in pages mapped nowhere else", "#003f5c"),
    Level("pss", "PSS", "its part of what is shared", "#bc5090"),
    Level("rss", "RSS", "others' parts of what is shared", "#c8c8c8"),
]
LIMIT_STYLES = {name: (f"{name.replace('_', ' ')} of used", style) for name, style in zip(LIMITS, ("--", "-."))}
UNITS = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
TIMES = [("hours", 3600), ("minutes", 60)]
SIZE = (9.0, 4.8)  # inches


class Area(NamedTuple):
    """What lies between two levels over time; nan where one is unknown."""

    label: str
    colour: str
    below: list[float]
    above: list[float]


def levels_of(series: Series, samples: list[Sample]) -> list[Level]:
    """Of another process those from the inside, if it publishes them."""
    is_told = series.pid is None or any(sample.used is not None for sample in samples)
    return LEVELS if is_told else LEVELS_OF_ANOTHER


def known_levels(series: Series, samples: list[Sample]) -> list[Level]:
    """Those of which any sample tells."""
    levels = levels_of(series, samples)
    return [level for level in levels if any(getattr(sample, level.field) is not None for sample in samples)]


def areas(series: Series, samples: list[Sample]) -> list[Area]:
    """From the lowest level up. What an unknown level would have added is in the area above, by name."""
    levels = levels_of(series, samples)
    known = known_levels(series, samples)
    found = []
    floor, floor_name, adds = [0.0] * len(samples), "", []
    for level in levels:
        adds.append(level.adds)
        if level not in known:
            continue
        figures = [getattr(sample, level.field) for sample in samples]
        above = [math.nan if figure is None else float(figure) for figure in figures]
        gap = f"{level.name} − {floor_name}" if floor_name else level.name
        found.append(Area(f"{gap}: {'; '.join(adds)}", level.colour, floor, above))
        floor = [below if figure is None else float(figure) for below, figure in zip(floor, figures)]
        floor_name, adds = level.name, []
    return found


def unit_of(units: list[tuple[str, int]], most: float, least: str) -> tuple[str, int]:
    """The largest unit of which there are at least two."""
    return next((unit for unit in units if most >= 2 * unit[1]), (least, 1))


def draw_events(axes: Any, events: list[Event], start: float, scale: int, end: float) -> None:
    """A line each, and its name where it would not lie on the last one's."""
    last = -math.inf
    for event in events:
        place = (event.monotonic - start) / scale
        if not 0 <= place <= end:
            continue
        axes.axvline(place, color="black", linestyle=":", linewidth=1)
        if place - last > end / 40:
            axes.text(place, 0.98, event.name.replace("$", r"\$"), transform=axes.get_xaxis_transform(), rotation=90,
                      fontsize="small", horizontalalignment="right", verticalalignment="top",
                      bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1})  # fmt: skip
            last = place


def draw_limits(axes: Any, samples: list[Sample], times: list[float], unit: str, size: int, highest: float) -> float:
    """A line each, while it was set; returns how high the picture is to be. One far above it has its name alone."""
    top = highest
    for field, (name, style) in LIMIT_STYLES.items():
        known = [limit for limit in (getattr(sample, field) for sample in samples) if limit is not None]
        if not known:
            continue
        seen = [limit for limit in known if limit <= 2 * highest]
        top = max([top, *seen])
        sizes = " to ".join(f"{limit / size:,.1f}" for limit in sorted({min(known), max(known)}))
        limits = [math.nan if limit is None else limit / size for limit in (getattr(each, field) for each in samples)]
        axes.plot(times, limits, color="#c00000", linewidth=1.5, linestyle=style, drawstyle="steps-post",
                  label=f"{name}: {sizes} {unit}{'' if seen else ', above the picture'}")  # fmt: skip
    return top


def draw_levels(axes: Any, series: Series, samples: list[Sample], times: list[float]) -> None:
    """The areas, RSS over them as a line (it may be below the allocator's resident), and the limits."""
    found = areas(series, samples)
    highest = max((figure for area in found for figure in area.above if not math.isnan(figure)), default=0.0)
    unit, size = unit_of(UNITS, highest, "bytes")
    for area in found:
        below, above = ([figure / size for figure in figures] for figures in (area.below, area.above))
        is_gap = [low <= high for low, high in zip(below, above)]
        axes.fill_between(times, below, above, where=is_gap, interpolate=True, color=area.colour, linewidth=0,
                          label=area.label)  # fmt: skip
    rss = [math.nan if sample.rss is None else sample.rss / size for sample in samples]
    if any(not math.isnan(figure) for figure in rss):
        axes.plot(times, rss, color="black", linewidth=1.5, marker="." if len(samples) < 3 else None, label="RSS")
    axes.set_ylabel(unit)
    top = draw_limits(axes, samples, times, unit, size, highest)
    axes.set_ylim(0, top * 1.05 / size or None)


def draw(series: Series, axes: Any, title: str | None) -> None:
    """All but the legend."""
    samples = series.samples()
    axes.set_title(f"Memory of {series.whose}" if title is None else title)
    if not samples:
        axes.text(0.5, 0.5, "no samples", transform=axes.transAxes, horizontalalignment="center")
        return
    start = samples[0].monotonic
    unit, scale = unit_of(TIMES, samples[-1].monotonic - start, "seconds")
    times = [(sample.monotonic - start) / scale for sample in samples]
    draw_levels(axes, series, samples, times)
    if times[-1] > 0:
        axes.set_xlim(0, times[-1])
    draw_events(axes, series.events(), start, scale, times[-1])
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(samples[0].wall))
    axes.set_xlabel(f"{unit} since {began} UTC")


def plot(series: Series, target: Any = None, title: str | None = None, format: str | None = None) -> Any:
    """See Monitor.plot. It leaves pyplot and its windows alone."""
    figures = optional("matplotlib.figure")
    given = isinstance(target, optional("matplotlib.axes").Axes)
    axes = target if given else figures.Figure(figsize=SIZE, layout="constrained").add_subplot()
    draw(series, axes, title)
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        place: dict[str, Any] = {"loc": "best"} if given else {"loc": "upper center", "bbox_to_anchor": (0.5, -0.13)}
        axes.legend(handles[::-1], labels[::-1], ncol=1 if given else 2, fontsize="small", **place)  # from the top
    if target is not None and not given:
        axes.figure.savefig(target, format=format)
    return axes
