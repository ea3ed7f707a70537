# SPDX-License-Identifier: BSD-3-Clause
"""The library as built: what it shows, what it calls, and how it may be loaded."""

import re
from pathlib import Path

import pytest

from tree import (
    ALLOCATOR, BUILD, HEADER, HEADERS_TEXT, header_functions, introspect, option, run, symbols, tool,
)  # fmt: skip

SHARED = BUILD / "src" / "libzmalloc.so.0.2"
CORE = BUILD / "src" / "libzmalloc-core.a"

needs_shared = pytest.mark.skipif(option("default_library") == "static", reason="no shared library in this tree")


def dynamic_section() -> str:
    return run(tool("readelf"), "--dynamic", "--wide", SHARED)


def test_header_has_functions() -> None:
    assert {"zmalloc", "zfree", "zmalloc_used_memory", "jemalloc_purge", "zmalloc_lua_alloc"} <= header_functions()
    assert len(header_functions()) == HEADERS_TEXT.count("\nZMALLOC_API ")


@needs_shared
def test_exports_the_headers_and_nothing_else() -> None:
    calls = {option("symbol_prefix") + name for name in header_functions()}
    assert symbols(SHARED, "--dynamic", "--defined-only") == calls


@needs_shared
def test_soname() -> None:
    assert "Library soname: [libzmalloc.so.0.2]" in dynamic_section()


@needs_shared
def test_is_never_unloaded_and_can_be_loaded_late() -> None:
    flags = dynamic_section()
    assert "NODELETE" in flags
    assert "TEXTREL" not in flags
    # A process that is already running has only a little static TLS left to give: glibc keeps 512 bytes for all that
    # it loads.
    segments = run(tool("readelf"), "--segments", "--wide", SHARED)
    tls = next(line.split() for line in segments.splitlines() if line.split()[:1] == ["TLS"])
    assert "STATIC_TLS" not in flags or int(tls[5], 16) <= 128


PLAIN = {
    "malloc", "calloc", "realloc", "reallocarray", "memalign", "posix_memalign", "aligned_alloc", "valloc",
    "malloc_usable_size", "strdup", "strndup", "asprintf", "getline", "fopen", "opendir",
}  # fmt: skip


def test_core_calls_malloc_by_its_plain_name_only_on_libc() -> None:
    called = symbols(CORE, "--undefined-only") & PLAIN
    always = {"malloc", "calloc", "posix_memalign"} if ALLOCATOR == "libc" else set()
    if not option("hardened"):
        always |= {"realloc"} if ALLOCATOR == "libc" else set()
    glibcs = {"malloc_usable_size", "aligned_alloc"} if ALLOCATOR == "libc" else set()
    assert always <= called <= always | glibcs


def test_core_calls_its_own_allocator() -> None:
    own_names = {
        "jemalloc": r"(je_)?[md]allocx|je_free_tsd",
        "tcmalloc": r"tc_(malloc|free)\w*",
        "mimalloc": r"mi_(malloc|free)\w*",
        "libc": r"malloc|free",
    }
    pattern = re.compile(own_names[ALLOCATOR])
    called = {name for name in symbols(CORE, "--undefined-only") if pattern.fullmatch(name)}
    assert len(called) >= 2


@pytest.mark.skipif(ALLOCATOR == "libc", reason="here it is the allocator's own")
def test_plain_free_is_called_by_zlibc_free_alone() -> None:
    code = run(tool("objdump"), "--disassemble", "--reloc", CORE)
    functions = re.findall(r"<(\w+)>:\n((?:.+\n)+)", code)
    assert {name for name, body in functions if re.search(r"R_\w+\s+free\b", body)} == {"zlibc_free"}


def test_version_is_one_and_the_same() -> None:
    version = introspect("projectinfo")["version"]
    macros = dict(re.findall(r"#define ZMALLOC_(VERSION\w*) (.+)", HEADER.read_text()))
    assert macros["VERSION"] == f'"{version}"'
    assert [macros[f"VERSION_{part}"] for part in ("MAJOR", "MINOR", "PATCH")] == version.split(".")
