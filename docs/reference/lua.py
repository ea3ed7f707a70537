# SPDX-License-Identifier: BSD-3-Clause
"""The Lua part: the annotations that the build makes of the header and the module, from top to bottom."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sphinx import addnodes
from sphinx.environment import BuildEnvironment

from . import c
from .text import SOURCE, Link, directive, heading, links, sections, to_rst

ANNOTATIONS = Path("bindings", "lua", "library", "zmalloc.lua")

# Sphinx knows no Lua: its descriptions are these kinds of objects, whose signatures are shown as they are.
KINDS = ("lua-function", "lua-class", "lua-value")


def show(env: BuildEnvironment, signature: str, node: addnodes.desc_signature) -> str:
    name, rest = re.fullmatch(r"([\w.:]+\w)(.*)", signature).groups()
    owner, own = re.fullmatch(r"(.*[.:])?(\w+)", name).groups()
    node += addnodes.desc_addname(owner or "", owner or "")
    node += addnodes.desc_name(own, own)
    node += addnodes.desc_sig_element(rest, rest)
    return name


@dataclass
class Entry:
    """What stands between two empty lines: words, annotations, and the name that they are about."""

    words: str
    parameters: list[tuple[str, str]] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    fields: list[tuple[str, str, str]] = field(default_factory=list)
    class_name: str = ""
    name: str = ""
    value: str = ""

    @property
    def is_function(self) -> bool:
        return self.value == "function"

    @property
    def signature(self) -> str:
        if not self.is_function:
            return self.name
        parameters = ", ".join(f"{name}: {kind}" for name, kind in self.parameters)
        return f"{self.name}({parameters})" + (": " + ", ".join(self.results) if self.results else "")


def entry(block: str) -> Entry:
    lines = block.splitlines()
    found = Entry("\n".join(line[3:] for line in lines if re.match("---(?!@)", line)))
    for line in lines:
        if parameter := re.match(r"---@param (\S+) (.*)", line):
            found.parameters.append(parameter.groups())
        elif result := re.match(r"---@return (.*)", line):
            found.results.append(result[1])
        elif named := re.match(r"---@field (\w+) (fun\(\)|table<.*?>|\S+) ?(.*)", line):
            found.fields.append(named.groups())
        elif kind := re.match(r"---@class (\S+)", line):
            found.class_name = kind[1]
        elif function := re.match(r"function ([\w.:]+)\(", line):
            found.name, found.value = function[1], "function"
        elif value := re.match(r"(zmalloc\.\w+) = (.*)", line):
            found.name, found.value = value.groups()
    return found


def entries() -> Iterator[Entry]:
    annotations = Path(os.environ["ZMALLOC_BUILD"], ANNOTATIONS).read_text(encoding="utf-8")
    yield from map(entry, annotations.split("\n\n"))


def item(found: Entry, all_of_them: dict[str, Entry], link: Link) -> str:
    known = all_of_them.get(found.value)  # of another name
    if known:
        words, results, parameters = found.words or known.words, known.results, known.parameters
        found = Entry(words, parameters, results, name=found.name, value=known.value)
    kind = "lua-function" if found.is_function else "lua-value"
    name = found.name.removeprefix("zmalloc.")
    see = f"See :c:func:`{name}`." if name in c.names() else ""
    return directive(kind, [found.signature], to_rst(found.words, link, "c") or see)


def a_class(found: Entry, methods: list[Entry], link: Link) -> str:
    parts = [to_rst(found.words, link, "lua")]
    # Several classes have a field of the same name; none is looked for without its class.
    parts += [directive("lua-value", [f"{name}: {kind}"], to_rst(words, link, "lua"), noindex="")
              for name, kind, words in found.fields]
    parts += [directive("lua-function", [method.signature], to_rst(method.words, link, "lua")) for method in methods]
    return directive("lua-class", [found.class_name], "\n\n".join(parts))


def helper() -> str:
    """The comment at the top of zmalloc.busted."""
    source = (SOURCE / "bindings" / "lua" / "zmalloc" / "busted.lua").read_text(encoding="utf-8")
    comment = re.match(r"-- SPDX.*\n((?:--.*\n)+)", source)[1]
    return to_rst(re.sub("^-- ?", "", comment, flags=re.MULTILINE), links({}), "lua")


def part() -> str:
    found = list(entries())
    named = {each.name: each for each in found if each.name}
    of_c = {name: f":lua-function:`{name} <zmalloc.{name}>`" for name in c.names()
            if f"zmalloc.{name}" in named and named[f"zmalloc.{name}"].is_function}
    groups = {"Calls": [], "Types": [], "Constants": []} | {f"C: {title}": [] for title in c.names().values()}
    for each in found:
        own = each.name.removeprefix("zmalloc.")
        link = links(c.targets() | of_c, own)
        if each.class_name:
            methods = [other for other in found if other.name.startswith(each.class_name.split(".")[-1] + ":")]
            groups["Types"].append(a_class(each, methods, link))
        elif not own or ":" in own:
            continue
        elif own in of_c:
            groups[f"C: {c.names()[own]}"].append(item(each, named, link))
        else:
            is_call = each.is_function or each.value in named and named[each.value].is_function
            groups["Calls" if is_call else "Constants"].append(item(each, named, link))
    module = next(each.words for each in found if each.words and not each.name)
    return "\n\n".join([to_rst(module, links({}), "lua"), sections(groups), heading("busted"), helper()])
