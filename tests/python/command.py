# SPDX-License-Identifier: BSD-3-Clause
"""Runs the command line as its users do: on a terminal, into a pipe, as another user."""

from __future__ import annotations

import codecs
import fcntl
import io
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import IO, NamedTuple

import pytest
from zmalloc._cli import program
from zmalloc._monitor import monitor  # noqa: F401 (another user may not be able to read where the module lies)

COMMAND = [sys.executable, "-m", "zmalloc"]
WITHOUT = "import sys; sys.modules[{!r}] = None; from zmalloc.__main__ import main; sys.exit(main())"
os.environ.pop("PYTHONUNBUFFERED", None)  # most people have it not, and it hides what is not flushed
SETTINGS = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TERM", "LANG", "LC_ALL", "PYTHONIOENCODING", "COLORTERM")
STYLE = re.compile(r"\x1b\[[0-9;]*m")


class Said(NamedTuple):
    """What a program answered."""

    status: int
    out: str
    err: str


def environment(settings: dict[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    return {**kept, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **settings}


def heed_signals() -> None:
    """Tests that run in the background of a script, or under nohup, may have been told to ignore some."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def take_terminal() -> None:
    heed_signals()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Program(subprocess.Popen[str]):
    """One that does not stay when a test has failed."""

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is not None:
            self.kill()
        super().__exit__(kind, *error)


def start(*arguments: object, without: str | None = None, **settings: str) -> Program:
    """The program, with pipes; without a package, as if that were not installed."""
    command = COMMAND if without is None else [sys.executable, "-c", WITHOUT.format(without)]
    return Program(
        [*command, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=environment(settings), text=True, encoding="utf-8", errors="surrogateescape", preexec_fn=heed_signals,
    )  # fmt: skip


def run(*arguments: object, without: str | None = None, **settings: str) -> Said:
    """All of it."""
    with start(*arguments, without=without, **settings) as process:
        out, err = process.communicate(timeout=60)
    assert "Traceback" not in err, err
    return Said(process.returncode, out, err)


def inside(*arguments: object) -> Said:
    """The same in this process, so that no other comes to share its memory with those that are looked at."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with redirect_stdout(out), redirect_stderr(err):
        status = program.main([str(argument) for argument in arguments])
    return Said(status, out.buffer.getvalue().decode(), err.buffer.getvalue().decode())


class Terminal:
    """A program on a terminal of so many columns."""

    def __init__(self, *arguments: object, width: int = 80, without: str | None = None, **settings: str) -> None:
        try:
            self._master, slave = pty.openpty()
        except OSError as error:
            pytest.skip(f"no terminals here: {error}")
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
        command = COMMAND if without is None else [sys.executable, "-c", WITHOUT.format(without)]
        self.process = subprocess.Popen(
            [*command, *map(str, arguments)], stdin=slave, stdout=slave, stderr=slave, env=environment(settings),
            start_new_session=True, preexec_fn=take_terminal,
        )  # fmt: skip
        os.close(slave)
        self.text = ""
        # A read may end in a character.
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def read(self) -> bool:
        """Some more; whether there was any."""
        try:
            read = os.read(self._master, 65536)
        except OSError:  # nobody has it open on the other side
            return False
        self.text += self._decode(read)
        return bool(read)

    def read_until(self, pattern: str) -> None:
        while not re.search(pattern, self.text):
            assert self.read(), self.text

    def end(self) -> Said:
        """Waits for the end. A terminal has one place for both outputs."""
        while self.read():
            pass
        os.close(self._master)
        return Said(self.process.wait(timeout=60), self.text.replace("\r\n", "\n"), "")


def on_terminal(*arguments: object, width: int = 80, without: str | None = None, **settings: str) -> Said:
    said = Terminal(*arguments, width=width, without=without, **settings).end()
    assert "Traceback" not in said.out, said.out
    return said


def _in_child(out: IO[str], err: IO[str], work: Callable[[], int]) -> int:
    child = os.fork()
    if child == 0:
        status = 99
        try:
            sys.stdout, sys.stderr = out, err
            status = work()
            out.flush()
            err.flush()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def run_as_nobody(*arguments: object) -> Said:
    """As another user than root; by root alone."""

    def work() -> int:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        return program.main([str(argument) for argument in arguments])

    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        status = _in_child(out, err, work)
        out.seek(0)
        err.seek(0)
        return Said(status, out.read(), err.read())


def rows(text: str) -> list[list[str]]:
    """The cells of a table, by the two blanks between them."""
    return [re.split(r" {2,}", STYLE.sub("", line).strip()) for line in text.splitlines()]
