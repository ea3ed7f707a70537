# SPDX-License-Identifier: BSD-3-Clause
"""Writes what the public header says of its structs as C macros: which fields there are, and the words about each.
Not the struct's own size, which is for C alone.

SWIG passes comments on for calls alone, so structs would otherwise need a copy of them for help().
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

STRUCTS = ("zmalloc_mapping", "zmalloc_memory_limits", "zmalloc_report")
COMMENT = r"/\*+ ?((?:(?!\*/).)*?)\s*\*/"


def words(comment: str) -> str:
    """The comment as one paragraph for each of its own, quoted for C."""
    lines = [re.sub(r"^\s*\*? ?", "", line).rstrip() for line in comment.splitlines()]
    paragraphs = re.sub(r"(?<=\S)\n *(?=\S)", " ", "\n".join(lines).strip())
    return '"' + paragraphs.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") + '"'


def fields(body: str) -> list[tuple[str, str]]:
    """Each field with its comment. One that stands before a group of them is about all of the group."""
    found = []
    for group in body.split("\n\n"):
        about = re.match(r"\s*" + COMMENT, group, re.DOTALL)
        member = re.compile(r"^ +[\w ]+[ *](\w+);(?: *" + COMMENT + ")?", re.MULTILINE | re.DOTALL)
        for name, comment in member.findall(group[about.end() if about else 0 :]):
            found.append((name, ". ".join(filter(None, (comment, about and about[1].rstrip("."))))))
    return found


def macros(header: str, struct: str) -> str:
    pattern = COMMENT + r"\nstruct " + struct + r" \{\n(.*?)^\};"
    comment, body = re.search(pattern, header, re.MULTILINE | re.DOTALL).groups()
    members = fields(body)
    if len(members) != re.sub(COMMENT, "", body, flags=re.DOTALL).count(";"):
        sys.exit(f"struct_fields: not all fields of struct {struct} were understood")
    members = [member for member in members if member[0] != "size"]
    lines = [f"#define {struct}_doc {words(comment)}"]
    lines += [f"#define {struct}_{name}_doc {words(comment)}" for name, comment in members]
    lines += [f"#define {struct}_fields(FIELD) " + " ".join(f"FIELD({name})" for name, _ in members)]
    return "\n".join(lines) + "\n"


def main() -> None:
    source, output = map(Path, sys.argv[1:])
    header = source.read_text(encoding="utf-8")
    output.write_text("".join(macros(header, struct) for struct in STRUCTS), encoding="utf-8")


if __name__ == "__main__":
    main()
