# SPDX-License-Identifier: BSD-3-Clause
"""What can't be told of a process, provoked for real: each is the exception that Python has for it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmalloc

# Calls about a process, each with the name that its errors must have.
QUESTIONS = {
    "rss": ("rss", zmalloc.rss),
    "private_dirty": ("private_dirty", zmalloc.private_dirty),
    "smaps of a field": ("smaps", lambda pid: zmalloc.smaps("Rss", pid)),
    "smaps of a field not summed": ("smaps", lambda pid: zmalloc.smaps("Size", pid)),
    "smaps": ("smaps", lambda pid: zmalloc.smaps(pid=pid)),
    "mappings": ("mappings", zmalloc.mappings),
}
WALKS = {name: question for name, question in QUESTIONS.items() if name != "rss"}

Question = tuple[str, Callable[[int], object]]


def check(question: Question, pid: int, error: type[OSError], number: int) -> None:
    name, ask = question
    with pytest.raises(error) as caught:
        ask(pid)
    assert type(caught.value) is error
    assert caught.value.errno == number
    assert caught.value.strerror == f"{name}: {os.strerror(number)}"


def check_gone(question: Question, pid: int) -> None:
    check(question, pid, ProcessLookupError, errno.ESRCH)


@contextmanager
def zombie() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    yield process.pid
    process.wait()


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_a_process_that_has_ended(question: Question) -> None:
    with zombie() as pid:
        check_gone(question, pid)
        assert zmalloc.zmalloc_get_private_dirty(pid) == zmalloc.zmalloc_get_smap_bytes_by_field("Rss", pid) == 0
    check_gone(question, pid)
    assert zmalloc.zmalloc_get_private_dirty(pid) == zmalloc.zmalloc_get_smap_bytes_by_field("Rss", pid) == 0


@pytest.mark.parametrize("pid", [2**22 + 1, 2**31, 2**32 + 1, 2**62, 2**63 - 1])
@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_numbers_that_no_process_has(question: Question, pid: int) -> None:
    check_gone(question, pid)


@pytest.mark.parametrize("pid", [0, -2, -5, -(2**63)])
@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_numbers_that_can_be_no_process(question: Question, pid: int) -> None:
    with pytest.raises(ValueError, match=f"^{question[0]}: Invalid argument$"):
        question[1](pid)


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_numbers_that_c_can_not_hold(question: Question) -> None:
    with pytest.raises(OverflowError, match=f"^{question[0]}: argument 'pid' is out of range$"):
        question[1](2**64)


@pytest.mark.skipif(
    not Path("/proc/2/comm").exists() or Path("/proc/2/cmdline").read_bytes() != b"",
    reason="no thread of the kernel's own can be seen from here",
)
@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_a_thread_of_the_kernel_s(question: Question) -> None:
    if os.geteuid() != 0 and question[0] != "rss":
        check(question, 2, PermissionError, errno.EACCES)
    else:
        check_gone(question, 2)


def check_another_users(pid: int) -> None:
    for question in WALKS.values():
        check(question, pid, PermissionError, errno.EACCES)
    assert zmalloc.rss(pid) > 0  # which everybody may read


def test_another_user_s_process() -> None:
    if os.geteuid() != 0:
        check_another_users(1)
        return
    child = os.fork()
    if child == 0:  # root may read everything, so a child becomes nobody and asks for this process
        try:
            os.setuid(65534)
            check_another_users(os.getppid())
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_a_process_that_ends_meanwhile(question: Question) -> None:
    """Whatever is told of it is whole, or it is gone."""
    name, ask = question
    whole = type(ask(os.getpid()))
    for _ in range(5):
        command = [sys.executable, "-c", "data = bytearray(50_000_000); input()"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE)
        answers = 0
        try:
            while True:
                answer = ask(process.pid)
                assert type(answer) is whole
                assert answer
                answers += 1
                if answers == 20:
                    process.send_signal(signal.SIGKILL)
        except ProcessLookupError as error:
            assert error.strerror.startswith(name)
        process.wait()
        process.stdin.close()
        assert answers >= 20


def without_descriptors(call: str, script: Callable) -> subprocess.CompletedProcess[str]:
    """Asks in a process that may open no file; then again, in vain or not, in one that may."""
    return script(
        "import os, resource\n"
        "kept = os.open('/dev/null', os.O_RDONLY)\n"
        "limits = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "files = os.listdir('/proc/self/fd')\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (kept + 1, limits[1]))\n"
        f"try: print(zmalloc.{call})\n"
        "except OSError as error: print(type(error).__name__, error.errno, error.strerror)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, limits)\n"
        f"assert zmalloc.{call} is not None\n"
        "assert os.listdir('/proc/self/fd') == files\n"
    )


ASKING = [
    "rss()", "rss(os.getppid())", "private_dirty()", "smaps()", "smaps('Size')", "mappings(os.getppid())", "thp()"
]  # fmt: skip


@pytest.mark.parametrize("call", ASKING)
def test_no_file_descriptor_left(call: str, script: Callable) -> None:
    result = without_descriptors(call, script)
    name = call.partition("(")[0]
    assert result.stdout.startswith(f"OSError {errno.EMFILE} {name}: "), result.stdout + result.stderr
    assert result.stdout.endswith(f": {os.strerror(errno.EMFILE)}\n")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("call", ["report().rss", "report(walk=True).pss", "memory_limits().cgroup", "purge()"])
def test_without_a_file_descriptor_it_is_unknown(call: str, script: Callable) -> None:
    result = without_descriptors(call, script)
    assert (result.returncode, result.stdout) == (0, "None\n"), result.stderr


@pytest.mark.parametrize("name", ["Nope", "Rss::", "ü", "'\n"])
def test_a_field_that_nobody_has_is_named(name: str) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        zmalloc.smaps(name)
    assert caught.value.errno == errno.ENOENT
    meant = ": did you mean 'Rss'?" if name == "Rss::" else ""
    assert caught.value.strerror == f"smaps: no field '{name}'{meant}"
