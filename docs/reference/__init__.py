# SPDX-License-Identifier: BSD-3-Clause
"""The reference's text, taken for Sphinx from where it stands: headers, docstrings, the Lua module's annotations."""

from __future__ import annotations

from sphinx.application import Sphinx

from . import c, cli, course, guide, lua, picture, python

PARTS = {"c": c.part, "cli": cli.part, "lua": lua.part, "python": python.part}


def fill(app: Sphinx, page: str, source: list[str]) -> None:
    if page in PARTS:
        source[0] += f"\n{PARTS[page]()}\n"


def setup(app: Sphinx) -> None:
    app.connect("source-read", fill)
    app.connect("doctree-read", guide.link)
    app.add_directive("course", course.Course)
    app.add_directive("house", picture.House)
    app.add_directive("passage", picture.Passage)
    for kind in lua.KINDS:
        app.add_object_type(kind, kind, parse_node=lua.show)
