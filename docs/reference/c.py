# SPDX-License-Identifier: BSD-3-Clause
"""The C part: the headers from top to bottom."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from textwrap import dedent

from .text import SOURCE, Link, directive, escaped, heading, links, to_rst

sys.path.insert(0, str(SOURCE / "bindings" / "common"))
from declarations import fields  # noqa: E402

HEADERS = ["zmalloc.h", "zmalloc_lua.h", "zmalloc_page.h"]


@dataclass
class Piece:
    """A comment of a header, and what follows it up to the next empty line."""

    public: bool
    text: str
    code: str

    @property
    def heading(self) -> str | None:
        return self.text[:-1] if re.fullmatch(r".*\.", self.text) and not self.code else None

    @property
    def names(self) -> list[str]:
        pattern = r"^(?:ZMALLOC_API [^(;]*?(?=\w+\()|#define |struct (?=\w+ \{))(\w+)"
        return re.findall(pattern, self.code, re.MULTILINE) if self.public else []


def pieces(header: str) -> Iterator[Piece]:
    source = (SOURCE / "include" / header).read_text(encoding="utf-8")
    pattern = r"^/\*(\*?)((?:(?!\*/).)*)\*/\n(struct .*?^\};\n|(?:(?!/\*)[^\n]+\n)*)"
    for star, text, code in re.findall(pattern, source, re.MULTILINE | re.DOTALL):
        yield Piece(star != "", dedent(re.sub(r"^ \*", "", text, flags=re.MULTILINE)).strip(), code)


@cache
def names() -> dict[str, str]:
    """What zmalloc.h describes, each with the heading that it is under."""
    found, title = {}, ""
    for piece in pieces(HEADERS[0]):
        title = piece.heading or title
        found.update(dict.fromkeys(piece.names, title))
    return found


def targets() -> dict[str, str]:
    return {name: f":c:func:`{name}`" for name in names()}


def members(code: str, link: Link) -> str:
    about = dict(fields(code))
    found = re.findall(r"^ {4}(?=\w)([^;]*?(\w+)(?:\[.*\])?);(?: */\*+ (.*) \*/)?", code, re.MULTILINE)
    return "\n\n".join(directive("c:member", [member], escaped(" ".join((about.get(name) or line).split()), link))
                       for member, name, line in found)


def item(piece: Piece, link: Link) -> str:
    text = to_rst(piece.text, link, "c")
    if piece.code.startswith("ZMALLOC_API"):
        declaration = " ".join(piece.code.split()).removeprefix("ZMALLOC_API ").rstrip(";")
        return directive("c:function", [declaration.split(" ZMALLOC_")[0]], text)
    if not piece.code.startswith("struct"):
        return directive("c:macro", piece.names, text)
    described = directive("c:struct", piece.names, text + "\n\n" + members(piece.code, link))
    is_call = any(other.names == piece.names and other is not piece and "ZMALLOC_API" in other.code
                  for other in pieces(HEADERS[0]))
    # Sphinx has one space for structs and calls.
    return f".. c:namespace-push:: tag\n\n{described}\n\n.. c:namespace-pop::" if is_call else described


def part() -> str:
    parts = []
    for header in HEADERS:
        parts += [] if header == HEADERS[0] else [heading(header)]
        for piece in pieces(header):
            link = links(targets(), *piece.names)
            if piece.names:
                parts.append(item(piece, link))
            elif piece.heading:
                parts.append(heading(piece.heading))
            elif not piece.code and "\n" in piece.text:
                parts.append(to_rst(piece.text, link, "c"))
    return "\n\n".join(parts)
