# SPDX-License-Identifier: BSD-3-Clause
"""A small picture of levels over time. Each line of the directive is a name and its values, evenly spaced."""

from __future__ import annotations

from docutils import nodes
from docutils.parsers.rst import Directive

from .picture import drawing, text

WIDTH, HEIGHT, MARGIN, NAMES = 360, 120, 12, 90
COLOURS = {"used": "#2a78d6", "allocated": "#2a78d6", "active": "#e0862b", "rss": "#8a8a8a", "limit": "#cc3333"}
LEFT = "text-anchor:start;font-size:12px"


def lines(content: list[str]) -> dict[str, list[float]]:
    """The levels by name. A name without a colour, or another number of values, stops the build."""
    found = {}
    for line in content:
        name, *values = line.split()
        found[name] = [float(value) for value in values]
    if not found.keys() <= COLOURS.keys() or len({len(values) for values in found.values()}) != 1:
        raise ValueError(f"a course of levels: {content}")
    return found


def curve(name: str, values: list[float], most: float) -> str:
    step = (WIDTH - 2 * MARGIN - NAMES) / (len(values) - 1)
    points = [(MARGIN + step * i, HEIGHT - MARGIN - (HEIGHT - 3 * MARGIN) * value / most)
              for i, value in enumerate(values)]  # fmt: skip
    path = " ".join(f"{x:.0f},{y:.1f}" for x, y in points)
    dashes = ' stroke-dasharray="6 4"' if name == "limit" else ""
    line = f'<polyline points="{path}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"{dashes}/>'
    x, y = points[-1]
    return line + text(x + 6, y + 4, name, f"fill:{COLOURS[name]};{LEFT}")


class Course(Directive):
    """`.. course:: TITLE`, and in its content a line for each level."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def run(self) -> list[nodes.Node]:
        levels = lines(list(self.content))
        most = max(value for values in levels.values() for value in values)
        axis = HEIGHT - MARGIN
        parts = [f'<path d="M{MARGIN},{axis} H{WIDTH - MARGIN - NAMES}" fill="none" stroke-opacity="0.5"/>']
        parts += [curve(name, values, most) for name, values in levels.items()]
        return [nodes.raw("", f"<p>{drawing(WIDTH, HEIGHT, self.arguments[0], parts)}</p>", format="html")]
