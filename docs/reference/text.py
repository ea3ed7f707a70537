# SPDX-License-Identifier: BSD-3-Clause
"""reST from the plain text of comments and docstrings: paragraphs, lists, tables indented by two, code by four."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent, indent

SOURCE = Path(__file__).resolve().parents[2]

# What a word becomes: itself, or a link.
Link = Callable[[str], str]


def links(targets: dict[str, str], *own: str) -> Link:
    """Words that are names lead to what describes them, except from there."""
    return lambda word: targets[word] if word in targets and word not in own else word


def escaped(text: str, link: Link) -> str:
    def replace(found: re.Match[str]) -> str:
        code, special, word, call = found.groups()
        if code:
            return f"``{code}``"
        if special:
            return "\\" + special
        target = link(word)
        if target == word:
            return word + call
        # What follows may be a letter or a bracket, but at the end of a line the mark would join it with the next.
        return target if found.string[found.end() :][:1].isspace() else f"{target}\\ "

    return re.sub(r"`([^`]+)`|([*\\|`]|\b_|_\b)|(\w+)((?:\(\))?)", replace, text)


def table(block: str, link: Link) -> str:
    rows = re.findall(r"^ {1,3}(\S+) {2,}(.*(?:\n {4,}.*)*)", block, re.MULTILINE)
    return "\n".join(f"``{term}``\n   {escaped(' '.join(text.split()), link)}" for term, text in rows)


def to_rst(text: str, link: Link, language: str) -> str:
    blocks = []
    for block in re.split(r"\n(?:[ \t]*\n)+", dedent(text).strip("\n")):
        if block.startswith("    "):
            blocks.append(f".. code-block:: {language}\n\n{indent(dedent(block), '   ')}")
        elif re.match(r" {1,3}\S+ {2,}", block):
            blocks.append(table(block, link))
        elif block.startswith(">>>"):
            blocks.append(block)
        else:
            blocks.append(escaped(block, link))
    return "\n\n".join(blocks)


def heading(text: str) -> str:
    return f"{text}\n{'-' * len(text)}"


def directive(name: str, signatures: list[str], body: str = "", **options: str) -> str:
    head = f".. {name}:: " + f"\n{' ' * (len(name) + 6)}".join(signatures)
    return head + "".join(f"\n   :{key}: {value}" for key, value in options.items()) + "\n\n" + indent(body, "   ")


def sections(groups: dict[str, list[str]]) -> str:
    return "\n\n".join("\n\n".join([heading(title), *items]) for title, items in groups.items() if items)
