# SPDX-License-Identifier: BSD-3-Clause
"""The manual page, made of the parser: as man's source, and as plain text.

As the parser it needs nothing else of the package.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import NamedTuple

from .derived import HELP, Command, Option, commands
from .parser import EXAMPLES, NOTES, STATUS

WIDTH = 80


class Entry(NamedTuple):
    """A term and what it means. Within the term, *bold* and /italic/ parts are told apart by their kind."""

    term: list[tuple[str, str]]
    text: str


class Section(NamedTuple):
    """What stands under a heading, of the page or of a command."""

    title: str
    is_command: bool
    text: str
    entries: list[Entry]


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _option_entry(option: Option) -> Entry:
    term = [part for name in option.names for part in (("B", name), ("R", ", "))][:-1]
    return Entry([*term, *([("R", " "), ("I", option.value)] if option.value else [])], _sentence(option.help))


def _command_section(command: Command) -> Section:
    entries = [Entry([("I", place.value)], _sentence(place.help)) for place in command.places]
    entries += [_option_entry(option) for option in command.options if option.names != HELP]
    return Section(command.name, True, command.description, entries)


def _sections() -> Iterator[Section]:
    """All but the name and the synopsis."""
    program, listed = commands()
    yield Section("COMMANDS", False, "", [])
    yield from map(_command_section, listed)
    yield Section("OPTIONS", False, "", [_option_entry(option) for option in program.options])
    for title, text in NOTES.items():
        yield Section(title.upper(), False, text, [])
    statuses = [Entry([("R", str(number))], _sentence(text)) for number, text in STATUS.items()]
    yield Section("EXIT STATUS", False, "", statuses)
    yield Section("EXAMPLES", False, "", [Entry([("B", line)], _sentence(text)) for line, text in EXAMPLES.items()])


def _purpose() -> str:
    text = commands()[0].description
    return f"zmalloc - {text[0].lower()}{text[1:].rstrip('.')}"


def _troff(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return re.sub(r"^(?=[.])", r"\\&", escaped)


def _styled(term: list[tuple[str, str]]) -> str:
    return "".join(_troff(text) if style == "R" else f"\\f{style}{_troff(text)}\\fR" for style, text in term)


def source(version: str) -> str:
    """The page for man."""
    lines = [f'.TH ZMALLOC 1 "" "zmalloc {version}" "User Commands"', ".SH NAME", _troff(_purpose())]
    lines += [".SH SYNOPSIS", ".nf"]
    lines += [f"\\fBzmalloc\\fR {_troff(command.synopsis())}" for command in commands()[1]]
    lines.append(".fi")
    for section in _sections():
        lines.append(f".{'SS' if section.is_command else 'SH'} {section.title}")
        lines += [_troff(section.text)] if section.text else []
        for entry in section.entries:
            lines += [".TP", _styled(entry.term), _troff(entry.text)]
    return "\n".join([*lines, ""])


def plain() -> str:
    """The page as text."""

    def filled(text: str, indent: int) -> str:
        margin = " " * indent
        return textwrap.fill(text, WIDTH, initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False)

    synopsis = [textwrap.fill(f"zmalloc {command.synopsis()}", WIDTH, initial_indent=" " * 7,
                              subsequent_indent=" " * 15, break_on_hyphens=False)
                for command in commands()[1]]  # fmt: skip
    parts = [f"NAME\n{filled(_purpose(), 7)}", "SYNOPSIS\n" + "\n".join(synopsis)]
    for section in _sections():
        head = f"   {section.title}" if section.is_command else section.title
        parts.append("\n".join([head, *([filled(section.text, 7)] if section.text else [])]))
        for entry in section.entries:
            parts.append(f"{' ' * 7}{''.join(text for _, text in entry.term)}\n{filled(entry.text, 14)}")
    return "\n\n".join(parts) + "\n"
