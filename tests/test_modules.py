# SPDX-License-Identifier: BSD-3-Clause
"""The table in README.md has every source, and every source of this build has a test that Meson runs."""

from __future__ import annotations

import json
import os
from fnmatch import fnmatch
from pathlib import Path

import pytest
from sources import OTHER_SYSTEMS, ROOT, parts_of_sources, rows_of_tests

INFO = Path(os.environ["ZMALLOC_BUILD"]) / "meson-info"

CROSS = "make cross"  # in a row's place for tests: this machine can't run it


def options() -> dict[str, object]:
    return {option["name"]: option["value"] for option in json.loads((INFO / "intro-buildoptions.json").read_text())}


def tests_of_meson() -> list[str]:
    return [test["name"] for test in json.loads((INFO / "intro-tests.json").read_text())]


def exists(name: str, tests: list[str]) -> bool:
    return any(fnmatch(test, name) for test in tests)


def parts_of_this_build() -> set[str]:
    hardened = {"hardened"} if options()["hardened"] else set()
    return {"core", "calls", f"allocator:{os.environ['ZMALLOC_ALLOCATOR']}", "os:linux"} | hardened


def test_table_has_every_source() -> None:
    table, sources = rows_of_tests(), parts_of_sources().keys()
    assert len(sources) > 20
    assert sources - table.keys() == set()
    others = table.keys() - sources
    assert {file for file in others if not file.endswith(".h") or not (ROOT / file).is_file()} == set()


def test_only_other_systems_have_none() -> None:
    table = rows_of_tests()
    elsewhere = {file for file, parts in parts_of_sources().items() if parts & OTHER_SYSTEMS}
    assert {file for file, tests in table.items() if tests == [CROSS]} <= elsewhere


def test_every_source_of_this_build_has_a_test() -> None:
    table, tests, parts = rows_of_tests(), tests_of_meson(), parts_of_this_build()
    untested = [
        file
        for file, those in parts_of_sources().items()
        if parts & those and not any(exists(name, tests) for name in table[file])
    ]
    assert untested == []


def test_every_test_is_there() -> None:
    """Those in C. The modules' tests need their languages. Only the plain build with libc has all the others."""
    table, tests = rows_of_tests(), tests_of_meson()
    if options()["hardened"] or options()["size_prefix"] or os.environ["ZMALLOC_ALLOCATOR"] != "libc":
        pytest.skip("this build leaves out tests that need only one build; the one with libc has them")
    hardened = {file for file, parts in parts_of_sources().items() if "hardened" in parts}
    names = {name for file, row in table.items() if file not in hardened for name in row}
    ours = {name for name in names if not name.startswith(("python ", "lua", CROSS))}
    assert len(ours) > 20
    assert {name for name in ours if not exists(name, tests)} == set()
