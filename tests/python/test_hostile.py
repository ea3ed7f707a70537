# SPDX-License-Identifier: BSD-3-Clause
"""Every argument of every call gets every value in tests/hostile.txt: it is served or refused, and nothing is lost.

`-s` shows the table: for each value, how many of the calls that take an argument of that name served it.
"""

from __future__ import annotations

import gc
import math
import os
import re
import sys
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import zmalloc

LIST = Path(os.environ["ZMALLOC_SOURCE"]) / "tests" / "hostile.txt"

REFUSALS = (TypeError, ValueError, OverflowError, MemoryError, BufferError, IndexError, OSError)


@dataclass
class Call:
    name: str
    refused_as: str
    arguments: list[str]


@dataclass
class Value:
    name: str
    served: set[str]
    may: set[str]


def read_list() -> tuple[list[Call], list[Value]]:
    calls, values = [], []
    for line in LIST.read_text().splitlines():
        kind, language, rest = [*line.split(maxsplit=2), "", "", ""][:3]
        if language not in ("both", "python"):
            continue
        if kind == "call":
            name, refused_as, *arguments = rest.split()
            calls.append(Call(name, name if refused_as == "=" else refused_as, arguments))
        elif kind == "value":
            name, _, served = rest.partition(":")
            may = {argument[:-1] for argument in served.split() if argument[-1] == "?"}
            values.append(Value(name, {argument.rstrip("?") for argument in served.split()}, may))
    return calls, values


CALLS, VALUES = read_list()


class Liar:
    """Says that it is whatever is asked for, and closes the Blocks of the same call on the way."""

    def __init__(self) -> None:
        self.victims: list[zmalloc.Block] = []

    def close(self) -> None:
        for block in self.victims:
            with suppress(BufferError):
                block.close()

    def lie(self, *arguments: object) -> int:
        self.close()
        return 8

    __index__ = __int__ = __len__ = __call__ = __hash__ = __length_hint__ = lie

    def __float__(self) -> float:
        return float(self.lie())

    def __bool__(self) -> bool:
        return self.lie() == 8

    def __eq__(self, other: object) -> bool:
        return self.lie() == 8

    def __str__(self) -> str:
        return f"Rss{self.lie()}"

    __repr__ = __fspath__ = __str__

    def __bytes__(self) -> bytes:
        return bytes(self.lie())

    def __iter__(self) -> object:
        return iter([self.lie()])

    def __getitem__(self, key: object) -> int:
        return self.lie()

    def __buffer__(self, flags: int) -> memoryview:
        return memoryview(bytes(self.lie()))


class LyingInt(int):
    """What it says is not what it is: 8."""

    def __index__(self) -> int:
        return -1

    __int__ = __len__ = __index__

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


class LyingStr(str):
    """Rss, whatever it says."""

    __slots__ = ()

    def __str__(self) -> str:
        return "\0"

    def __len__(self) -> int:
        return 2**62

    def encode(self, *arguments: object) -> bytes:
        return b"\0"


def closed_block() -> zmalloc.Block:
    block = zmalloc.Block(10)
    block.close()
    return block


def nested() -> list:
    innermost: list = []
    for _ in range(100_000):
        innermost = [innermost]
    return innermost


def bare_instance() -> object:
    """As near to a Block without memory as Python lets one come."""
    for make in (lambda: zmalloc.Block.__new__(zmalloc.Block), lambda: object.__new__(zmalloc.Block)):
        with suppress(TypeError):
            return make()
    impostor = type("Block", (), {"__class__": zmalloc.Block})()
    assert isinstance(impostor, zmalloc.Block)
    return impostor


def coroutine() -> object:
    yield from ()


NESTED = nested()
HUNDRED_MIB = "9" * (100 << 20)

MAKE: dict[str, Callable[[], object]] = {
    "nothing": lambda: None,
    "true": lambda: True,
    "false": lambda: False,
    "not a number": lambda: math.nan,
    "infinity": lambda: math.inf,
    "minus infinity": lambda: -math.inf,
    "whole float": lambda: 8.0,
    "fraction": lambda: 1.5,
    "minus one": lambda: -1,
    "minus 2^63": lambda: -(2**63),
    "2^53 + 1": lambda: 2**53 + 1,
    "2^63 - 1": lambda: 2**63 - 1,
    "2^63": lambda: 2**63,
    "2^64 - 1": lambda: 2**64 - 1,
    "2^64": lambda: 2**64,
    "10^300": lambda: 10**300,
    "number in a string": lambda: "8",
    "hexadecimal in a string": lambda: "0x10",
    "empty string": lambda: "",
    "string with a NUL": lambda: "Rss\0Pss",
    "string that is no UTF-8": lambda: "\udcff",
    "100 MB": lambda: HUNDRED_MIB,
    "foreign userdata": lambda: sys.__stdout__,
    "closed block": closed_block,
    "open block": lambda: zmalloc.Block(8),
    "bare object": object,
    "class": lambda: zmalloc.Block,
    "function": lambda: print,
    "coroutine": coroutine,
    "module": lambda: zmalloc,
    "nested deeply": lambda: NESTED,
    "liar": Liar,
    "bare Block class instance": bare_instance,
    "int that lies": lambda: LyingInt(8),
    "str that lies": lambda: LyingStr("Rss"),
}

# What the other arguments are meanwhile.
GOOD: dict[str, Callable[[], object]] = {
    "size": lambda: 10, "num": lambda: 2, "extent": lambda: 10, "good_size": lambda: 10, "alignment": lambda: 64,
    "block_alignment": lambda: 64, "ptr": lambda: zmalloc.zmalloc(10), "self": lambda: zmalloc.Block(10),
    "close": lambda: zmalloc.Block(10), "libc_ptr": lambda: None, "string": lambda: "text", "field": lambda: "Rss",
    "old_field": lambda: "Rss", "field_or_none": lambda: "Rss", "pid": lambda: None, "old_pid": lambda: None,
    "i": lambda: 1, "enable": lambda: False, "switch": lambda: False, "time": lambda: 10_000, "handler": lambda: None,
    "limit": lambda: 0, "any_limit": lambda: None, "soft": lambda: 0, "any_soft": lambda: None,
    "blocks": list, "start": lambda: 0, "max_us": lambda: 0, "max_seconds": lambda: None,
    "interval_ms": lambda: 0, "seconds": lambda: None,
    "hysteresis": lambda: 0, "all_threads": lambda: False, "index": lambda: 0, "byte": lambda: 1,
}  # fmt: skip

# How errors call an argument, where that is not its name in the list.
CALLED = {
    "extent": "size", "good_size": "size", "block_alignment": "alignment", "libc_ptr": "ptr", "old_field": "field",
    "limit": "bytes", "any_limit": "bytes", "soft": "bytes", "any_soft": "(bytes|hysteresis)",
    "field_or_none": "field", "old_pid": "pid", "switch": "(walk|disable)", "time": "(dirty_ms|muzzy_ms)",
    "seconds": "interval",
}  # fmt: skip

# What a C call that returns its status says.
STATUSES = "No such process|Invalid argument|no field|not supported|publishes no figures"

METHODS = {
    "Block.usable": lambda block: zmalloc.Block.usable.__get__(block),
}


def use(call: Call) -> Callable[..., object]:
    if call.name == "track":
        return lambda all_threads: zmalloc.track(all_threads=all_threads)
    if call.name == "report":
        return lambda pid, walk: zmalloc.report(pid, walk=walk)
    if call.name == "publish":
        return lambda on, interval: zmalloc.publish(on, interval=interval)
    if call.name == "defrag":
        return lambda blocks, seconds, start: zmalloc.defrag(blocks, max_seconds=seconds, start=start)
    if call.name in METHODS:
        return METHODS[call.name]
    target: object = zmalloc
    for name in call.name.split("."):
        target = getattr(target, name)
    return target


def complains_well(error: BaseException, call: Call) -> bool:
    """A refusal names the call and one of its arguments; a Block's own methods speak as Python's do."""
    text = str(error)[:1000]
    if "." in call.name:
        return True
    if isinstance(error, MemoryError):
        return text.startswith(f"{call.refused_as}: can't allocate")
    names = "|".join(f"argument '{CALLED.get(name, name)}'" for name in call.arguments)
    named = re.match(rf"(\[Errno \d+\] )?{re.escape(call.refused_as)}: ", text)
    return named is not None and bool(re.search(names + "|" + STATUSES, text))


def put_back() -> None:
    """Undoes what a call that was served may have done to the process."""
    zmalloc.set_limit(None)
    zmalloc.set_soft_limit(None)
    zmalloc.set_oom_handler(None)
    zmalloc.disable_thp(False)
    zmalloc.publish(False)
    for undo in (lambda: zmalloc.background_thread(False), lambda: zmalloc.set_decay(10_000, 0)):
        with suppress(OSError):
            undo()


def attempt(call: Call, number: int, value: Value) -> bool:
    """Whether the call served it."""
    arguments = [GOOD[name]() for name in call.arguments]
    arguments[number] = MAKE[value.name]()
    if isinstance(arguments[number], Liar):
        arguments[number].victims += [other for other in arguments if isinstance(other, zmalloc.Block)]
    try:
        result = use(call)(*arguments)
    except REFUSALS as error:
        assert complains_well(error, call), repr(error)[:200]
        return False
    return not (call.name.startswith("ztry") and result in (None, (None, 0)) and value.name != "nothing")


def test_hostile_values() -> None:
    served: dict[tuple[str, str], int] = defaultdict(int)
    tried: dict[tuple[str, str], int] = defaultdict(int)
    wrong: list[str] = []
    for call in CALLS:
        for number, argument in enumerate(call.arguments):
            for value in VALUES:
                before = zmalloc.used_memory()
                try:
                    well = attempt(call, number, value)
                except Exception as error:
                    wrong.append(f"{call.name}, {argument} = {value.name}: {error!r:.200}")
                put_back()
                if zmalloc.used_memory() != before:
                    gc.collect()
                if zmalloc.used_memory() != before:
                    wrong.append(f"{call.name}, {argument} = {value.name}: bytes are lost")
                if well and argument not in value.served:
                    wrong.append(f"{call.name}, {argument} = {value.name}: served")
                tried[value.name, argument] += 1
                served[value.name, argument] += well
    for value in VALUES:
        for argument in value.served - value.may:
            if (value.name, argument) in tried and not served[value.name, argument]:
                wrong.append(f"{argument} = {value.name}: served by no call")
    print_table(tried, served)
    assert not wrong, "\n".join(wrong)


def print_table(tried: dict[tuple[str, str], int], served: dict[tuple[str, str], int]) -> None:
    print(f"\n{len(CALLS)} calls, {sum(tried.values())} tries: {sum(served.values())} served, the others refused")
    for value in VALUES:
        cells = [
            f"{argument} {count}/{tried[value.name, argument]}"
            for (name, argument), count in served.items()
            if name == value.name and count
        ]
        print(f"{value.name:28} {', '.join(cells) or '-'}")


def test_the_list_has_every_call() -> None:
    listed = {call.name for call in CALLS if "." not in call.name}
    public = {name for name in dir(zmalloc) if callable(getattr(zmalloc, name)) and not name.startswith("_")}
    named_tuples = {name for name in public if isinstance(getattr(zmalloc, name), type) and name[0].isupper()}
    assert public - named_tuples - {"Track"} == listed - {"Block"}
    assert {value.name for value in VALUES} == set(MAKE)
    assert {name for call in CALLS for name in call.arguments} == set(GOOD)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_other_numbers_of_arguments(call: Call) -> None:
    """Too few, too many, by a name that nobody has, by one's own name twice."""
    function = use(call)
    good = [GOOD[name]() for name in call.arguments]
    before = zmalloc.used_memory()
    for arguments, keywords in [
        ([*good, *range(20)], {}),
        ([*good, *good, *good, 1, 1, 1], {}),
        (good, {"nonsense": 1}),
        (good, {"": 1}),
        (good, {f"x{i}": i for i in range(300)}),
        (good, {CALLED.get(name, name): value for name, value in zip(call.arguments, good)} or {"size": 1}),
    ]:
        if call.name == "Block.__exit__" and not keywords:
            continue  # it takes what with hands it
        with pytest.raises(TypeError):
            function(*arguments, **keywords)
    assert zmalloc.used_memory() == before
