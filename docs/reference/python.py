# SPDX-License-Identifier: BSD-3-Clause
"""The Python part: signatures from the package's sources and its built stub, words from its objects."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import zmalloc
from zmalloc import metrics, pytest_plugin

from . import c
from .text import SOURCE, directive, heading, links, sections, to_rst

PACKAGE = SOURCE / "bindings" / "python" / "zmalloc"

# What a source declares by each name; a call that is overloaded several times.
Declarations = dict[str, list[ast.stmt]]


def declarations(body: list[ast.stmt]) -> Declarations:
    found: Declarations = {}
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.setdefault(node.name, []).append(node)
        elif isinstance(node, ast.AnnAssign):
            found[ast.unparse(node.target)] = [node]
        elif isinstance(node, ast.Assign):
            found[ast.unparse(node.targets[0])] = [node]
    made = ("__new__", "__init__")
    found.pop("TYPE_CHECKING", None)
    return {name: nodes for name, nodes in found.items() if not name.startswith("_") or name in made}


def parsed(path: Path) -> Declarations:
    return declarations(ast.parse(path.read_text(encoding="utf-8")).body)


def is_decorated(node: ast.stmt, name: str) -> bool:
    return isinstance(node, ast.FunctionDef) and name in map(ast.unparse, node.decorator_list)


def signatures(name: str, functions: list[ast.FunctionDef], *, method: bool = False) -> list[str]:
    """Those of the overloads if there are any; without self."""
    lines = []
    for function in [each for each in functions if is_decorated(each, "_overload")] or functions:
        arguments = function.args
        if method:
            (arguments.posonlyargs or arguments.args).pop(0)
        result = f" -> {ast.unparse(function.returns)}" if function.returns else ""
        lines.append(f"{name}({ast.unparse(arguments)}){result}")
    return lines


def words(thing: object, *own: str) -> str:
    here = {name: f":py:obj:`~zmalloc.{name}`" for name in c.names() if hasattr(zmalloc, name)}
    # The header's words have C in them.
    return to_rst(inspect.getdoc(thing) or "", links(c.targets() | here, *own), "c")


def member(owner: type, name: str, nodes: list[ast.stmt]) -> str:
    text = words(getattr(owner, name))
    if isinstance(nodes[0], ast.AnnAssign):  # a named tuple's
        return directive("py:attribute", [name], text, type=ast.unparse(nodes[0].annotation))
    if is_decorated(nodes[0], "property"):
        return directive("py:attribute", [name], text, type=ast.unparse(nodes[0].returns))
    return directive("py:method", signatures(name, nodes, method=True), text)


def a_class(name: str, node: ast.ClassDef, owner: type | None = None) -> str:
    found = declarations(node.body)
    maker = found.pop("__new__", None) or found.pop("__init__", [])
    heads = [head.split(" ->")[0] for head in signatures(name, maker, method=True)] or [name]
    owner = owner or getattr(zmalloc, name)
    items = [member(owner, own, nodes) for own, nodes in found.items()]
    return directive("py:class", heads, "\n\n".join([words(owner), *items]))


def constant(name: str, node: ast.AnnAssign) -> str:
    text = f"See :c:func:`{name}`." if name in c.names() else ""
    return directive("py:data", [name], text, type=ast.unparse(node.annotation))


def item(name: str, nodes: list[ast.stmt], stub: Declarations) -> str:
    if isinstance(nodes[0], ast.Assign):  # another name
        target = ast.unparse(nodes[0].value).removeprefix("_zmalloc.")
        if target not in stub:
            return directive("py:data", [name], f"Another name of :py:obj:`{target}`.")
        nodes = stub[target]
    if isinstance(nodes[0], ast.ClassDef):
        return a_class(name, nodes[0])
    if isinstance(nodes[0], ast.AnnAssign):
        return constant(name, nodes[0])
    return directive("py:function", signatures(name, nodes), words(getattr(zmalloc, name), name))


def group(name: str, nodes: list[ast.stmt]) -> str:
    if isinstance(nodes[0], ast.ClassDef):
        return "Types"
    if isinstance(nodes[0], ast.AnnAssign):
        return "Constants"
    return f"C: {c.names()[name]}" if name in c.names() else "Calls"


def prometheus() -> list[str]:
    """The module zmalloc.metrics."""
    [collector] = parsed(PACKAGE / "metrics.py")["Collector"]
    text = to_rst(inspect.getdoc(metrics) or "", links({}), "python")
    inside = directive("py:module", ["zmalloc.metrics"]) + "\n\n" + a_class("Collector", collector, metrics.Collector)
    return [heading("Prometheus"), text, inside]


def pytest() -> list[str]:
    """The plugin."""
    return [heading("pytest"), to_rst(inspect.getdoc(pytest_plugin) or "", links({}), "python")]


def part() -> str:
    stub = parsed(Path(zmalloc.__file__).with_name("_zmalloc.pyi"))
    parts: Declarations = {}
    for file in ("_defrag.py", "_published.py", "_monitor/series.py", "_monitor/monitor.py"):
        parts |= {name: nodes for name, nodes in parsed(PACKAGE / file).items() if hasattr(zmalloc, name)}
    declared = parsed(PACKAGE / "__init__.py") | parsed(PACKAGE / "_track.py") | parts | stub
    groups = {"Calls": [], "Types": [], "Constants": []} | {f"C: {title}": [] for title in c.names().values()}
    for name, nodes in declared.items():
        groups[group(name, nodes)].append(item(name, nodes, stub))
    return "\n\n".join([words(zmalloc, "zmalloc"), sections(groups), *prometheus(), *pytest()])
