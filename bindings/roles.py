# SPDX-License-Identifier: BSD-3-Clause
"""The roles that arguments and results of the C calls have, and what each is in Python and in Lua.

From this table come the typemaps of both modules (roles.i, which typemaps.i uses), Python's stub and Lua's
annotations. A C declaration is written here once. Run as a program, it writes roles.i.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple, NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parent / "common"))
from declarations import Call, split  # noqa: E402


class Argument(NamedTuple):
    """What a script hands over: converted by to_ROLE. Without a macro, typemaps.i has its typemap."""

    role: str
    declarations: tuple[str, ...]
    python: str
    lua: str
    name: str = ""  # if it is not C's
    default: str = ""  # it may be left out
    macro: str = "zm_argument"


class Result(NamedTuple):
    """What a call writes through a pointer: made by Python's from_ROLE, Lua's push_ROLE. Without a type, typemaps.i
    has its typemap; Lua's results may be several.
    """

    role: str
    declaration: str
    type: str
    python: str
    lua: tuple[str, ...]
    lua_names: tuple[str, ...]
    macro: str = "zm_result"


ARGUMENTS = (
    Argument("size", ("size_t size", "size_t num", "size_t bytes", "size_t hysteresis", "size_t start",
                      "size_t max_us", "size_t interval_ms"), "int", "integer"),
    Argument("alignment", ("size_t alignment",), "int", "integer"),
    Argument("pid", ("long pid",), "int | None", "integer", default="-1"),
    Argument("long", ("long dirty_ms", "long muzzy_ms"), "int", "integer"),
    Argument("int", ("int i",), "int", "integer"),
    Argument("switch", ("int enable", "int disable"), "bool | int", "boolean|integer"),
    Argument("walk", ("int walk",), "bool | int", "boolean|integer", default="0"),
    Argument("field", ("char *field", "const char *field"), "str", "string", macro="zm_text_argument"),
    Argument("string_or_null", ("const char *string",), "str | bytes | None", "string?", macro="zm_text_argument"),
    Argument("block_or_null", ("void *ptr",), "Block | None", "zmalloc.Block?", macro=""),
    Argument("blocks", ("void *const *blocks, size_t count", "void **blocks, size_t count"),
             "list[Block | None] | tuple[Block | None, ...]", "zmalloc.Block[]", macro=""),
    Argument("null", ("void *libc_block",), "None", "nil", name="ptr", macro=""),
    Argument("handler", ("void (*handler)(size_t size)",), "Callable[[int], object] | None", "fun(size: integer)?",
             macro=""),
    Argument("handler", ("int (*handler)(size_t size, void *context)",), "Callable[[int], object] | None",
             "(fun(size: integer): any)?", macro=""),
    Argument("handler", ("void (*handler)(size_t used, void *context)",), "Callable[[int], object] | None",
             "fun(used: integer)?", macro=""),
)

RESULTS = (
    Result("size", "size_t *bytes", "size_t", "int", ("integer",), ("bytes",)),
    Result("known_size", "size_t *returned", "size_t", "int | None", ("integer?",), ("returned",)),
    Result("integer", "int *mode", "int", "int", ("integer",), ("mode",)),
    Result("boolean", "int *enabled", "int", "bool", ("boolean",), ("enabled",)),
    Result("boolean", "int *helps", "int", "bool", ("boolean",), ("helps",)),
    Result("memory_limits", "struct zmalloc_memory_limits *limits", "struct zmalloc_memory_limits", "MemoryLimits",
           ("zmalloc.MemoryLimits",), ("limits",), macro="zm_struct_result"),
    Result("report", "struct zmalloc_report *report", "struct zmalloc_report", "Report", ("zmalloc.Report",),
           ("report",), macro="zm_struct_result"),
    Result("defrag", "struct zmalloc_defrag *done", "struct zmalloc_defrag", "Defrag", ("zmalloc.Defrag",), ("done",),
           macro="zm_struct_result"),
    Result("published", "struct zmalloc_published *published", "struct zmalloc_published", "Published",
           ("zmalloc.Published",), ("published",), macro="zm_struct_result"),
    Result("booleans", "int *hints", "", "list[bool]", ("boolean[]",), ("hints",), macro=""),
    Result("usable", "size_t *usable", "", "UsableBlock", ("integer",), ("usable",), macro=""),
    Result("integer_or_none", "long long *res", "", "int | None", ("integer?",), ("number",), macro=""),
    Result("allocator_info", "size_t *allocated, size_t *active, size_t *resident", "", "AllocatorInfo",
           ("integer?",) * 3, ("allocated", "active", "resident"), macro=""),
    Result("decay", "long *dirty_ms, long *muzzy_ms", "", "Decay", ("integer",) * 2, ("dirty_ms", "muzzy_ms"),
           macro=""),
    Result("fields", "struct zmalloc_field *fields, size_t *count", "", "dict[str, int]",
           ("table<string, integer>",), ("fields",), macro=""),
    Result("mappings", "int (*visit)(const struct zmalloc_mapping *mapping, void *context), void *context", "",
           "list[Mapping]", ("zmalloc.Mapping[]",), ("mappings",), macro=""),
)

# What C returns; a negative int is an error.
RETURNS = {
    "void ": (None, None),
    "int ": (None, None),
    "size_t ": ("int", "integer"),
    "const char *": ("str", "string"),
    "void *": ("Block", "zmalloc.Block"),
    "char *": ("Block", "zmalloc.Block"),
}

# An int that is no status. Calls whose result may be no block without an error: by the beginnings of their names, and
# those that return none for none.
RETURNS_NUMBER = ("jemalloc_purge",)
MAY_RETURN_NONE = ("ztry", "zrealloc")
RETURN_NONE_FOR_NONE = ("zstrdup", "extend_to_usable")

# What a struct's member is; those of one struct may be others than their C types say.
MEMBERS = {
    "uint64_t": ("int", "integer"),
    "size_t": ("int | None", "integer?"),
    "int64_t": ("int | None", "integer?"),
    "double": ("float | None", "number?"),
    "char": ("str", "string"),
    "zmalloc_field": ("dict[str, int]", "table<string, integer>"),
}
LIMIT = ("int | float | None", "number?")
STRUCTS = {
    "zmalloc_mapping": "Mapping",
    "zmalloc_memory_limits": "MemoryLimits",
    "zmalloc_defrag": "Defrag",
    "zmalloc_report": "Report",
    "zmalloc_published": "Published",
}
MEMBERS_OF = {
    "zmalloc_memory_limits": {"size_t": LIMIT},
    "zmalloc_defrag": {"size_t": ("int", "integer")},
    "zmalloc_published": {"limit": LIMIT, "soft_limit": LIMIT},
}
NOT_IN_SCRIPTS = {"zmalloc_mapping": "count"}

# Python's named tuples that are no struct in C.
TUPLES = {
    "UsableBlock": {"block": "Block | None", "usable": "int"},
    "AllocatorInfo": {"allocated": "int | None", "active": "int | None", "resident": "int | None"},
    "Decay": {"dirty_ms": "int", "muzzy_ms": "int"},
}


def stop(what: str) -> NoReturn:
    sys.exit(f"roles: {what} is not known")


def argument(call: Call, declaration: str) -> Argument | None:
    """The role of what a script hands over, if it is that."""
    if call.name == "zlibc_free":
        declaration = "void *libc_block"
    return next((role for role in ARGUMENTS if declaration in (split(each)[0] for each in role.declarations)), None)


def result(declaration: str) -> Result | None:
    """The role that begins with this C argument. None for one that goes with the argument before."""
    for role in RESULTS:
        first, *others = split(role.declaration)
        if declaration == first:
            return role
        if declaration in others:
            return None
    if any(declaration in split(each)[1:] for role in ARGUMENTS for each in role.declarations):
        return None
    stop(f"the argument '{declaration}'")


def returned(call: Call) -> tuple[str | None, str | None]:
    """In Python and in Lua."""
    if call.name in RETURNS_NUMBER:
        return "int", "integer"
    if call.result not in RETURNS:
        stop(f"what {call.name} returns")
    python, lua = RETURNS[call.result]
    if python == "Block" and call.name.startswith(MAY_RETURN_NONE + RETURN_NONE_FOR_NONE):
        return python + " | None", lua + "?"
    return python, lua


def member(struct: str, name: str, c_type: str) -> tuple[str, str]:
    """In Python and in Lua."""
    kinds = MEMBERS | MEMBERS_OF.get(struct, {})
    return kinds.get(name, kinds[c_type])


def typemaps() -> str:
    """The table as SWIG reads it."""
    lines = ["/* Written by roles.py. */"]
    for argument in ARGUMENTS:
        for declaration in argument.declarations:
            if argument.macro:
                lines.append(f"%{argument.macro}({argument.role}, {declaration})")
            if argument.default:
                lines.append(f"%typemap(default) {declaration} %{{ $1 = {argument.default}; %}}")
    for result in RESULTS:
        if result.macro:
            lines.append(f"%{result.macro}({result.role}, {result.declaration}, {result.type})")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(typemaps(), encoding="utf-8")
