# SPDX-License-Identifier: BSD-3-Clause
"""The pictures of the design page, drawn from the sources when the page is built: the folders, and a call's path."""

from __future__ import annotations

import re
from functools import cache
from html import escape
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive

from .text import SOURCE

# What a folder of src/ holds, in a few words. A folder without an entry, or an entry without one, stops the build.
ROOMS = {
    "calls": "public calls, out of memory",
    "account": "bytes in use",
    "limit": "hard and soft limits",
    "preload": "for programs not built for it",
    "heap": "a block",
    "hardened": "wrong use of blocks",
    "inspect": "questions",
    "sync": "callbacks, waiting",
    "util": "sums, out-pointers",
    "allocator": "a file for each allocator",
    "os": "a folder for each system",
}
WIDTH, HEIGHT, GAP, RISE = 190, 46, 24, 52
STYLE = "font-family:inherit;font-size:13px;fill:currentColor;stroke:none;text-anchor:middle"

Edges = dict[str, set[str]]


def room_of(path: str) -> str:
    return path.split("/")[0] if "/" in path else "calls"


def includes() -> Edges:
    """Who includes whom, folder by folder. The public header is no room: whoever implements a call includes it."""
    found: Edges = {room: set() for room in ROOMS}
    source = SOURCE / "src"
    for file in sorted(source.rglob("*.[ch]")):
        room = room_of(file.relative_to(source).as_posix())
        for included in re.findall(r'^#include "([^"]+)"', file.read_text(encoding="utf-8"), re.MULTILINE):
            if (source / included).is_file() and room_of(included) != room:
                found[room].add(room_of(included))
    folders = {path.name for path in source.iterdir() if path.is_dir()} | {"calls"}
    if folders != ROOMS.keys():
        raise ValueError(f"picture.py has other rooms than src/: {sorted(folders ^ ROOMS.keys())}")
    return found


def depths(edges: Edges) -> dict[str, int]:
    """The floor of each room: one below the lowest that includes it. A circle of includes stops the build."""

    @cache
    def depth(room: str) -> int:
        return max((depth(other) + 1 for other in edges if room in edges[other]), default=0)

    try:
        return {room: depth(room) for room in edges}
    except RecursionError:
        raise ValueError("src/: folders include each other in a circle") from None


def reached(edges: Edges, room: str) -> set[str]:
    return edges[room].union(*(reached(edges, other) for other in edges[room]))


def needed(edges: Edges) -> list[tuple[str, str]]:
    """Without those arrows that a longer way shows already."""
    return [
        (room, other)
        for room in edges
        for other in sorted(edges[room])
        if not any(other in reached(edges, between) for between in edges[room] - {other})
    ]


def floors(edges: Edges, arrows: list[tuple[str, str]]) -> list[list[str]]:
    """The rooms floor by floor, each near those that include it. "a>b" is a place that an arrow passes through."""
    depth = depths(edges)
    rows: list[list[str]] = [[] for _ in range(max(depth.values()) + 1)]
    above: dict[str, list[str]] = {room: [] for room in edges}
    for room, floor in depth.items():
        rows[floor].append(room)
    for room, other in arrows:
        last = room
        for floor in range(depth[room] + 1, depth[other]):
            place = f"{room}>{other}>{floor}"
            rows[floor].append(place)
            above[place] = [last]
            last = place
        above[other].append(last)
    for floor, row in enumerate(rows[1:], 1):
        order = {name: index / max(len(rows[floor - 1]) - 1, 1) for index, name in enumerate(rows[floor - 1])}
        means = {name: [order[each] for each in above[name] if each in order] for name in row}
        row.sort(key=lambda name: sum(means[name]) / len(means[name]) if means[name] else 0.5)
    return rows


def text(x: float, y: float, words: str, more: str = "") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" style="{STYLE};{more}">{escape(words)}</text>'


def box(x: float, y: float, width: float, head: str, words: str) -> str:
    size = f'width="{width:.0f}" height="{HEIGHT}" rx="5"'
    frame = f'<rect x="{x - width / 2:.0f}" y="{y:.0f}" {size} fill-opacity="0.06"/>'
    return frame + text(x, y + 19, head, "font-weight:bold") + text(x, y + 36, words, "font-size:12px")


def drawing(width: float, height: float, title: str, parts: list[str]) -> str:
    marker = ('<marker id="tip" markerWidth="9" markerHeight="8" refX="8" refY="4" orient="auto">'
              '<path d="M0,0 L9,4 L0,8" ')  # fmt: skip
    return (f'<svg role="img" aria-label="{escape(title)}" viewBox="0 0 {width:.0f} {height:.0f}" '
            f'xmlns="http://www.w3.org/2000/svg" style="width:100%;max-width:{width:.0f}px;stroke:currentColor;'
            f'fill:currentColor"><title>{escape(title)}</title><defs>{marker}stroke="none"/></marker></defs>'
            + "".join(parts) + "</svg>")  # fmt: skip


def arrow(points: list[tuple[float, float]]) -> str:
    path = "M" + " L".join(f"{x:.0f},{y:.0f}" for x, y in points)
    return f'<path d="{path}" fill="none" stroke-opacity="0.6" marker-end="url(#tip)"/>'


def house() -> str:
    edges = includes()
    depths(edges)  # before all else: it stops at a circle
    arrows = needed(edges)
    rows = floors(edges, arrows)
    widths = {name: WIDTH if name in ROOMS else GAP for row in rows for name in row}
    whole = max(sum(widths[name] + GAP for name in row) for row in rows)
    at: dict[str, tuple[float, float]] = {}
    for floor, row in enumerate(rows):
        x = (whole - sum(widths[name] + GAP for name in row)) / 2 + GAP / 2
        for name in row:
            at[name] = (x + widths[name] / 2, floor * (HEIGHT + RISE) + 1)
            x += widths[name] + GAP
    heads = {room: f"{room}/" if room != "calls" else "src/*.c" for room in ROOMS}
    parts = [box(*at[room], WIDTH, heads[room], words) for room, words in ROOMS.items()]
    leaving: dict[str, list[str]] = {room: [other for one, other in arrows if one == room] for room in ROOMS}
    arriving: dict[str, list[str]] = {room: [one for one, other in arrows if other == room] for room in ROOMS}
    for room, other in arrows:
        between = [place for place in at if place.startswith(f"{room}>{other}>")]
        bends = [(at[place][0], at[place][1] + end) for place in between for end in (0, HEIGHT)]
        first = bends[0][0] if bends else at[other][0]
        last = bends[-1][0] if bends else at[room][0]
        parts.append(arrow([(port(at[room][0], first, len(leaving[room])), at[room][1] + HEIGHT), *bends,
                            (port(at[other][0], last, len(arriving[other])), at[other][1])]))  # fmt: skip
    return drawing(whole, len(rows) * (HEIGHT + RISE) - RISE + 2, "The folders of src, and who includes whom", parts)


def port(x: float, towards: float, count: int) -> float:
    """Where an arrow leaves or meets a room's side: towards where it comes from, so that several stay apart."""
    return x + (max(-0.4, min(0.4, (towards - x) / (3 * WIDTH))) * WIDTH if count > 1 else 0)


class House(Directive):
    """Folders as rooms; an arrow is an include."""

    def run(self) -> list[nodes.Node]:
        return [nodes.raw("", f"<p>{house()}</p>", format="html")]


def function_of(file: str, name: str) -> str:
    """The text of a function of src/, from its name on; without it the build stops."""
    source = (SOURCE / "src" / file).read_text(encoding="utf-8")
    found = re.search(rf"^[\w*(][^;{{}}#]*\b{name}\([^;{{]*\)\n\{{\n.*?^\}}", source, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError(f"src/{file} defines no {name}: the picture is to be drawn anew")
    return found[0]


class Passage(Directive):
    """What a call passes through: a line a step, `file: function: what it does`. A wrong one stops the build."""

    has_content = True
    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        steps = [re.split(r": +", line, maxsplit=2) for line in self.content if line]
        parts, width, gap = [], 660, 22
        for number, (file, name, words) in enumerate(steps):
            function_of(file, name)
            y = number * (HEIGHT + gap) + 1
            parts.append(box(width / 2, y, width - 2, f"{name}  ({Path(file).as_posix()})", words))
            if number > 0:
                parts.append(arrow([(width / 2, y - gap), (width / 2, y)]))
        picture = drawing(width, len(steps) * (HEIGHT + gap) - gap + 2, self.arguments[0], parts)
        return [nodes.raw("", f"<p>{picture}</p>", format="html")]
