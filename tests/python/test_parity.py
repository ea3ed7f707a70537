# SPDX-License-Identifier: BSD-3-Clause
"""Everything in the header is there, can be called, and does what it says."""

from __future__ import annotations

import errno
import math
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import zmalloc

LIBRARY = os.environ["ZMALLOC_ALLOCATOR"]


def block(size: int = 100) -> zmalloc.Block:
    return zmalloc.zmalloc(size)


def extended(call: Callable[[zmalloc.Block, int], zmalloc.Block]) -> zmalloc.Block:
    whole = block()
    return call(whole, whole.usable)


def is_block(length: int) -> Callable[[object], bool]:
    return lambda result: isinstance(result, zmalloc.Block) and len(result) == length


def is_pair(length: int) -> Callable[[object], bool]:
    return lambda pair: len(pair.block) == length and pair.usable == pair.block.usable >= length and len(pair) == 2


def is_zero(length: int) -> Callable[[object], bool]:
    return lambda result: bytes(result) == bytes(length)


def is_number(result: object) -> bool:
    return type(result) is int and result > 0


def is_none(result: object) -> bool:
    return result is None


def is_status(result: object) -> bool:
    return type(result) is int and result >= 0


def are_figures(info: tuple[int | None, ...]) -> bool:
    return len(info) == 3 and all(figure is None or figure >= 0 for figure in info)


def only_jemalloc(name: str, *arguments: object) -> Callable[[Callable], object]:
    """What only jemalloc has, the others say that they don't have."""

    def use(call: Callable) -> object:
        if LIBRARY == "jemalloc":
            return call(*arguments)
        with pytest.raises(OSError, match=f"{name}: ") as caught:
            call(*arguments)
        assert caught.value.errno == errno.ENOTSUP
        return None

    return use


def thread_call(call: Callable[[bool], object]) -> object:
    on = only_jemalloc(call.__name__, True)(call)
    return on or only_jemalloc(call.__name__, False)(call)


def publish_and_read(call: Callable[[], zmalloc.Published]) -> zmalloc.Published:
    zmalloc.zmalloc_publish(1, 0)
    try:
        return call()
    finally:
        zmalloc.zmalloc_publish(0, 0)


# Every call of the header, with arguments that it serves and what it must answer.
CALLS = {
    "zmalloc": (lambda f: f(100), is_block(100)),
    "ztrymalloc": (lambda f: f(100), is_block(100)),
    "zmalloc_usable": (lambda f: f(100), is_pair(100)),
    "ztrymalloc_usable": (lambda f: f(100), is_pair(100)),
    "zmalloc_no_tcache": (lambda f: f(100), is_block(100)),
    "zcalloc": (lambda f: f(5000), is_zero(5000)),
    "zcalloc_num": (lambda f: f(50, 100), is_zero(5000)),
    "ztrycalloc": (lambda f: f(5000), is_zero(5000)),
    "zcalloc_usable": (lambda f: f(100), is_pair(100)),
    "ztrycalloc_usable": (lambda f: f(100), is_pair(100)),
    "zrealloc": (lambda f: f(block(), 200), is_block(200)),
    "ztryrealloc": (lambda f: f(block(), 200), is_block(200)),
    "zrealloc_usable": (lambda f: f(block(), 200), is_pair(200)),
    "ztryrealloc_usable": (lambda f: f(block(), 200), is_pair(200)),
    "zaligned_alloc": (lambda f: f(64, 100), is_block(100)),
    "ztryaligned_alloc": (lambda f: f(64, 100), is_block(100)),
    "zaligned_alloc_usable": (lambda f: f(64, 100), is_pair(100)),
    "ztryaligned_alloc_usable": (lambda f: f(64, 100), is_pair(100)),
    "zstrdup": (lambda f: f("text"), lambda result: bytes(result) == b"text\0"),
    "zfree": (lambda f: f(block()), is_none),
    "zfree_usable": (lambda f: f(block()), lambda result: result >= 100),
    "zfree_with_size": (lambda f: f(block(), 100), is_none),
    "zfree_no_tcache": (lambda f: f(block()), is_none),
    "zlibc_free": (lambda f: f(None), is_none),
    "zmalloc_size": (lambda f: f(block()), lambda result: result >= 100),
    "zmalloc_usable_size": (lambda f: f(block()), lambda result: result >= 100),
    "zmalloc_good_size": (lambda f: f(100), lambda result: result >= 100),
    "extend_to_usable": (extended, lambda result: len(result) == result.usable),
    "zmalloc_used_memory": (lambda f: (block(), f())[1], is_number),
    "zmalloc_total_allocated": (lambda f: (block(), f())[1], is_number),
    "zmalloc_total_freed": (lambda f: (block().close(), f())[1], is_number),
    "zmalloc_thread_allocated": (lambda f: (block(), f())[1], is_number),
    "zmalloc_thread_freed": (lambda f: (block().close(), f())[1], is_number),
    "zmalloc_peak_memory": (lambda f: (block(), f())[1], is_number),
    "zmalloc_reset_peak_memory": (lambda f: f(), is_none),
    "zmalloc_set_oom_handler": (lambda f: f(None), is_none),
    "zmalloc_set_oom_retry_handler": (lambda f: f(None), is_none),
    "zmalloc_set_limit": (lambda f: f(0), is_none),
    "zmalloc_limit": (lambda f: f(), lambda result: result == 0),
    "zmalloc_set_soft_limit": (lambda f: f(0, 0, None), is_none),
    "zmalloc_soft_limit": (lambda f: f(), lambda result: result == 0),
    "zmalloc_get_rss": (lambda f: f(), is_number),
    "zmalloc_rss": (lambda f: f(), is_number),
    "zmalloc_process_rss": (lambda f: f(os.getppid()), is_number),
    "zmalloc_get_private_dirty": (lambda f: f(), is_number),
    "zmalloc_private_dirty": (lambda f: f(os.getpid()), is_number),
    "zmalloc_get_smap_bytes_by_field": (lambda f: f("Rss:"), is_number),
    "zmalloc_smap_bytes_by_field": (lambda f: f("Rss", -1), is_number),
    "zmalloc_smaps": (lambda f: f(), lambda sums: is_number(sums["Rss"]) and len(sums) > 15),
    "zmalloc_mappings": (lambda f: f(), lambda all: all[0].begin < all[0].end <= all[1].begin),
    "zmalloc_get_memory_size": (lambda f: f(), is_number),
    "zmalloc_memory_size": (lambda f: f(), is_number),
    "zmalloc_memory_limits": (lambda f: f(), lambda limits: is_number(limits.physical)),
    "zmalloc_memory_limit": (lambda f: f(), is_number),
    "zmalloc_thp": (lambda f: f(), lambda mode: mode in (0, 1, 2)),
    "zmalloc_disable_thp": (lambda f: f(0), is_none),
    "get_proc_stat_ll": (lambda f: f(1), lambda result: result == os.getpid()),
    "zmadvise_dontneed": (lambda f: f(block()), is_none),
    "zmalloc_allocator": (lambda f: f(), lambda result: result == zmalloc.ZMALLOC_LIB),
    "zmalloc_get_allocator_info": (lambda f: f(), lambda info: None not in info and are_figures(info)),
    "zmalloc_allocator_info": (lambda f: f(), are_figures),
    "set_jemalloc_bg_thread": (lambda f: (f(1), f(0))[1], is_none),
    "zmalloc_background_thread": (thread_call, is_none),
    "zmalloc_background_thread_enabled": (
        only_jemalloc("zmalloc_background_thread_enabled"),
        lambda result: result is (False if LIBRARY == "jemalloc" else None),
    ),
    "zmalloc_decay": (
        only_jemalloc("zmalloc_decay"),
        lambda result: LIBRARY != "jemalloc" or (result.dirty_ms, result.muzzy_ms) == tuple(result),
    ),
    "zmalloc_set_decay": (only_jemalloc("zmalloc_set_decay", 10_000, 0), is_none),
    "zmalloc_defrag_hint": (
        only_jemalloc("zmalloc_defrag_hint", None),
        lambda result: type(result) is bool if LIBRARY == "jemalloc" else result is None,
    ),
    "zmalloc_defrag_hints": (only_jemalloc("zmalloc_defrag_hints", []), lambda result: not result),
    "zmalloc_defrag": (only_jemalloc("zmalloc_defrag", [], 0, 0), lambda result: not result or not any(result)),
    "jemalloc_purge": (lambda f: f(), lambda result: result == 0),
    "zmalloc_purge": (lambda f: f(), is_status),
    "zmalloc_publish": (lambda f: (f(1, 10), f(0, 0))[1], is_none),
    "zmalloc_published": (publish_and_read, lambda published: published.used == zmalloc.used_memory()),
    "zmalloc_report": (lambda f: f(1), lambda report: is_number(report.rss) and is_number(report.pss)),
}


def header(source: Path) -> str:
    return (source / "include" / "zmalloc.h").read_text()


def declared(source: Path) -> set[str]:
    """The names of the calls, each the last word before the first bracket of its declaration."""
    return set(re.findall(r"^ZMALLOC_API [^(;]*?(\w+)\(", header(source), re.MULTILINE))


def test_the_table_is_the_header(source: Path) -> None:
    assert set(CALLS) == declared(source)
    assert len(CALLS) == header(source).count("\nZMALLOC_API ")


@pytest.mark.parametrize("name", CALLS)
def test_call(name: str) -> None:
    call, answers = CALLS[name]
    assert answers(call(getattr(zmalloc, name)))


@pytest.mark.parametrize("name", CALLS)
def test_every_call_has_the_header_s_words(name: str, source: Path) -> None:
    def words(text: str) -> list[str]:
        return re.findall(r"\w+", text)

    comment = re.search(r"/\*\*((?:(?!\*/).)*)\*/\s*ZMALLOC_API [^(;]*?\b" + name + r"\(", header(source), re.DOTALL)
    assert words(getattr(zmalloc, name).__doc__) == words(comment[1])


def test_macros(source: Path) -> None:
    version = re.search(r'ZMALLOC_VERSION "(.*)"', header(source))[1]
    assert zmalloc.ZMALLOC_VERSION == zmalloc.__version__ == version
    parts = zmalloc.ZMALLOC_VERSION_MAJOR, zmalloc.ZMALLOC_VERSION_MINOR, zmalloc.ZMALLOC_VERSION_PATCH
    assert ".".join(map(str, parts)) == version
    assert zmalloc.ZMALLOC_UNKNOWN is zmalloc.ZMALLOC_UNKNOWN_DIFFERENCE is None
    assert zmalloc.ZMALLOC_NO_LIMIT == math.inf
    for name in ("ZMALLOC_MOST_FIELDS", "ZMALLOC_LONGEST_FIELD"):
        assert getattr(zmalloc, name) == int(re.search(rf"#define {name} (\d+)", header(source))[1])
    assert zmalloc.ZMALLOC_LIB == zmalloc.allocator
    assert zmalloc.allocator.startswith(LIBRARY + "-")
    assert hasattr(zmalloc, "HAVE_MALLOC_SIZE") == (os.environ["ZMALLOC_PREFIX"] == "0")


def test_stub_has_every_call_and_no_other(source: Path) -> None:
    stub = Path(zmalloc.__file__).with_name("_zmalloc.pyi").read_text()
    assert set(re.findall(r"^def ([a-z]\w+)\(", stub, re.MULTILINE)) == declared(source)


def test_nothing_of_swig_shows() -> None:
    names = dir(zmalloc) + dir(zmalloc._zmalloc)
    assert not [name for name in names if "swig" in name.lower() or name in ("SIZE_MAX", "INT64_MIN")]


def test_idiomatic_names() -> None:
    assert zmalloc.used_memory() == zmalloc.zmalloc_used_memory()
    assert zmalloc.memory_size() == zmalloc.zmalloc_memory_size()
    assert is_status(zmalloc.purge())
    assert thread_call(zmalloc.background_thread) is None


def test_allocator_info_says_none_for_what_it_does_not_know() -> None:
    with zmalloc.Block(100):  # an allocator that nobody has asked yet may hold nothing
        info, old = zmalloc.allocator_info(), zmalloc.zmalloc_get_allocator_info()
    assert isinstance(info, zmalloc.AllocatorInfo)
    assert (info.allocated, info.active, info.resident) == tuple(info)
    assert [figure is None for figure in info] == [figure == 0 for figure in old]
    if LIBRARY == "libc":
        assert info.resident is None
    else:
        assert info.allocated is None or info.allocated > 0


def test_allocator_info_sees_a_large_block() -> None:
    before = zmalloc.allocator_info().active
    with zmalloc.Block(64 << 20):
        during = zmalloc.allocator_info().active
    if before is not None:
        assert during - before >= 60 << 20


@pytest.mark.parametrize("name", ["zmalloc_rss", "zmalloc_purge", "zmalloc_used_memory"])
def test_surplus_arguments_are_refused(name: str) -> None:
    with pytest.raises(TypeError, match=name):
        getattr(zmalloc, name)(1)
