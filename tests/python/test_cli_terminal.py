# SPDX-License-Identifier: BSD-3-Clause
"""The command line on a terminal: what fits, what has colour, and that nothing reaches it that it might obey."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from zmalloc._cli import screen as screen_module

from command import STYLE, Said, Terminal, inside, on_terminal, rows, run, start

WIDTHS = (40, 80, 200)
KINDS = {"rich": None, "plain": "rich"}
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

# Names that files can have, and what must be shown of them.
NAMES = {
    b"\x1b[31mred\x1b[0m": r"\x1b[31mred\x1b[0m",
    b"\x1b]0;title\x07": r"\x1b]0;title\x07",
    b"\r\x08back\tto\x7f": r"\x0d\x08back\x09to\x7f",
    "\x9b2J".encode(): r"\x9b2J",
    "\u202egnp.exe": r"\u202egnp.exe",
    "\u2028line\u200b": r"\u2028line\u200b",
    b"\xff\xfe no text": r"\xff\xfe no text",
    "\U000e0041": r"\U000e0041",
    "漢字かな": "漢字かな",
    "e\u0301a\u0308": "e\u0301a\u0308",
    "[bold red]markup :smile: %s%n {}": "[bold red]markup :smile: %s%n {}",
    "long" * 60: "long" * 60,
}
MAPS = """
import mmap, os, sys
kept = []
for name in os.listdir(os.fsencode(sys.argv[1])):
    with open(os.path.join(os.fsencode(sys.argv[1]), name), "rb") as file:
        kept.append(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
print("ready", flush=True)
input()
"""


def shell_name(name: str | bytes) -> bytes:
    return name if isinstance(name, bytes) else name.encode()


@pytest.fixture(scope="module")
def strange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A process that maps files of all these names."""
    folder = os.fsencode(tmp_path_factory.mktemp("strange"))
    for name in NAMES:
        Path(os.fsdecode(os.path.join(folder, shell_name(name)))).write_bytes(bytes(4096))
    command = [sys.executable, "-c", MAPS, folder]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
        process.kill()


def check_harmless(said: Said, styles: bool) -> None:
    """Lines of what can be seen; the styles are few and known."""
    for style in STYLE.findall(said.out):
        assert styles and style in ("\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[36m"), style
    assert all(line.isprintable() for line in STYLE.sub("", said.out).split("\n"))


def check_fits(text: str, width: int) -> None:
    cells = pytest.importorskip("rich.cells", reason="no rich for this interpreter")
    lines = STYLE.sub("", text).splitlines()
    assert lines and max(cells.cell_len(line) for line in lines) <= width


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", ["report", "report PID", "smaps PID", "mappings PID"])
def test_what_is_told_fits(command: str, kind: str, width: int, strange: int) -> None:
    said = on_terminal(*command.replace("PID", str(strange)).split(), width=width, without=KINDS[kind])
    assert said.status == 0
    check_harmless(said, styles=kind == "rich")
    check_fits(said.out, width)
    lines = STYLE.sub("", said.out).splitlines()
    asked = {"smaps PID": "Private_Dirty", "mappings PID": "[stack]"}.get(command, "private_dirty")
    assert any(asked in line for line in lines)
    if width == 200:
        table = run(*command.replace("PID", str(strange)).split()).out
        assert [cells[0] for cells in rows(said.out)[1:]] == [cells[0] for cells in rows(table)[1:]]


@pytest.mark.parametrize("kind", KINDS)
def test_names_of_files(kind: str, strange: int) -> None:
    """Each is there, in no other sense than as text, and all of it where there is room."""
    said = on_terminal("mappings", strange, width=1000, without=KINDS[kind])
    check_harmless(said, styles=kind == "rich")
    text = STYLE.sub("", said.out)
    for name in NAMES.values():
        assert text.count(f"/{name} ") + text.count(f"/{name}\n") == 1, name


def test_names_of_files_that_must_be_cut(strange: int) -> None:
    """The end of a path tells more than its beginning."""
    for without in KINDS.values():
        said = on_terminal("mappings", strange, width=60, without=without)
        assert re.search(r"…(ong)?(long)+ *\n", said.out)
        assert "…" not in on_terminal("mappings", strange, width=60, without=without, **ASCII).out


def in_ascii(name: str | bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}" for byte in shell_name(name))


def with_escapes(encoding: str) -> list[str]:
    return [name.encode(encoding, "backslashreplace").decode(encoding) for name in NAMES.values()]


@pytest.mark.parametrize(
    ("settings", "encoding", "expected"),
    [
        ({}, "utf-8", list(NAMES.values())),
        ({"PYTHONIOENCODING": "latin-1"}, "latin-1", with_escapes("latin-1")),
        ({"PYTHONIOENCODING": "ascii"}, "ascii", with_escapes("ascii")),
        (ASCII, "ascii", [in_ascii(name) for name in NAMES]),
    ],
    ids=["UTF-8", "Latin-1", "ASCII", "C locale"],
)
def test_names_in_an_encoding(settings: dict[str, str], encoding: str, expected: list[str], strange: int) -> None:
    """Without a terminal as with one; an error message is of the same kind."""
    with start("mappings", strange, **settings) as process:
        said = process.stdout.buffer.read().decode(encoding)
        assert process.stderr.read() == ""
    assert all(line.isprintable() for line in said.split("\n"))
    assert [name for name in expected if not re.search(rf"/{re.escape(name)}$", said, re.MULTILINE)] == []
    if encoding != "latin-1":
        check_harmless(on_terminal("mappings", strange, width=300, **settings), styles=True)
    error = run("smaps", strange, "漢\x1b[31m", **settings)
    assert (error.status, error.err.count("\n")) == (2, 1)
    assert r"\x1b[31m" in error.err and error.err[:-1].isprintable()


def test_json_has_the_names_as_they_are(strange: int) -> None:
    said = on_terminal("mappings", strange, "--json", width=40)
    assert said.out[:-1].isprintable() and said.out.isascii()
    assert said.out.count("\n") == 1


@pytest.mark.parametrize(
    ("settings", "styles"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False),
     ({"TERM": ""}, False)],
    ids=str,
)
def test_colours(settings: dict[str, str], styles: bool, stopped: int) -> None:
    pytest.importorskip("rich", reason="no rich for this interpreter")
    for command in (("report",), ("smaps", stopped), ("mappings", stopped)):
        assert ("\x1b[" in on_terminal(*command, **settings).out) is styles


def test_no_colour_in_a_pipe(stopped: int) -> None:
    for command in (("report",), ("smaps", stopped), ("mappings", stopped), ("watch", stopped, "-c", "1")):
        assert "\x1b" not in inside(*command).out
    assert "\x1b" not in run("report", FORCE_COLOR="1", CLICOLOR_FORCE="1").out


def screen(text: str) -> list[str]:
    """What a terminal shows after these few things that a table is drawn with."""
    lines, row = [""], 0
    for part in re.findall(r"\x1b\[[?0-9;]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", text.replace("\r\n", "\n")):
        if part == "\n":
            row += 1
            lines += [""] if row == len(lines) else []
        elif part == "\x1b[2K":
            lines[row] = ""
        elif part == "\x1b[1A":
            row -= 1
        elif not STYLE.fullmatch(part) and part not in ("\r", "\x1b[?25l", "\x1b[?25h"):
            assert part.isprintable(), part
            lines[row] += part
    return [line for line in lines if line]


def test_watch_in_place(stopped: int) -> None:
    """One table, drawn anew; it never has more lines than the terminal, and leaves the cursor as it was."""
    pytest.importorskip("rich", reason="no rich for this interpreter")
    for width in (40, 200):
        said = on_terminal("watch", stopped, "-n", ".01", "-c", "26", width=width)
        assert said.status == 0
        shown = screen(said.out)
        assert shown[0].startswith(f"process {stopped} (")
        assert shown[1].split()[:2] == ["time", "rss"]
        assert 15 < len(shown) < 25
        assert all(re.match(r"\d\d:\d\d:\d\d +\d", line) for line in shown[2:])
        assert max(map(len, shown)) <= width
        assert said.out.count("\x1b[?25l") == said.out.count("\x1b[?25h") == 1


@pytest.mark.parametrize("settings", [{}, {"TERM": "dumb"}], ids=str)
def test_watch_by_lines(settings: dict[str, str], stopped: int) -> None:
    for width in WIDTHS:
        said = on_terminal("watch", stopped, "-n", ".01", "-c", "3", width=width, without="rich", **settings)
        check_harmless(said, styles=False)
        how = "install python3-rich (Debian, Ubuntu), or rich by pip"
        hint = [f"zmalloc: a table in place, and colours, need rich: {how}"]
        *before, title, head, _, _, last = said.out.splitlines()
        assert (said.status, before) == (0, [] if settings else hint)  # a dumb terminal would not gain by it
        assert title.startswith(f"process {stopped} (")
        assert {len(line) for line in said.out.splitlines()[-4:]} == {len(head)} <= set(range(width + 1))
        assert re.match(r"\d\d:", last)


def test_watch_repeats_its_heads(stopped: int) -> None:
    """So that they are on the screen, which has 24 lines; not where it is no screen."""
    said = on_terminal("watch", stopped, "-n", ".01", "-c", "60", without="rich")
    heads = [number for number, line in enumerate(said.out.splitlines()) if line.startswith("time ")]
    assert len(heads) == 3
    assert [after - before for before, after in zip(heads, heads[1:])] == [24, 24]
    said = run("watch", stopped, "-n", ".01", "-c", "60")
    assert sum(line.startswith("time ") for line in said.out.splitlines()) == 1


def test_plot_shows_how_far_it_is(stopped: int, tmp_path: Path) -> None:
    """On a terminal; and the line is gone in the end."""
    pytest.importorskip("matplotlib", reason="no matplotlib for this interpreter")
    said = on_terminal("plot", stopped, "-n", ".01", "-c", "3", "-o", tmp_path / "p.png", width=100)
    told = [line.strip() for line in said.out.split("\r") if line.strip()]
    assert [re.sub(r" \(.*\)", "", line) for line in told] == [
        f"process {stopped}: reading {number} of 3, 0 s left" for number in (1, 2, 3)
    ]
    assert said.status == 0 and said.out.endswith("\r" + " " * max(map(len, told)) + "\r")


@pytest.mark.parametrize("tool", ["man", "groff", None])
def test_manual_on_a_terminal(tool: str | None, tmp_path: Path) -> None:
    """By man where there is man, else through the pager, as groff makes it or as plain text."""
    for name in ("man", "groff", "cat", "sh"):
        if name in (tool, "cat", "sh") and shutil.which(name):
            (tmp_path / name).symlink_to(shutil.which(name))
    if tool is not None:
        (tmp_path / tool).unlink(missing_ok=True)
        (tmp_path / tool).write_text(f"#!/bin/sh\necho by {tool} \"$1\"\n")
        (tmp_path / tool).chmod(0o755)
    said = on_terminal("manual", PATH=str(tmp_path), PAGER="cat", MANPAGER="cat")
    expected = {"man": "by man -l\n", "groff": "by groff -man\n", None: inside("manual").out}
    assert (said.status, said.out) == (0, expected[tool])
    dumb = on_terminal("manual", PATH=str(tmp_path), TERM="dumb")
    assert (dumb.status, dumb.out) == (0, inside("manual").out)


@pytest.mark.parametrize("kind", KINDS)
def test_control_c(kind: str, stopped: int) -> None:
    """From the keyboard; the cursor comes back."""
    terminal = Terminal("watch", stopped, "-n", ".01", without=KINDS[kind])
    terminal.read_until(r"\d\d:\d\d:\d\d")
    terminal.type(b"\x03")
    said = terminal.end()
    assert said.status == -2
    assert "Traceback" not in said.out and "Interrupt" not in said.out
    assert said.out.count("\x1b[?25l") == said.out.count("\x1b[?25h") == (1 if kind == "rich" else 0)


def test_the_end_of_the_process_is_told_below_the_table() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        terminal = Terminal("watch", process.pid, "-n", ".01")
        terminal.read_until(r"\d\d:\d\d:\d\d")
        process.stdin.close()
        said = terminal.end()
    assert said.status == 0
    assert said.out.endswith(f"\n\x1b[?25hzmalloc: process {process.pid} has ended\n")


SIZES = {0: "0 B", 1: "1 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 999 << 10: "999.0 KiB",
         1023 << 10: "1023 KiB", (1 << 20) - 600: "1023 KiB", (1 << 20) - 1: "1.0 MiB", 1 << 20: "1.0 MiB",
         -115000: "-112.3 KiB", 2**64: "16.0 EiB"}  # fmt: skip


def test_sizes_for_people(stopped: int) -> None:
    for size, text in SIZES.items():
        assert screen_module.human(size) == text
    fields = ("Size", "Rss", "Anonymous", "Swap")  # which stay as they are
    exact, human = (rows(inside("smaps", stopped, *fields, *option).out)[1:] for option in (["--bytes"], []))
    assert human == [[name, screen_module.human(int(size))] for name, size in exact]
    assert screen_module.shown(None, False) == screen_module.shown(None, True) == "unknown"
