# SPDX-License-Identifier: BSD-3-Clause
"""The parser of smaps: whole input = any chunking = a plain reference, on recorded texts and on generated ones."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

BUILD = Path(os.environ["ZMALLOC_BUILD"])
RECORDED = Path(os.environ["ZMALLOC_SOURCE"]) / "tests" / "recorded"
RUNNER = os.environ.get("ZMALLOC_EMULATED", "").split()
EXAMPLES = int(os.environ.get("ZMALLOC_EXAMPLES", "2500"))

UNCOUNTABLE = 2**64 - 1
LONGEST_LINE = 4096 + 256
LONGEST_NAME = 31
MOST_FIELDS = 48

HEADER = re.compile(
    rb"([0-9a-f]+)-([0-9a-f]+) (.{4}) ([0-9a-f]+) [0-9a-f]+:[0-9a-f]+ [0-9]+[ \t]*(.*)", re.DOTALL
)
FIELD = re.compile(rb"([A-Za-z0-9_]+):[ \t]*([0-9]+) kB")


@dataclass
class Mapping:
    begin: int
    end: int
    offset: int
    permissions: bytes
    path: bytes
    fields: dict[bytes, int]


def number(digits: bytes, base: int) -> int:
    return min(int(digits, base), UNCOUNTABLE)


def add(fields: dict[bytes, int], name: bytes, value: int) -> None:
    """What is too much for the fields there may be is left out."""
    if len(name) <= LONGEST_NAME and (name in fields or len(fields) < MOST_FIELDS):
        fields[name] = min(fields.get(name, 0) + value, UNCOUNTABLE)


def as_string(text: bytes) -> bytes:
    return text.split(b"\0")[0]


def reference(text: bytes) -> list[Mapping]:
    mappings: list[Mapping] = []
    for line in text.split(b"\n")[:-1]:
        line = line[:LONGEST_LINE]
        if field := FIELD.fullmatch(line):
            if mappings:
                add(mappings[-1].fields, field[1], min(number(field[2], 10) * 1024, UNCOUNTABLE))
        elif header := HEADER.fullmatch(line):
            begin, end, permissions, offset, path = header.groups()
            addresses = (number(begin, 16), number(end, 16), number(offset, 16))
            mappings.append(Mapping(*addresses, as_string(permissions), as_string(path), {}))
    return mappings


def escaped(text: bytes) -> str:
    return "".join(f"\\x{c:02x}" if c < 0x20 or c > 0x7E or c == 0x5C else chr(c) for c in text)


def field_lines(fields: dict[bytes, int]) -> list[str]:
    return [f"{name.decode()} {value}" for name, value in fields.items()]


def expected(text: bytes) -> str:
    """What the driver is to print."""
    lines: list[str] = []
    sums: dict[bytes, int] = {}
    for each in reference(text):
        place = f"{each.begin:x} {each.end:x} {each.offset:x}"
        lines += [f"mapping {place} {escaped(each.permissions)} {escaped(each.path)}", *field_lines(each.fields)]
        for name, value in each.fields.items():
            add(sums, name, value)
    return "\n".join([*lines, "sums", *field_lines(sums), "end"]) + "\n"


class Driver:
    """The parser in a process of its own, which takes one text after another."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [*RUNNER, BUILD / "tests" / "fuzz" / "parse_smaps"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def parse(self, text: bytes, seed: int) -> str:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{seed} {len(text)}\n".encode() + text)
        self.process.stdin.flush()
        lines: list[str] = []
        while not lines or lines[-1] != "end\n":
            line = self.process.stdout.readline().decode()
            assert line, f"the driver ended with {self.process.wait()}"
            lines.append(line)
        return "".join(lines)

    def close(self) -> None:
        self.process.communicate()
        assert self.process.returncode == 0


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    one = Driver()
    yield one
    one.close()


def sums(text: str) -> dict[str, int]:
    """Those that the driver told, in kB."""
    lines = text.partition("sums\n")[2].splitlines()[:-1]
    return {name: int(value) // 1024 for name, value in (line.split() for line in lines)}


RECORDED_SUMS = {
    "linux-2.6.16.smaps": {"Size": 1452, "Rss": 596, "Shared_Clean": 560, "Private_Clean": 12, "Private_Dirty": 24},
    "linux-2.6.32.smaps": {"Size": 312, "Rss": 48, "Pss": 48, "Private_Dirty": 20, "Swap": 4, "MMUPageSize": 16},
    "linux-3.10.smaps": {"Rss": 4144, "Pss": 4142, "AnonHugePages": 4096, "Shared_Dirty": 4, "Nonlinear": 4},
    "linux-4.14.smaps": {"Rss": 44, "Private_Hugetlb": 4096, "KernelPageSize": 2056, "SwapPss": 20, "Locked": 8},
    "linux-4.14.smaps_rollup": {"Rss": 44, "Pss": 28, "Private_Hugetlb": 4096, "SwapPss": 20, "Locked": 8},
    "linux-5.10.smaps": {"Rss": 63496, "Pss": 63492, "AnonHugePages": 61440, "FilePmdMapped": 0},
    "linux-6.12.smaps": {"Rss": 2064, "Pss": 2053, "Pss_Dirty": 2049, "Private_Dirty": 2048, "KSM": 16},
    "linux-6.12.smaps_rollup": {"Rss": 2064, "Pss": 2053, "Pss_Anon": 2048, "Private_Dirty": 2048, "KSM": 16},
    "long.smaps": {"Rss": 4, "Field00": 4, "Field46": 4},
    "odd.smaps": {"Rss": 129, "Private_Dirty": 4, "Pss": 2**54 - 1},
}


@pytest.mark.parametrize("name", sorted(path.name for path in RECORDED.glob("*smaps*")))
def test_recorded(driver: Driver, name: str) -> None:
    text = (RECORDED / name).read_bytes()
    told = driver.parse(text, 0)
    assert told == expected(text)
    assert sums(told).items() >= RECORDED_SUMS[name].items()
    assert not {"THPeligible", "ProtectionKey", "VmFlags"} & sums(told).keys()
    for seed in range(1, 200):
        assert driver.parse(text, seed) == told


def test_recorded_mappings(driver: Driver) -> None:
    told = driver.parse((RECORDED / "linux-6.12.smaps").read_bytes(), 0)
    assert [line for line in told.splitlines() if line.startswith("mapping")] == [
        "mapping 7f4b2c000000 7f4b2c200000 0 rw-p [anon:Private_Dirty:   888888888 kB]",
        "mapping 7f4b2d000000 7f4b2d004000 2000 r--s "
        "/tmp/a\\x5c012Private_Dirty:   888888888 kB\\x5c012Rss:   7 kB",
        "mapping ffffffffff600000 ffffffffff601000 0 --xp [vsyscall]",
    ]


def test_every_border(driver: Driver) -> None:
    """A text in two pieces, cut at every place."""
    text = (RECORDED / "odd.smaps").read_bytes()
    told = expected(text)
    long_lines = b"1000-2000 rw-p 0 0:0 0 " + b"x" * 5000 + b"\nRss: 4 kB\n" + b"Rss:" + b" " * 5000 + b"4 kB\n"
    for seed in range(1, 500):
        assert driver.parse(text, seed) == told
        assert driver.parse(long_lines, seed) == expected(long_lines)


@pytest.mark.parametrize("length", [LONGEST_LINE - 1, LONGEST_LINE, LONGEST_LINE + 1, 10 * LONGEST_LINE])
def test_longest_line(driver: Driver, length: int) -> None:
    header = b"1000-2000 rw-p 0 0:0 0 "
    path = b"/" + b"x" * (length - len(header) - 1)
    text = header + path + b"\nRss: 4 kB\n"
    for seed in range(20):
        told = driver.parse(text, seed)
        assert told == expected(text)
        assert told.splitlines()[0].split()[-1] == path.decode()[: LONGEST_LINE - len(header)]


NAMES = (
    [b"Rss", b"Pss", b"Pss_Dirty", b"Private_Dirty", b"Swap", b"SwapPss", b"Size", b"KSM", b"R", b"_", b"0", b"abc"]
    + [b"N" * length for length in (30, 31, 32, 33)]
    + [b"A%d" % i for i in range(60)]
)
KILOBYTES = [0, 4, 8, 2**20, 2**54 - 1, 2**54, 2**64 - 1, 2**64, 10**30]
BLANKS = [b" ", b" " * 10, b"", b"  \t "]
ADDRESSES = [0, 0x1000, 0x7FFC0B9C6000, 2**64 - 1, 2**64, 2**70]
PERMISSIONS = [b"rw-p", b"r-xp", b"---s", b"    ", b"rwx", b"a\0bc"]
PLACES = [b"0 00:00 0", b"00001000 fd:01 131079", b"ffffffffffffffff 123:0 99999999999999999999999", b"0 00:00 "]
PATHS = [
    b"", b"[heap]", b"[vsyscall]", b"/lib/libc.so.6 (deleted)", b"Rss:  8 kB", b"/a\\012Rss:  8 kB", b"/\0b",
    b"/" + b"y" * 4279, b"/" + b"y" * 5000,
]  # fmt: skip
OTHERS = [b"VmFlags: rd wr mr ", b"THPeligible:    0", b"ProtectionKey:         0", b"", b"Rss: 4 KB", b" Rss: 4 kB"]
PUT_IN = [b"\n", b" kB", b":", b"-", b"\0", b" ", b"f", b"\nRss: 4 kB\n", b"\xff"]


def make_field(choose: Random) -> bytes:
    kilobytes = choose.choice(KILOBYTES) + choose.randrange(16)
    return b"%s:%s%d kB" % (choose.choice(NAMES), choose.choice(BLANKS), kilobytes)


def make_header(choose: Random) -> bytes:
    begin, end = choose.choice(ADDRESSES) + choose.randrange(256), choose.choice(ADDRESSES)
    place = [choose.choice(parts) for parts in (PERMISSIONS, PLACES, BLANKS, PATHS)]
    return b"%x-%x %s %s%s%s" % (begin, end, *place)


def make_line(choose: Random) -> bytes:
    kind = choose.randrange(10)
    return make_field(choose) if kind < 8 else make_header(choose) if kind == 8 else choose.choice(OTHERS)


def make_text(seed: int, lines: int, mutations: int) -> bytes:
    """Lines of the kernel's kind, and then some bytes lost, changed or put in between. To have hypothesis draw each
    word is slow; it draws three numbers, and a failure is told with the fewest lines and mutations."""
    choose = Random(seed)
    text = b"\n".join([make_header(choose), *(make_line(choose) for _ in range(lines))]) + b"\n"
    for _ in range(mutations):
        at = choose.randrange(len(text))
        text = text[:at] + choose.choice(PUT_IN) + text[at + choose.randrange(4) :]
    return text


TEXTS = st.builds(make_text, st.integers(0, 2**32 - 1), st.integers(0, 100), st.integers(0, 3))


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
@example(b"1-2 rw-p 0 0:0 0 " + b"\n1-2 rw-p 0 0:0 0\n".join(b"A%d: 1 kB" % i for i in range(60)) + b"\n", 3)
@example(b"1-2 rw-p 0 0:0 0\n" + b"".join(b"A%d: 1 kB\n" % i for i in range(60)) + b"A3: 1 kB\nA55: 1 kB\n", 3)
@example(b"1-2 rw-p 0 0:0 0\nRss:" + b" " * 40 + b"4 kB\n1-2 rw-p 0 0:0 0\nR\n", 3)
@given(TEXTS, st.integers(1, 2**32 - 1))
def test_generated(driver: Driver, text: bytes, seed: int) -> None:
    told = expected(text)
    assert driver.parse(text, 0) == told
    assert driver.parse(text, seed) == told


def make_alike(choose: Random) -> bytes:
    """Mappings as the kernel has them, each with nearly the fields of the one before, in columns of one width."""
    fields = [(b"F%02d" % i, choose.randrange(3)) for i in range(choose.randrange(1, 30))]
    text = b""
    for _ in range(choose.randrange(2, 8)):
        text += b"1000-2000 rw-p 0 0:0 0\n"
        for _ in range(choose.randrange(3)):
            at = choose.randrange(len(fields))
            kind = choose.randrange(5)
            if kind < 2:
                fields[at] = (fields[at][0], choose.choice([0, 1, 123456, 10**9]))
            elif kind == 2:
                fields[at] = (b"F%02d" % choose.randrange(30), fields[at][1])  # which may be there a second time
            elif kind == 3:
                fields[at:at] = [(b"G%02d" % choose.randrange(30), 7)]
            elif len(fields) > 1:
                del fields[at]
        text += b"".join(b"%s:%s%8d kB\n" % (name, b" " * 12, value) for name, value in fields) + b"VmFlags: rd\n"
    return text


def test_mappings_much_alike(driver: Driver) -> None:
    """What is the same as in the mapping before is taken over; what is not is read."""
    choose = Random(1)
    for seed in range(1, 1 + EXAMPLES):
        text = make_alike(choose)
        told = expected(text)
        assert driver.parse(text, 0) == told
        assert driver.parse(text, seed) == told
