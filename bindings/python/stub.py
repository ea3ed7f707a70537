# SPDX-License-Identifier: BSD-3-Clause
"""Writes the Python module's stub: what is written by hand, then the named tuples and the C calls.

Those come from the public header and the roles.
"""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import roles  # noqa: E402
from declarations import Call, calls, struct  # noqa: E402

NAMED_TUPLE = """\
@final
class {name}(structseq[{union}], tuple[{items}]):
    if sys.version_info >= (3, 10):
        __match_args__: Final = (
{names},
        )
"""
METHODS = {"Report": ["def _repr_html_(self) -> str: ..."]}


def union(kinds: list[str]) -> str:
    """One type for all of them. An int is a float to a checker; None stands last."""
    parts = dict.fromkeys(part for kind in kinds for part in kind.split(" | "))
    rest = [part for part in parts if part != "None" and (part != "int" or "float" not in parts)]
    return " | ".join(rest + ["None"] * ("None" in parts))


def named_tuple(name: str, members: dict[str, str]) -> str:
    kinds = list(members.values())
    items = [union([kind]) for kind in kinds] if len(kinds) <= 6 else [union(kinds), "..."]
    names = textwrap.indent(textwrap.fill(", ".join(f'"{member}"' for member in members), 100), " " * 12)
    head = NAMED_TUPLE.format(name=name, union=union(kinds), items=", ".join(items), names=names)
    body = [f"@property\ndef {member}(self) -> {kind}: ..." for member, kind in members.items()]
    return head + "\n" + textwrap.indent("\n".join(body + METHODS.get(name, [])), " " * 4)


def members(header: str, name: str) -> dict[str, str]:
    left_out = roles.NOT_IN_SCRIPTS.get(name)
    members = struct(header, name).members
    return {field: roles.member(name, field, c_type)[0] for field, c_type, _ in members if field != left_out}


def parameter(declared: Call, declaration: str, kind: str) -> str:
    role = roles.argument(declared, declaration)
    name = role.name or re.search(r"\w+(?=\)\(|$)", declaration)[0]
    return f"{name}: {kind}" + (f" = {role.default}" if role.default else "")


def result_of(declared: Call) -> str:
    """What is written through pointers comes in place of a status; a usable size, beside the Block."""
    written = [d for d in declared.arguments if not roles.argument(declared, d)]
    found = [role.python for role in map(roles.result, written) if role]
    value = roles.returned(declared)[0]
    if found == ["UsableBlock"]:
        return "UsableBlock" if value else "int"
    kinds = found + ([value] if value else [])
    if len(kinds) > 1:
        roles.stop(f"how {declared.name} returns several results")
    return kinds[0] if kinds else "None"


def signature(name: str, parameters: list[str], result: str) -> str:
    return f"def {name}({', '.join([*parameters, '/'] if parameters else [])}) -> {result}: ..."


def call(declared: Call) -> str:
    taken = [(d, role.python) for d in declared.arguments if (role := roles.argument(declared, d))]
    result = result_of(declared)
    if declared.name not in roles.RETURN_NONE_FOR_NONE:
        return signature(declared.name, [parameter(declared, *each) for each in taken], result)
    (first, kind), *rest = taken
    others = [parameter(declared, *each) for each in rest]
    some, none = kind.removesuffix(" | None"), "None"
    ways = [(some, result.removesuffix(" | None")), (none, none)]
    heads = [signature(declared.name, [parameter(declared, first, way), *others], answer) for way, answer in ways]
    return "\n".join(f"@overload\n{head}" for head in heads)


def main() -> None:
    by_hand, header, output = map(Path, sys.argv[1:])
    contract = header.read_text(encoding="utf-8")
    tuples = roles.TUPLES | {python: members(contract, name) for name, python in roles.STRUCTS.items()}
    parts = [
        by_hand.read_text(encoding="utf-8").rstrip(),
        *(named_tuple(*each) for each in tuples.items()),
        "\n".join(map(call, calls(contract))),
    ]
    output.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
