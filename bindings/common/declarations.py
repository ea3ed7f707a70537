# SPDX-License-Identifier: BSD-3-Clause
"""Reads the public header: its calls and its structs, each with the words about it."""

from __future__ import annotations

import re
import sys
from typing import NamedTuple

COMMENT = r"/\*+ ?((?:(?!\*/).)*?)\s*\*/"


class Call(NamedTuple):
    comment: str
    result: str  # "void *", "size_t "
    name: str
    arguments: list[str]


class Member(NamedTuple):
    name: str
    type: str
    words: str


class Struct(NamedTuple):
    comment: str
    members: list[Member]  # without its own size, which is for C alone


def split(arguments: str) -> list[str]:
    """At the commas that are in no parentheses."""
    words = re.sub(r"\s+", " ", arguments)
    return [] if words == "void" else re.split(r", (?![^()]*\))", words)


def calls(header: str) -> list[Call]:
    pattern = COMMENT + r"\nZMALLOC_API ([\w ]+[ *])(\w+)\(((?:[^()]|\([^()]*\))*)\)[^;]*;"
    found = re.findall(pattern, header, re.DOTALL)
    if len(found) != header.count("\nZMALLOC_API "):
        sys.exit("declarations: not every call of the header was understood")
    return [Call(comment, result, name, split(arguments)) for comment, result, name, arguments in found]


def fields(body: str) -> list[tuple[str, str]]:
    """Each field with its comment. One that stands before a group of them is about all of the group."""
    found = []
    for group in body.split("\n\n"):
        about = re.match(r"\s*" + COMMENT, group, re.DOTALL)
        member = re.compile(r"^ +[\w ]+[ *](\w+)(?:\[\w+\])?;(?: *" + COMMENT + ")?", re.MULTILINE | re.DOTALL)
        for name, comment in member.findall(group[about.end() if about else 0 :]):
            found.append((name, ". ".join(filter(None, (comment, about and about[1].rstrip("."))))))
    return found


def struct(header: str, name: str) -> Struct:
    pattern = COMMENT + r"\nstruct " + name + r" \{\n(.*?)^\};"
    comment, body = re.search(pattern, header, re.MULTILINE | re.DOTALL).groups()
    found = []
    for field, words in fields(body):
        c_type = re.search(r"(\w+) \*?" + field + r"(?:\[\w+\])?;", body)[1]
        found.append(Member(field, c_type, words))
    if len(found) != re.sub(COMMENT, "", body, flags=re.DOTALL).count(";"):
        sys.exit(f"declarations: not every field of struct {name} was understood")
    return Struct(comment, [member for member in found if member.name != "size"])
