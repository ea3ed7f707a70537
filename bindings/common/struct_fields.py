# SPDX-License-Identifier: BSD-3-Clause
"""Writes what the public header says of its structs as C macros: which fields there are, and the words about each.
Not the struct's own size, which is for C alone.

SWIG passes comments on for calls alone, so structs would otherwise need a copy of them for help().
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import declarations

STRUCTS = ("zmalloc_mapping", "zmalloc_memory_limits", "zmalloc_defrag", "zmalloc_report", "zmalloc_published")


def words(comment: str) -> str:
    """The comment as one paragraph for each of its own, quoted for C."""
    lines = [re.sub(r"^\s*\*? ?", "", line).rstrip() for line in comment.splitlines()]
    paragraphs = re.sub(r"(?<=\S)\n *(?=\S)", " ", "\n".join(lines).strip())
    return '"' + paragraphs.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") + '"'


def macros(header: str, struct: str) -> str:
    comment, members = declarations.struct(header, struct)
    lines = [f"#define {struct}_doc {words(comment)}"]
    lines += [f"#define {struct}_{name}_doc {words(comment)}" for name, _, comment in members]
    lines += [f"#define {struct}_fields(FIELD) " + " ".join(f"FIELD({name})" for name, _, _ in members)]
    return "\n".join(lines) + "\n"


def main() -> None:
    source, output = map(Path, sys.argv[1:])
    header = source.read_text(encoding="utf-8")
    output.write_text("".join(macros(header, struct) for struct in STRUCTS), encoding="utf-8")


if __name__ == "__main__":
    main()
