# SPDX-License-Identifier: BSD-3-Clause
"""Writes the Lua module's annotations: what is written by hand, then the C calls, their texts and structs from the
public header, then the calls that are written in Lua.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import roles  # noqa: E402
from declarations import Call, calls, struct  # noqa: E402


def text(comment: str) -> list[str]:
    lines = [re.sub(r"^\s*\*? ?", "", line).rstrip() for line in comment.strip().splitlines()]
    return [f"---{line}" for line in lines]


def call(declared: Call) -> str:
    lines, names = text(declared.comment), []
    value = roles.returned(declared)[1]
    results = [f"---@return {value}"] if value else []
    for declaration in declared.arguments:
        role = roles.argument(declared, declaration)
        if role:
            names.append(role.name or re.search(r"\w+(?=\)\(|$)", declaration)[0])
            lines.append(f"---@param {names[-1]}{'?' if role.default else ''} {role.lua}")
        else:
            found = roles.result(declaration)
            pairs = zip(found.lua, found.lua_names) if found else ()
            results += [f"---@return {kind} {word}" for kind, word in pairs]
    return "\n".join([*lines, *results, f"function zmalloc.{declared.name}({', '.join(names)}) end"])


def a_class(header: str, name: str) -> str:
    declared = struct(header, name)
    lines = [*text(declared.comment), f"---@class zmalloc.{roles.STRUCTS[name]}"]
    for field, c_type, words in declared.members:
        if field != roles.NOT_IN_SCRIPTS.get(name):
            kind = roles.member(name, field, c_type)[1]
            lines.append(" ".join(["---@field", field, kind, " ".join(words.split())]).rstrip())
    return "\n".join(lines)


def macros(header: str) -> list[str]:
    found = [f"---{comment}\nzmalloc.{name} = {value}" for comment, name, value in re.findall(
        r"/\*\* (.*?) \*/\n#define (ZMALLOC_M\w+) (\d+)", header)]
    found += [f"zmalloc.{name} = {value}" for name, value in re.findall(
        r"^#define (ZMALLOC_(?:VERSION|LONGEST)\w*) (\S+)", header, re.MULTILINE)]
    no_limit = re.search(r"/\*\* (.*?) \*/\n#define ZMALLOC_NO_LIMIT", header)[1]
    return [*found, f"---{no_limit}\nzmalloc.ZMALLOC_NO_LIMIT = math.huge",
            "---Only where the allocator itself knows the size of every block.\n---@type integer?\n"
            "zmalloc.HAVE_MALLOC_SIZE = 1"]


def written_in_lua(module: str) -> list[str]:
    """The functions, with their comments and annotations but without their bodies; the other names as they are."""
    comment, alias, function = r"((?:^--.*\n)", r"(zmalloc\.\w+ = zmalloc\.\w+)$", r"(function zmalloc\.\w+\(.*\))$"
    found = re.findall(comment + "*)" + alias, module, re.MULTILINE)
    found += [(words, head + " end") for words, head in re.findall(comment + "+)" + function, module, re.MULTILINE)]
    return [re.sub("^--+ ?", "---", words, flags=re.MULTILINE) + code for words, code in found]


def main() -> None:
    by_hand, header, module, output = map(Path, sys.argv[1:])
    contract = header.read_text(encoding="utf-8")
    parts = [
        by_hand.read_text(encoding="utf-8").rstrip(),
        *(a_class(contract, name) for name in roles.STRUCTS),
        *macros(contract),
        *map(call, calls(contract)),
        '---The allocator, with its version.\nzmalloc.ZMALLOC_LIB = ""',
        *written_in_lua(module.read_text(encoding="utf-8")),
        "return zmalloc",
    ]
    output.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
