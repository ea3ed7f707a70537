# SPDX-License-Identifier: BSD-3-Clause
"""A report and a Monitor as HTML, for notebooks: tables that can be read aloud, and a picture."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from io import StringIO
from typing import TYPE_CHECKING

from .._figures import NAMES, RATIOS
from .._optional import optional
from . import plot

if TYPE_CHECKING:
    from .series import Series
    from .._zmalloc import Report


def _text(name: str, figure: float | None) -> str:
    if figure is None:
        return "unknown"
    return f"{figure:.3f}" if name in RATIOS else f"{figure:,} bytes"


def _table(caption: str, heads: list[str], rows: Iterable[list[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    lines = [f"<table>\n<caption>{escape(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>"]
    for first, *others in rows:
        cells = "".join(f'<td style="text-align: right">{escape(text)}</td>' for text in others)
        lines.append(f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>')
    return "\n".join([*lines, "</tbody>\n</table>"])


def report_table(report: Report) -> str:
    """All its figures."""
    rows = [[name, _text(name, figure)] for name, figure in zip(NAMES, report)]
    return _table("zmalloc report", ["figure", "value"], rows)


def _picture(series: Series) -> str:
    """Nothing without matplotlib."""
    try:
        matplotlib = optional("matplotlib")
    except ImportError:
        return ""
    text = StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        axes = plot.plot(series)
        axes.figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    label = escape(f"{axes.get_title()}: the figures of the table over time", quote=True)
    return svg[svg.index("<svg ") :].replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def monitor_page(series: Series) -> str:
    """A table of how each figure went, one of the events, and the picture."""
    samples, events = series.samples(), series.events()
    rows = []
    for name in NAMES:
        known = [figure for figure in (getattr(sample, name) for sample in samples) if figure is not None]
        if known:
            rows.append([name, *(_text(name, figure) for figure in (known[0], min(known), max(known), known[-1]))])
    seconds = samples[-1].monotonic - samples[0].monotonic if samples else 0
    caption = f"zmalloc monitor of {series.whose}: {len(samples)} samples over {seconds:.1f} seconds"
    parts = [_table(caption, ["figure", "first", "least", "most", "last"], rows)]
    if events:
        start = samples[0].monotonic if samples else events[0].monotonic
        parts.append(_table("events", ["event", "time"], [[e.name, f"{e.monotonic - start:.3f} s"] for e in events]))
    return "\n".join(part for part in [*parts, _picture(series) if samples else ""] if part)
