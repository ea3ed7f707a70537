# SPDX-License-Identifier: BSD-3-Clause
"""The command line's answers: figures, JSON, exit status, and words when there is no answer."""

from __future__ import annotations

import errno
import importlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import zmalloc
from zmalloc import _figures
from zmalloc._cli.parser import COMMANDS as PARSED
from zmalloc._cli.parser import make_parser

from command import inside, rows, run, run_as_nobody, start
from waiting import wait_until

COMMANDS = ("report", "smaps", "mappings", "watch", "plot", "serve", "run", "compare", "top", "completion",
            "manual")
KERNEL = {"rss": "Rss", "pss": "Pss", "private_dirty": "Private_Dirty", "swap": "Swap", "huge_pages": "AnonHugePages",
          "private_hugetlb": "Private_Hugetlb", "shared_hugetlb": "Shared_Hugetlb"}  # fmt: skip
DIFFERENCES = ("allocator_overhead_bytes", "allocator_frag_bytes", "allocator_rss_bytes", "rss_overhead_bytes")
WALKED = ("pss", "uss", "private_dirty", "swap", "huge_pages", "private_hugetlb", "shared_hugetlb")
NOBODY = 2**22 + 1  # no process has this number


def agree(one: Callable[[], object], other: Callable[[], object]) -> bool:
    """What is shared changes as others come and go: one reading of many must agree."""
    return any(one() == other() for _ in range(500))


def answer(*arguments: object) -> dict:
    said = inside(*arguments, "--json")
    assert (said.status, said.err) == (0, "")
    assert said.out.isascii() and said.out.count("\n") == 1
    return json.loads(said.out)


def name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().rstrip("\n")


def kernel_figures(pid: int) -> dict[str, int]:
    sums = zmalloc.smaps(pid=pid)
    figures = {name: sums[field] for name, field in KERNEL.items()}
    return {**figures, "uss": sums["Private_Clean"] + sums["Private_Dirty"]}


def test_report_of_another_process(stopped: int) -> None:
    def told() -> dict[str, int]:
        said = answer("report", stopped)
        return {name: said[name] for name in (*KERNEL, "uss")}

    assert agree(told, lambda: kernel_figures(stopped))
    said = answer("report", stopped)
    assert (said["pid"], said["name"], said["allocator"]) == (stopped, name_of(stopped), None)
    own = set(zmalloc.Sample._fields) - {*KERNEL, "uss", "monotonic", "wall"}
    assert len(own) > 15
    assert all(said[name] is None for name in own)


def test_report_of_another_process_for_people(stopped: int) -> None:
    said = inside("report", stopped, "--bytes")
    assert (said.status, said.err) == (0, "")
    first, heads, *figures, note = rows(said.out)
    assert (first, heads[:2]) == ([f"process {stopped} ({name_of(stopped)})"], ["figure", "value"])
    assert {name for name, *_ in figures} == {*KERNEL, "uss"}
    assert "zmalloc.publish()" in note[0]
    assert agree(lambda: {name: int(size) for name, size, _ in rows(inside("report", stopped, "--bytes").out)[2:-1]},
                 lambda: kernel_figures(stopped))  # fmt: skip


def test_report_of_itself() -> None:
    said = answer("report")
    assert said["allocator"] == zmalloc.allocator
    assert (said["used"], said["peak"], said["total_allocated"]) == (0, 0, 0)
    gaps = [said[name] or 0 for name in DIFFERENCES]
    assert said["used"] + sum(gaps) == said["rss"] > 1 << 20
    ours = zmalloc.report(walk=True)
    names = [name for name in zmalloc.Sample._fields if hasattr(ours, name) and not name.endswith("_ratio")]
    assert [said[name] is None for name in names] == [getattr(ours, name) is None for name in names]
    table = {name: value for name, value, _ in rows(inside("report").out)[2:]}
    assert list(table) == list(zmalloc.Sample._fields[2:])
    assert (table["limit"], table["soft_limit"], said["limit"], said["soft_limit"]) == ("none", "none", None, None)
    assert [table[name] == "unknown" for name in names] == [said[name] is None for name in names]


def test_its_own_number_is_itself() -> None:
    """A shell that becomes the program."""
    command = f"exec {sys.executable} -m zmalloc report --json $$"
    said = json.loads(subprocess.run(["sh", "-c", command], check=True, capture_output=True).stdout)
    assert said["allocator"] == zmalloc.allocator


def test_smaps(stopped: int) -> None:
    assert agree(lambda: answer("smaps", stopped), lambda: {"pid": stopped, "fields": zmalloc.smaps(pid=stopped)})
    assert list(answer("smaps", stopped)["fields"]) == list(zmalloc.smaps(pid=stopped))
    assert agree(lambda: rows(inside("smaps", stopped, "--bytes").out)[1:],
                 lambda: [[name, str(size)] for name, size in zmalloc.smaps(pid=stopped).items()])  # fmt: skip


def test_smaps_of_some_fields(stopped: int) -> None:
    """In the order of the question; with the kernel's colon or without; also what it does not sum itself."""
    asked = ("smaps", stopped, "Swap", "Size", "Private_Dirty:", "Swap")
    said = answer(*asked)["fields"]
    assert list(said) == ["Swap", "Size", "Private_Dirty"]
    assert said["Size"] == sum(mapping.end - mapping.begin for mapping in zmalloc.mappings(stopped))
    assert agree(lambda: answer(*asked)["fields"]["Private_Dirty"], lambda: zmalloc.private_dirty(stopped))


@pytest.mark.parametrize(
    ("name", "hint"),
    [("pss", "did you mean Pss?"), ("Private_dirty", "did you mean Private_Dirty?"), ("Swop", "did you mean Swap?"),
     ("private-dirty", "did you mean Private_Dirty?"), ("qqqqq", "Pss, "), ("", "Pss, "),
     ("Pss::", "did you mean Pss?"),
     ("\x1b[31m", r"no field '\x1b[31m'"), ("\udcff", r"no field '\xff'")],
)  # fmt: skip
def test_smaps_of_a_field_that_is_none(stopped: int, name: str, hint: str) -> None:
    said = inside("smaps", stopped, "Rss", name)
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith("zmalloc: smaps: no field '") and hint in said.err


def test_mappings(stopped: int) -> None:
    names = ("begin", "end", "offset", "permissions", "path", "fields")
    assert agree(lambda: answer("mappings", stopped)["mappings"],
                 lambda: [dict(zip(names, mapping)) for mapping in zmalloc.mappings(stopped)])  # fmt: skip


def test_mappings_for_people(stopped: int) -> None:
    asked = ("mappings", stopped, "--bytes")
    readings = ((zmalloc.mappings(stopped), inside(*asked), zmalloc.mappings(stopped)) for _ in range(500))
    expected, said, _ = next(reading for reading in readings if reading[0] == reading[2])
    lines = said.out.splitlines()
    assert lines[0].split() == ["addresses", "mode", "Size", "Rss", "Pss", "Private_Dirty", "Swap", "path"]
    assert len(lines) == len(expected) + 2
    for line, mapping in zip(lines[1:], expected):
        begin, end, mode, size, rss, *_ = re.split(r"[- ]+", line, maxsplit=5)
        assert (int(begin, 16), int(end, 16)) == (mapping.begin, mapping.end)
        assert mode.replace("-", "") == mapping.permissions.split("-")[0] or "-" in mapping.permissions
        assert f" {mapping.fields['Size']} " in line and f" {mapping.fields['Private_Dirty']} " in line
        if mapping.path.isprintable():
            assert line.endswith(mapping.path.rstrip())
    *sums, number = lines[-1].split(maxsplit=5)
    assert number == f"{len(expected)} mappings"
    for place, field in ((0, "Size"), (1, "Rss"), (3, "Private_Dirty"), (4, "Swap")):
        assert int(sums[place]) == sum(mapping.fields[field] for mapping in expected)


def test_mappings_sorted(stopped: int) -> None:
    """Sizes from the largest, names upwards; the sums stay those of all."""
    found = zmalloc.mappings(stopped)
    for key, field in (("size", "Size"), ("rss", "Rss"), ("PSS", "Pss"), ("private_dirty", "Private_Dirty")):
        sizes = [mapping["fields"][field] for mapping in answer("mappings", stopped, "--sort", key)["mappings"]]
        assert len(sizes) == len(found) and sizes == sorted(sizes, reverse=True) and len(set(sizes)) > 2
    paths = [mapping["path"] for mapping in answer("mappings", stopped, "--sort", "path")["mappings"]]
    assert paths == sorted(paths) and len(set(paths)) > 5
    begins = [mapping["begin"] for mapping in answer("mappings", stopped, "--sort", "address")["mappings"]]
    assert begins == [mapping.begin for mapping in found]


def test_the_top_mappings(stopped: int) -> None:
    found = zmalloc.mappings(stopped)
    largest = sorted((mapping.fields["Rss"] for mapping in found), reverse=True)[:3]
    top = answer("mappings", stopped, "--top", "3")["mappings"]
    assert [mapping["fields"]["Rss"] for mapping in top] == largest
    first = answer("mappings", stopped, "--top", "2", "--sort", "address")["mappings"]
    assert [mapping["begin"] for mapping in first] == [mapping.begin for mapping in found[:2]]
    lines = inside("mappings", stopped, "--top", "3", "--bytes").out.splitlines()
    whole = inside("mappings", stopped, "--bytes").out.splitlines()
    assert len(lines) == 1 + 3 + 1
    assert lines[-1].split()[0] == whole[-1].split()[0] == str(sum(mapping.fields["Size"] for mapping in found))
    assert lines[-1].endswith(f"{len(found)} mappings, 3 shown") and whole[-1].endswith(f"{len(found)} mappings")


def test_json_is_as_the_schema_says(source: Path, stopped: int) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="no jsonschema for this interpreter")
    schema = json.loads((source / "docs" / "cli.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    check = jsonschema.Draft202012Validator(schema).validate
    reports = [answer("report"), answer("report", stopped), answer("watch", stopped, "-c", "1")]
    for said in [*reports, answer("smaps", stopped), answer("mappings", stopped), answer("top")]:
        check(said)
        assert set(said) == set(schema["$defs"][schema_of(said)]["properties"])
        for broken in ({**said, "pid": 0}, {**said, "more": 1}, {key: said[key] for key in list(said)[:-1]}):
            with pytest.raises(jsonschema.ValidationError):
                check(broken)


def test_the_schema_has_the_figures_as_the_table_has_them(source: Path) -> None:
    """Name, order, kind, meaning, unit and source."""
    properties = json.loads((source / "docs" / "cli.schema.json").read_text())["$defs"]["report"]["properties"]
    own = ("difference", "ratio", "limit")
    expected = {
        figure.name: {
            "$ref": f"#/$defs/{figure.kind if figure.kind in own else 'figure'}",
            "description": f"{figure.description} ({figure.unit}; source: {figure.source})",
        }
        for figure in _figures.FIGURES
    }  # fmt: skip
    assert list({name: properties[name] for name in properties if name in expected}.items()) == list(expected.items())
    assert tuple(properties)[-len(expected) :] == _figures.NAMES == zmalloc.Sample._fields[2:]
    assert tuple(name for name in _figures.NAMES if hasattr(zmalloc.Report, name)) == _figures.NAMES[:-5]
    assert _figures.COUNTED == _figures.NAMES[-5:]


def schema_of(said: dict) -> str:
    of_members = {"fields": "smaps", "mappings": "mappings", "processes": "top"}
    return next((schema for member, schema in of_members.items() if member in said), "report")


# Where there is no answer.

ASKING = [("report",), ("smaps",), ("smaps", "Rss"), ("mappings",), ("watch", "-c", "1")]


def check_none(command: tuple[str, ...], pid: int) -> None:
    said = inside(command[0], pid, *command[1:])
    assert (said.status, said.out) == (3, "")
    assert said.err.startswith(f"zmalloc: no process {pid}: ") and said.err.count("\n") == 1


@pytest.mark.parametrize("command", ASKING, ids=" ".join)
def test_no_such_process(command: tuple[str, ...]) -> None:
    check_none(command, NOBODY)


@pytest.mark.parametrize("command", ASKING, ids=" ".join)
def test_a_zombie(command: tuple[str, ...], brief: subprocess.Popen[bytes]) -> None:
    brief.stdin.close()
    os.waitid(os.P_PID, brief.pid, os.WEXITED | os.WNOWAIT)
    check_none(command, brief.pid)


@pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/proc/2/comm").exists() or Path("/proc/2/cmdline").read_bytes() != b"",
    reason="no thread of the kernel's own can be seen from here",
)
@pytest.mark.parametrize("command", ASKING, ids=" ".join)
def test_a_thread_of_the_kernel_s(command: tuple[str, ...]) -> None:
    check_none(command, 2)


def test_another_user_s_process() -> None:
    """RSS is no secret; the rest is, and then that is said."""
    ask, pid = (run_as_nobody, os.getpid()) if os.geteuid() == 0 else (inside, 1)
    denied = os.strerror(errno.EACCES)
    for command in (("smaps",), ("smaps", "Rss"), ("mappings",)):
        said = ask(command[0], pid, *command[1:])
        assert said == (3, "", f"zmalloc: process {pid}: {denied}\n")
    for command in (("report",), ("watch", "-c", "1")):
        said = ask(command[0], pid, *command[1:], "--json")
        figures = json.loads(said.out)
        assert said.status == 1
        assert said.err == f"zmalloc: process {pid}: {', '.join(WALKED)} unknown: {denied}\n"
        assert figures["rss"] > 1 << 20
        assert [figures[name] for name in WALKED] == [None] * len(WALKED)
        said = ask(command[0], pid, *command[1:])
        assert said.status == 1 and said.out.count("unknown") == len(WALKED)


HOSTILE = ["", " ", "0", "-1", "-5", "+5", "1_0", "0x10", "1.5", "1e3", "nan", "inf", "-inf", "１２", "٣", "1 ", " 1",
           "1\n", str(2**63), str(2**64), "9" * 5000, "a" * 100_000, "\x00", "\x1b[31m", "\udcff", "\u202e1", "%s%n",
           "{0}", "[red]1[/red]", "--", "---", "-", "None", "True", "self", "../1", "*", "$$"]  # fmt: skip
WITH_VALUE = [("report", "?"), ("smaps", "?"), ("smaps", "?", "Rss"), ("mappings", "?"), ("watch", "?"),
              ("plot", "?", "-o", "x.png"), ("serve", "?"), ("watch", "1", "-n", "?"), ("watch", "1", "-c", "?"),
              ("plot", "1", "-o", "x", "-n", "?"), ("plot", "1", "-o", "x", "-c", "?"),
              ("plot", "1", "-o", "?"), ("serve", "1", "--port", "?"), ("completion", "?"), ("?",),
              ("report", "1", "?"),
              ("report", "--?"), ("report", "1", "--json=?"), ("manual", "?")]  # fmt: skip
SERVED = {("watch", "1", "-n", "1.5"), ("serve", "1", "--port", "0"), ("report", "--"), ("report", "1", "--"),
          ("manual", "--")}  # fmt: skip


@pytest.mark.parametrize("words", WITH_VALUE, ids=" ".join)
def test_hostile_arguments(words: tuple[str, ...]) -> None:
    """Whatever is written, the answer is a line that a terminal can show, and the status says whose fault it is."""
    for value in HOSTILE:
        arguments = tuple(word.replace("?", value) for word in words)
        if arguments not in SERVED:
            said = inside(*arguments)
            assert said.status in (2, 3), arguments
            assert said.out == ""
            assert said.err.startswith("zmalloc: ") and said.err.endswith("\n") and said.err[:-1].isprintable()
            assert len(said.err) < 2100


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = inside(command, "--help")
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith(f"usage: zmalloc {command} ")
    assert inside(command, "-h") == said
    assert max(map(len, said.out.splitlines())) <= 80


def test_help_of_all() -> None:
    said = run("--help", COLUMNS="80")
    assert (said.status, said.err) == (0, "")
    for command in COMMANDS:
        assert re.search(rf"^    {command}\b", said.out, re.MULTILINE)
    for status in range(4):
        assert re.search(rf"^  {status}  \w", said.out, re.MULTILINE)


def test_every_command_is_one() -> None:
    assert COMMANDS == PARSED
    for name in COMMANDS:
        assert callable(getattr(importlib.import_module(f"zmalloc._cli.commands.{name}"), name))
    with pytest.raises(Exception, match="required: COMMAND"):
        make_parser("").parse_args([])


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_is_parsed_alone(command: str, capsys: pytest.CaptureFixture) -> None:
    """To make one command's parser takes less time than to make all of them, and it is the same."""
    said = []
    for parser in (make_parser("", command), make_parser("")):
        with pytest.raises(SystemExit):
            parser.parse_args([command, "--help"])
        said.append(capsys.readouterr().out)
        with pytest.raises(Exception) as raised:
            parser.parse_args([command, "--none", "1", "2"])
        said.append(str(raised.value.args))
    assert said[:2] == said[2:]


NEEDED = """
import sys
before = set(sys.modules)
from zmalloc.__main__ import main
main()
print(*(set(sys.modules) - before), file=sys.stderr)
"""
ARGPARSE_ALONE = """
import argparse, sys
argparse.ArgumentParser().add_argument("PID", help="a number")
print(*sys.modules)
"""


def test_a_report_needs_few_modules(stopped: int) -> None:
    """None that takes longer to import than the answer does, but for what argparse has: from Python 3.14 on, some."""
    command = [sys.executable, "-S", "-c"]
    report = subprocess.run([*command, NEEDED, "report", str(stopped)], capture_output=True, text=True, check=True)
    needed = set(report.stderr.split())
    assert {"argparse", "zmalloc._cli.commands.report"} <= needed
    heavy = {"typing", "dataclasses", "inspect", "subprocess", "json", "threading", "tempfile", "textwrap", "csv"}
    heavy -= set(subprocess.check_output([*command, ARGPARSE_ALONE], text=True).split())
    assert not needed & {*heavy, "zmalloc._monitor", "zmalloc._cli.derived", "zmalloc._cli.commands.plot"}


def test_help_and_version_are_written_by_no_one_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """argparse, since Python 3.12, has nothing to say where it can't write."""
    monkeypatch.setattr("argparse.ArgumentParser._print_message", lambda *_: None)
    assert inside("--version").out.startswith("zmalloc ") and inside("watch", "--help").out.startswith("usage: ")


@pytest.mark.parametrize(
    ("words", "program"),
    [(("watch", "1", "--frob"), "zmalloc watch"), (("watch", "1", "-c", "x"), "zmalloc watch"),
     (("mappings", "1", "--sort", "x"), "zmalloc mappings"), (("report", "1", "2"), "zmalloc report"),
     (("--frob",), "zmalloc"), (("frob",), "zmalloc")],
)  # fmt: skip
def test_an_error_names_the_help_of_its_command(words: tuple[str, ...], program: str) -> None:
    said = inside(*words)
    assert (said.status, said.out) == (2, "")
    assert said.err.endswith(f" (see {program} --help)\n")


def test_version() -> None:
    assert inside("--version") == (0, f"zmalloc {zmalloc.__version__} ({zmalloc.allocator})\n", "")


# Over time.


def test_watch(stopped: int) -> None:
    expected = {zmalloc.private_dirty(stopped)}
    said = inside("watch", stopped, "-n", ".01", "-c", "3", "--bytes")
    expected.add(zmalloc.private_dirty(stopped))
    title, heads, *lines = rows(said.out)
    assert (said.status, said.err, len(lines)) == (0, "", 3)
    assert title == [f"process {stopped} ({name_of(stopped)})"]
    assert heads == ["time", "rss", *WALKED]
    assert all(min(expected) <= int(line[4]) <= max(expected) for line in lines)  # the kernel may clean pages
    assert len({len(line) for line in said.out.splitlines()[1:]}) == 1


def test_watch_in_json(stopped: int) -> None:
    expected = {zmalloc.private_dirty(stopped)}
    said = inside("watch", stopped, "-n", ".01", "-c", "3", "--json")
    expected.add(zmalloc.private_dirty(stopped))
    samples = [json.loads(line) for line in said.out.splitlines()]
    assert (said.status, said.err, len(samples)) == (0, "", 3)
    assert all(min(expected) <= sample["private_dirty"] <= max(expected) for sample in samples)
    assert samples[0]["monotonic"] < samples[1]["monotonic"] < samples[2]["monotonic"]


@pytest.mark.parametrize(("options", "status"), [((), 0), (("-c", "1000000"), 1)])
def test_watch_until_the_process_ends(options: tuple[str, ...], status: int, brief: subprocess.Popen[bytes]) -> None:
    """Each line is there at once; too few of them are no full answer."""
    with start("watch", brief.pid, "-n", ".01", "--json", *options) as process:
        assert json.loads(process.stdout.readline())["pid"] == brief.pid
        assert json.loads(process.stdout.readline())["rss"] > 0
        brief.stdin.close()
        rest, err = process.communicate(timeout=60)
    assert all(json.loads(line)["rss"] > 0 for line in rest.splitlines())
    assert (process.returncode, err) == (status, f"zmalloc: process {brief.pid} has ended\n")


# Where the answer goes.


def test_a_reader_that_goes_away(stopped: int) -> None:
    for options in ((), ("--json",)):
        with start("watch", stopped, "-n", ".01", *options) as process:
            process.stdout.readline()
            process.stdout.close()
            assert process.wait(timeout=60) == -signal.SIGPIPE
            assert process.stderr.read() == ""


def test_a_pipe_that_nobody_reads(stopped: int) -> None:
    """The first word is in vain already; the help's, too."""
    for arguments in (("report",), ("mappings", stopped), ("--help",)):
        end, pipe = os.pipe()
        os.close(end)
        command = [sys.executable, "-m", "zmalloc", *map(str, arguments)]
        done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, check=False)
        os.close(pipe)
        assert (done.returncode, done.stderr) == (-signal.SIGPIPE, b"")


WRITING = ["--help", "--version", *(f"{command} --help" for command in COMMANDS), "report", "report {}", "smaps {}",
           "mappings {}", "watch -c 1 {}", "report --json", "smaps --json {}", "mappings --json {}",
           "watch -c 2 -n .01 --json {}", "serve {} --port 0", "top", "top --json", "manual", "manual --source",
           "completion bash", "completion zsh", "completion fish"]  # fmt: skip


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("unbuffered", [False, True])
@pytest.mark.parametrize("command", WRITING)
def test_a_full_disk(command: str, unbuffered: bool, stopped: int) -> None:
    """Written at once or at the end: it is an error, and argparse's own silence is none."""
    if command.startswith("serve {}"):
        pytest.importorskip("prometheus_client", reason="no prometheus_client for this interpreter")
    words = command.format(stopped).split()
    asked = [sys.executable, *(["-u"] if unbuffered else []), "-m", "zmalloc", *words]
    with open("/dev/full", "w") as full:
        done = subprocess.run(asked, stdout=full, stderr=subprocess.PIPE, check=False, timeout=60)
    said = f"zmalloc: standard output: {os.strerror(errno.ENOSPC)}\n"
    assert (done.returncode, done.stderr.decode()) == (1, said)


def test_closed_outputs() -> None:
    def shell(redirected: str) -> tuple[int, bytes, bytes]:
        command = f"exec {sys.executable} -m zmalloc {redirected}"
        done = subprocess.run(["sh", "-c", command], capture_output=True, check=False)
        return done.returncode, done.stdout, done.stderr

    assert shell("report >&-") == (1, b"", b"zmalloc: standard output is closed\n")
    assert shell(f"report {NOBODY} 2>&-") == (3, b"", b"")
    assert shell(f"report {NOBODY} 2>/dev/full") == (3, b"", b"")
    assert shell("manual <&-")[0] == 0


ENDLESS = [("watch", "-n", "1000"), ("watch", "-n", "1000", "--json"), ("plot", "-o"), ("serve", "--port", "0")]


@pytest.mark.parametrize("command", ENDLESS, ids=" ".join)
def test_interrupt(command: tuple[str, ...], stopped: int, tmp_path: Path) -> None:
    """It ends by the signal, so that a shell's loop around it ends too."""
    picture = [tmp_path / "picture.png"] if command[0] == "plot" else []
    pytest.importorskip({"plot": "matplotlib", "serve": "prometheus_client"}.get(command[0], "zmalloc"))
    with start(*command, *picture, stopped) as process:
        if picture:  # it says nothing
            wait_until(lambda: b"matplotlib" in Path(f"/proc/{process.pid}/maps").read_bytes())
        else:
            assert select.select([process.stdout], [], [], 50)[0]  # no line waits for more
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (-signal.SIGINT, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [("plot", "-o"), ("serve", "--port", "0")], ids=" ".join)
def test_interrupt_at_the_beginning(command: tuple[str, ...], stopped: int, tmp_path: Path) -> None:
    """While it imports, too, where Python may make another error of an exception, or ignore it."""
    pytest.importorskip({"plot": "matplotlib", "serve": "prometheus_client"}[command[0]])
    picture = [tmp_path / "picture.png"] if command[0] == "plot" else []
    for milliseconds in range(0, 200, 10):
        with start(*command, *picture, stopped) as process:
            wait_until(lambda: _ends_at_once(process.pid))  # noqa: B023
            time.sleep(milliseconds / 1000)
            process.send_signal(signal.SIGINT)
            assert (process.wait(timeout=60), process.stderr.read()) == (-signal.SIGINT, "")


def _ends_at_once(pid: int) -> bool:
    """Whether it has come as far as the module, and an interrupt is nothing that Python handles."""
    caught = Path(f"/proc/{pid}/status").read_text().split("SigCgt:")[1].split()[0]
    handled = int(caught, 16) >> (signal.SIGINT - 1) & 1
    return not handled and b"_zmalloc" in Path(f"/proc/{pid}/maps").read_bytes()
