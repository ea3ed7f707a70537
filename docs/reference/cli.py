# SPDX-License-Identifier: BSD-3-Clause
"""The command line's part: all of it is from the parser, as its manual page is."""

from __future__ import annotations

from zmalloc._cli.derived import Command, commands
from zmalloc._cli.parser import EXAMPLES, NOTES, STATUS

from .text import escaped, heading, links

SCHEMA = ".. literalinclude:: cli.schema.json\n   :language: json"


def words(text: str) -> str:
    return escaped(text, links({}))


def entries(terms: dict[str, str]) -> str:
    return "\n".join(f"``{term}``\n   {words(f'{text[0].upper()}{text[1:]}.')}" for term, text in terms.items())


def terms(command: Command) -> dict[str, str]:
    places = {place.value: place.help for place in command.places}
    options = {f"{', '.join(option.names)} {option.value or ''}".strip(): option.help for option in command.options}
    return {**places, **options}


def a_command(command: Command) -> str:
    synopsis = f".. code-block:: none\n\n   zmalloc {command.synopsis()}"
    return "\n\n".join([heading(command.name), synopsis, words(command.description), entries(terms(command))])


def part() -> str:
    program, listed = commands()
    parts = [words(program.description), entries(terms(program)), *map(a_command, listed)]
    for title, text in NOTES.items():
        parts += [heading(title.capitalize()), words(text)]
    parts += [heading("Exit status"), entries({str(number): meaning for number, meaning in STATUS.items()})]
    parts += [heading("Examples"), entries(EXAMPLES), heading("JSON"), SCHEMA]
    return "\n\n".join(parts)
