# SPDX-License-Identifier: BSD-3-Clause
"""Writes the Lua module's annotations: what is written by hand, then the C calls, their texts and structs from the
public header, then the calls that are written in Lua.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "common"))
from struct_fields import COMMENT, fields  # noqa: E402

CLASSES = {
    "zmalloc_mapping": "zmalloc.Mapping",
    "zmalloc_memory_limits": "zmalloc.MemoryLimits",
    "zmalloc_report": "zmalloc.Report",
}

# What a C argument is that a script hands over; a question mark at the name's end: it may be left out.
ARGUMENTS = {
    "size_t size": ("size", "integer"),
    "size_t num": ("num", "integer"),
    "size_t alignment": ("alignment", "integer"),
    "long pid": ("pid?", "integer"),
    "long dirty_ms": ("dirty_ms", "integer"),
    "long muzzy_ms": ("muzzy_ms", "integer"),
    "int i": ("i", "integer"),
    "int enable": ("enable", "boolean|integer"),
    "int disable": ("disable", "boolean|integer"),
    "int walk": ("walk?", "boolean|integer"),
    "char *field": ("field", "string"),
    "const char *field": ("field", "string"),
    "const char *string": ("string", "string?"),
    "void *ptr": ("ptr", "zmalloc.Block?"),
    "size_t bytes": ("bytes", "integer"),
    "size_t hysteresis": ("hysteresis", "integer"),
    "void (*handler)(size_t size)": ("handler", "fun(size: integer)?"),
    "int (*handler)(size_t size, void *context)": ("handler", "(fun(size: integer): any)?"),
    "void (*handler)(size_t used, void *context)": ("handler", "fun(used: integer)?"),
}

# What a C argument is that is written through; None goes with the one before.
RESULTS = {
    "size_t *bytes": ("integer", "bytes"),
    "size_t *usable": ("integer", "usable"),
    "long long *res": ("integer?", "number"),
    "size_t *allocated": ("integer?", "allocated"),
    "size_t *active": ("integer?", "active"),
    "size_t *resident": ("integer?", "resident"),
    "size_t *returned": ("integer?", "returned"),
    "int *mode": ("integer", "mode"),
    "int *enabled": ("boolean", "enabled"),
    "long *dirty_ms": ("integer", "dirty_ms"),
    "long *muzzy_ms": ("integer", "muzzy_ms"),
    "struct zmalloc_memory_limits *limits": ("zmalloc.MemoryLimits", "limits"),
    "struct zmalloc_report *report": ("zmalloc.Report", "report"),
    "struct zmalloc_field *fields": ("table<string, integer>", "fields"),
    "size_t *count": None,
    "int (*visit)(const struct zmalloc_mapping *mapping, void *context)": ("zmalloc.Mapping[]", "mappings"),
    "void *context": None,
}

RETURNS = {"void ": None, "int ": None, "size_t ": "integer", "const char *": "string"}

# An int that is no status; a block that may be none without an error.
RETURNS_OF = {"jemalloc_purge": "integer", "zstrdup": "zmalloc.Block?", "extend_to_usable": "zmalloc.Block?"}

TYPES = {"uint64_t": "integer", "size_t": "integer?", "int64_t": "integer?", "double": "number?", "char": "string"}


def stop(what: str) -> None:
    sys.exit(f"annotations: {what} is not known")


def text(comment: str) -> list[str]:
    lines = [re.sub(r"^\s*\*? ?", "", line).rstrip() for line in comment.strip().splitlines()]
    return [f"---{line}" for line in lines]


def split(arguments: str) -> list[str]:
    """At the commas that are in no parentheses."""
    words = re.sub(r"\s+", " ", arguments)
    return [] if words == "void" else re.split(r", (?![^()]*\))", words)


def returned(name: str, result: str) -> str | None:
    if name in RETURNS_OF:
        return RETURNS_OF[name]
    if result == "void *":
        return "zmalloc.Block?" if re.match("ztry|zrealloc", name) else "zmalloc.Block"
    if result not in RETURNS:
        stop(f"what {name} returns")
    return RETURNS[result]


def call(comment: str, result: str, name: str, arguments: str) -> str:
    lines, names = text(comment), []
    value = returned(name, result)
    results = [f"---@return {value}"] if value else []
    for argument in split(arguments):
        if name == "zlibc_free":
            names.append("ptr")
            lines.append("---@param ptr nil")
        elif argument in ARGUMENTS:
            word, kind = ARGUMENTS[argument]
            names.append(word.rstrip("?"))
            lines.append(f"---@param {word} {kind}")
        elif argument in RESULTS:
            results += ["---@return {} {}".format(*RESULTS[argument])] if RESULTS[argument] else []
        else:
            stop(f"the argument '{argument}' of {name}")
    return "\n".join([*lines, *results, f"function zmalloc.{name}({', '.join(names)}) end"])


def calls(header: str) -> list[str]:
    pattern = COMMENT + r"\nZMALLOC_API ([\w ]+[ *])(\w+)\(((?:[^()]|\([^()]*\))*)\)[^;]*;"
    found = re.findall(pattern, header, re.DOTALL)
    if len(found) != header.count("\nZMALLOC_API "):
        stop("how some call is declared")
    return [call(*each) for each in found]


def struct(header: str, name: str) -> str:
    pattern = COMMENT + r"\nstruct " + name + r" \{\n(.*?)^\};"
    comment, body = re.search(pattern, header, re.MULTILINE | re.DOTALL).groups()
    lines = [*text(comment), f"---@class {CLASSES[name]}"]
    for field, words in fields(body):
        declared = re.search(r"(\w+) \*?" + field + ";", body)[1]
        kind = "table<string, integer>" if declared == "zmalloc_field" else TYPES[declared]
        if name == "zmalloc_memory_limits":
            kind = "number?"
        if field not in ("size", "count"):
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
        *(struct(contract, name) for name in CLASSES),
        *macros(contract),
        *calls(contract),
        '---The allocator, with its version.\nzmalloc.ZMALLOC_LIB = ""',
        *written_in_lua(module.read_text(encoding="utf-8")),
        "return zmalloc",
    ]
    output.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
