# SPDX-License-Identifier: BSD-3-Clause
"""The reference is built, has every name that there is, in its own words, and leads nowhere in vain."""

from __future__ import annotations

import inspect
import os
import re
import shutil
import subprocess
import sys
import types
import typing
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
import zmalloc
from zmalloc._cli.derived import commands

SOURCE = Path(os.environ["ZMALLOC_SOURCE"])
BUILD = os.environ["ZMALLOC_BUILD"]
LIST_LUA = "for name, value in pairs(require 'zmalloc') do print(name) end"


class Page(HTMLParser):
    """What can be led to on a page, where it leads, and what it says of each name."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.said: dict[str, str] = {}
        self._heads: list[str] = []
        self._open: list[list[str]] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        self.ids.update(filter(None, [values.get("id")]))
        self.links.update(filter(None, [values.get("href"), values.get("src")]))
        if tag in ("dt", "dd", "p", "li", "div"):
            self.handle_data("\n")
        if tag == "dt" and "sig" in (values.get("class") or "").split():
            self._heads += [values["id"]] if "id" in values else []
        elif tag == "dd":
            self._open.append(self._heads)
            self.said.update(dict.fromkeys(self._heads, ""))
            self._heads = []

    def handle_endtag(self, tag: str) -> None:
        if tag == "dd":
            self._open.pop()

    def handle_data(self, data: str) -> None:
        for names in self._open:
            for name in names:
                self.said[name] += data


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reference")
    build = [SOURCE / "tools" / "docs", BUILD, folder]
    done = subprocess.run(build, env={**os.environ, "PYTHON": sys.executable}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout + done.stderr == ""
    return folder


@pytest.fixture(scope="session")
def pages(site: Path) -> dict[str, Page]:
    return {path.name: Page(path) for path in site.glob("*.html")}


def headers() -> str:
    return "".join((SOURCE / "include" / name).read_text() for name in ("zmalloc.h", "zmalloc_lua.h"))


def calls() -> dict[str, str]:
    """Each call of the headers, with its comment."""
    pattern = r"/\*\*((?:(?!\*/).)*)\*/\nZMALLOC_API [^(;]*?(\w+)\("
    found = {name: comment for comment, name in re.findall(pattern, headers(), re.DOTALL)}
    assert len(found) == headers().count("\nZMALLOC_API ") > 60
    return found


def test_c_has_every_call_in_the_header_s_words(pages: dict[str, Page]) -> None:
    said = pages["c.html"].said
    for name, comment in calls().items():
        assert words(said[f"c.{name}"]) == words(comment)


def test_c_has_every_macro_and_struct(pages: dict[str, Page]) -> None:
    said = pages["c.html"].said
    macros = set(re.findall(r"^#define ((?:ZMALLOC|HAVE)_\w+)", headers(), re.MULTILINE))
    inside = {name for name in macros if re.match(r"ZMALLOC_(H|LUA_H|API|ATTRIBUTE|RETURNS_\w+)$", name)}
    for name in macros - inside:
        assert words(said[f"c.{name}"])
    structs = re.findall(r"^struct (\w+) \{\n(.*?)^\}", headers(), re.MULTILINE | re.DOTALL)
    for name, body in structs:
        place = f"c.tag.{name}" if name in calls() else f"c.{name}"
        members = re.findall(r"(\w+)(?:\[.*\])?;", re.sub(r"/\*.*?\*/", "", body, flags=re.DOTALL))
        assert members
        for member in members:
            assert words(said[f"{place}.{member}"])


def public(module: types.ModuleType) -> dict[str, object]:
    """What is there by its own right, and not because the module imports it."""
    return {
        name: thing
        for name, thing in ((name, getattr(module, name)) for name in dir(module))
        if vars(typing).get(name) is not thing and not name.startswith("_") and not inspect.ismodule(thing)
        and getattr(thing, "__module__", "zmalloc").startswith(("zmalloc", "_zmalloc"))
    }  # fmt: skip


def test_python_has_every_public_name_in_its_docstring_s_words(pages: dict[str, Page]) -> None:
    said, found = pages["python.html"].said, public(zmalloc)
    names = {"Block", "Report", "Monitor", "Sample", "track", "allocator"}
    assert found.keys() >= calls().keys() - {"zmalloc_lua_alloc"} | names
    for name, thing in found.items():
        if callable(thing) and not isinstance(thing, type):
            assert words(said[f"zmalloc.{name}"]) == words(inspect.getdoc(thing))
        elif isinstance(thing, type) and thing.__name__ == name:
            assert words(said[f"zmalloc.{name}"])[: len(words(thing.__doc__))] == words(thing.__doc__)
            for member in vars(thing):
                if not member.startswith(("_", "n_")):
                    assert words(said[f"zmalloc.{name}.{member}"])
        else:
            assert f"zmalloc.{name}" in said


def test_python_has_the_collector(pages: dict[str, Page]) -> None:
    from zmalloc import metrics

    said = pages["python.html"].said
    for name, thing in {"Collector": metrics.Collector, "Collector.collect": metrics.Collector.collect}.items():
        told, own = words(said[f"zmalloc.metrics.{name}"]), words(inspect.getdoc(thing))
        assert told[: len(own)] == own


def test_lua_has_every_name_of_the_module(pages: dict[str, Page]) -> None:
    listed = subprocess.run([os.environ["ZMALLOC_LUA"], "-e", LIST_LUA], check=True, capture_output=True, text=True)
    names, said = listed.stdout.split(), pages["lua.html"].said
    assert set(names) >= calls().keys() - {"zmalloc_lua_alloc"} | {"Block", "rss", "track", "allocator"}
    for name in names:
        function, value = f"lua-function-zmalloc.{name}", f"lua-value-zmalloc.{name}"
        assert function in said or value in said, name
        if name in calls():
            assert words(said[function]) == words(calls()[name])
        assert words(said.get(function, "-")) or name not in calls()
    for method in ("get", "set", "resize", "close", "usable"):
        assert words(said[f"lua-function-Block-{method}"])


def test_every_command_and_option_is_there(site: Path) -> None:
    text = (site / "cli.html").read_text(encoding="utf-8")
    for command in commands()[1]:
        assert f'id="{command.name}"' in text
        for name in (name for option in command.options for name in option.names):
            assert name in text
    assert "private_dirty" in text  # of the schema


def test_no_link_is_broken_and_none_leads_away(site: Path, pages: dict[str, Page]) -> None:
    outside = re.compile(r"https://(www\.sphinx-doc\.org|github\.com/pradyunsg/furo|pradyunsg\.me)")
    followed = 0
    for name, page in pages.items():
        for link in page.links:
            if outside.match(link):
                continue
            path, place = urldefrag(unquote(link))
            target = path.split("?")[0] or name
            assert (site / target).is_file(), f"{name}: {link}"
            if place:
                assert place in pages[target].ids, f"{name}: {link}"
                followed += 1
    assert followed > 300


def judged(folder: Path, change: tuple[str, str]) -> subprocess.CompletedProcess[str]:
    """Doxygen's word on a changed header."""
    shutil.copytree(SOURCE / "docs", folder / "docs")
    shutil.copytree(SOURCE / "include", folder / "include")
    header = folder / "include" / "zmalloc.h"
    assert header.read_text().count(change[0]) == 1
    header.write_text(header.read_text().replace(*change))
    environment = {**os.environ, "DOXYGEN_OUTPUT": str(folder)}
    return subprocess.run(["doxygen", "docs/Doxyfile"], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    "change",
    [
        ("/** Frees a block that any of the calls above returned. NULL is ignored. */\n", ""),
        ("NULL for NULL. */", r"NULL for NULL. \wrong */"),
        ("NULL for NULL. */", r"NULL for NULL. @param text that is no parameter */"),
        ("/* address after the last */", ""),
    ],
    ids=["no comment", "an unknown command", "no such parameter", "a field without a comment"],
)
def test_doxygen_stops_at(change: tuple[str, str], tmp_path: Path) -> None:
    done = judged(tmp_path, change)
    assert done.returncode != 0
    assert "zmalloc.h" in done.stderr


def test_doxygen_does_not_stop_at_what_is_right(tmp_path: Path) -> None:
    done = judged(tmp_path, ("NULL for NULL. */", "NULL for NULL! */"))
    assert (done.returncode, done.stderr) == (0, "")
