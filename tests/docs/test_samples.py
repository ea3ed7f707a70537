# SPDX-License-Identifier: BSD-3-Clause
"""Every sample of README.md, HACKING.md and the pages of docs/ runs as it is printed."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(os.environ["ZMALLOC_SOURCE"])
BUILD = Path(os.environ["ZMALLOC_BUILD"])
LUA = os.environ["ZMALLOC_LUA"]
PAGES = [SOURCE / "README.md", SOURCE / "HACKING.md", *sorted(SOURCE.glob("docs/*.rst"))]
LANGUAGES = {"c", "python", "lua", "sh", "meson", "console", "none"}


@dataclass
class Sample:
    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def samples_of(page: Path) -> Iterator[Sample]:
    """Fenced in Markdown, code-block in reST."""
    text = page.read_text(encoding="utf-8")
    fenced = r"^```(?P<language>\w+)\n(?P<text>.*?)^```"
    block = r"^\.\. code-block:: (?P<language>\w+)\n\n(?P<text>(?:(?: {3}.*)?\n)+)"
    pattern, flags = (fenced, re.MULTILINE | re.DOTALL) if page.suffix == ".md" else (block, re.MULTILINE)
    for found in re.finditer(pattern, text, flags):
        line = text.count("\n", 0, found.start()) + 1
        yield Sample(page, line, found["language"], textwrap.dedent(found["text"]).strip("\n") + "\n")


SAMPLES = [sample for page in PAGES for sample in samples_of(page)]


TESTED = {"none"}  # the guide's program prints that: see the test of the cookbook


def of(language: str) -> pytest.MarkDecorator:
    TESTED.add(language)
    found = [sample for sample in SAMPLES if sample.language == language]
    return pytest.mark.parametrize("sample", found, ids=str)


def test_none_is_overlooked() -> None:
    """Each language has samples and a test, and there is no other language."""
    assert {sample.language for sample in SAMPLES} == LANGUAGES == TESTED
    openings = sum(len(re.findall(r"^(?:```\w|\.\. code-block::)", page.read_text(), re.MULTILINE)) for page in PAGES)
    assert len(SAMPLES) == openings


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, env=os.environ | (env or {}), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{shlex.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def compile_c(text: str, folder: Path) -> Path:
    """With the library as built, by strict rules; with Lua's where the sample embeds it."""
    (folder / "sample.c").write_text(text)
    flags = [f"-I{SOURCE / 'include'}", f"-L{BUILD / 'src'}", f"-Wl,-rpath,{BUILD / 'src'}", "-lzmalloc"]
    if "lua_State" in text:
        flags += run("pkg-config", "--cflags", "--libs", "lua5.4", cwd=folder).split()
    strict = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror"]
    run("cc", *strict, "sample.c", *flags, "-o", "sample", cwd=folder)
    return folder / "sample"


@of("c")
def test_c(sample: Sample, tmp_path: Path) -> None:
    if "main(" not in sample.text:  # what is shown of the header
        sample.text += "int main(void) { return 0; }\n"
    output = run(compile_c(sample.text, tmp_path), cwd=tmp_path)
    assert output or "printf" not in sample.text


@of("python")
def test_python(sample: Sample, tmp_path: Path) -> None:
    file = tmp_path / "test_sample.py"
    file.write_text(sample.text)
    if "def test_" in sample.text:
        arguments = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "zmalloc.pytest_plugin", file]
        assert f"{sample.text.count('def test_')} passed" in run(sys.executable, *arguments, cwd=tmp_path)
    else:
        output = run(sys.executable, "-X", "dev", "-W", "error", file, cwd=tmp_path)
        assert output or "print" not in sample.text


@of("lua")
def test_lua(sample: Sample, tmp_path: Path) -> None:
    file = tmp_path / "cache_spec.lua"
    file.write_text(sample.text)
    if "describe(" in sample.text:
        output = run(LUA, shutil.which("busted") or "", file, cwd=tmp_path, env={"ZMALLOC_LUA": LUA})
        tests = len(re.findall(r"^ *it[(]", sample.text, re.MULTILINE))
        assert f"{tests} successes / 0 failures / 0 errors" in output
    else:
        output = run(LUA, file, cwd=tmp_path)
        assert output or "print" not in sample.text


@of("meson")
def test_meson(sample: Sample, tmp_path: Path) -> None:
    """A project with zmalloc as its subproject is configured as printed."""
    (tmp_path / "meson.build").write_text(sample.text)
    program = next(each for each in SAMPLES if each.language == "c" and each.page.name == "README.md")
    (tmp_path / "server.c").write_text(program.text)
    (tmp_path / "subprojects").mkdir()
    (tmp_path / "subprojects" / "zmalloc").symlink_to(SOURCE)
    meson = shlex.split(os.environ["ZMALLOC_MESON"])
    run(*meson, "setup", "--wrap-mode=forcefallback", "build", cwd=tmp_path)
    run(*meson, "compile", "-C", "build", "server", cwd=tmp_path)
    assert "bytes in use" in run(tmp_path / "build" / "server", cwd=tmp_path)


# Shell. A line runs in a folder that looks like the sources after a build, unless it is one of these.


def is_target(words: list[str]) -> bool:
    """make: each target is one of the Makefile's, as `test-libc` is one of `test-%`."""
    targets = re.findall(r"^([\w%-]+):(?!=)", (SOURCE / "Makefile").read_text(), re.MULTILINE)
    names = [word for word in words[1:] if "=" not in word]
    return bool(names) and all(
        any(re.fullmatch(target.replace("%", r"[\w.-]+"), name) for target in targets) for name in names
    )


def are_options(words: list[str]) -> bool:
    """meson, pip: every -Dname=value is an option of this project or Meson's own, and the folder is a build's."""
    known = re.findall(r"^option\('(\w+)'", (SOURCE / "meson_options.txt").read_text(), re.MULTILINE)
    known += ["default_library", "b_staticpic"]
    choices = re.search(r"'allocator'.*?choices: (\[.*?\])", (SOURCE / "meson_options.txt").read_text(), re.DOTALL)
    for name, value in re.findall(r"-D(\w+)=(\w*)", " ".join(words)):
        if name not in known or (name == "allocator" and f"'{value}'" not in choices[1]):
            return False
    return True


def are_extras(words: list[str]) -> bool:
    """pip: the folder is the sources' own, and every extra is one of the package's."""
    project = (SOURCE / "pyproject.toml").read_text()
    extras = [extra for word in words for found in re.findall(r"\[(.*)\]", word) for extra in found.split(",")]
    return are_options(words) and all(re.search(rf"^{extra} = \[", project, re.MULTILINE) for extra in extras)


def is_rock(words: list[str]) -> bool:
    return len(list(SOURCE.glob("*.rockspec"))) == 1


def are_files(words: list[str]) -> bool:
    """The programs and files that it names in the sources are there."""
    return all((SOURCE / word).exists() for word in words if re.match(r"(tools|bench|tests|examples)/", word))


def are_parts(words: list[str]) -> bool:
    return are_files(words) and are_options(words)


def are_places(words: list[str]) -> bool:
    """What pkg-config is asked for is what compat/ has for servers."""
    compat = (SOURCE / "compat" / "meson.build").read_text()
    return all(name in compat for name in re.findall(r"--variable=(\w+)", " ".join(words)))


NOT_RUN: dict[str, tuple[str, Callable[[list[str]], bool]]] = {
    r"(cp|rm|make) .*(pkg-config --variable|deps/jemalloc|MALLOC=)": (
        "a server's sources; make servers does that, and the test of the programs without them", are_places,
    ),
    r"make (?!help)": ("installs packages, or builds for minutes", is_target),
    r"meson (setup|compile|install)": ("builds, or writes outside of the build", are_options),
    r"meson test -C build(/\w+)?( --benchmark| --suite \w+)?$": ("tests, and this is one of them", are_options),
    r"pip install": ("installs; the suite packaging does that in a place of its own", are_extras),
    r"luarocks --lua-version 5.4 make": ("installs; the suite packaging does that in a place of its own", is_rock),
    r"tools/setup": ("installs packages", are_files),
    r"(python3 tools/debian_source|\(cd build/python/|python=|\$python/)": ("builds a Python", are_parts),
}


def commands(sample: Sample) -> list[str]:
    """Without comments, and with lines that go on joined."""
    text = re.sub(r"\\\n\s*", "", sample.text)
    lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines()]
    return [line for line in lines if line]


def rule(command: str) -> str | None:
    return next((pattern for pattern in NOT_RUN if re.match(pattern, command)), None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The sources, as links, with this build in the place of build/libc, and the README's programs."""
    for path in SOURCE.iterdir():
        if path.name not in ("build", ".git"):
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "libc").symlink_to(BUILD)
    (tmp_path / "hello.c").write_text(next(each.text for each in SAMPLES if each.language == "c"))
    specification = next(each for each in SAMPLES if each.language == "lua" and "describe(" in each.text)
    (tmp_path / "cache_spec.lua").write_text(specification.text)
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "meson").write_text(f'#!/bin/sh\nexec {os.environ["ZMALLOC_MESON"]} "$@"\n')
    (programs / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (programs / "zmalloc").write_text(f'#!/bin/sh\nexec {sys.executable} -m zmalloc "$@"\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    return tmp_path


@of("sh")
def test_sh(sample: Sample, folder: Path) -> None:
    ran = []
    for command in commands(sample):
        pattern = rule(command)
        if pattern is not None:
            assert NOT_RUN[pattern][1](shlex.split(command)), f"{sample}: {command}"
        else:
            ran.append(command)
    environment = {
        "PATH": f"{folder / 'programs'}:{os.environ['PATH']}",
        "PKG_CONFIG_PATH": str(BUILD / "meson-uninstalled"),
        "LD_LIBRARY_PATH": str(BUILD / "src"),
    }
    run("sh", "-eu", "-c", "\n".join(ran), cwd=folder, env=environment)


def test_each_exception_is_needed() -> None:
    found = {rule(command) for sample in SAMPLES if sample.language == "sh" for command in commands(sample)}
    assert found - {None} == NOT_RUN.keys()


@of("console")
def test_console(sample: Sample) -> None:
    """What was recorded is not run again; but each program, and each file of ours that it was given, is there."""
    for command in re.findall(r"^\$ ((?:.*\\\n)*.*)", sample.text, re.MULTILINE):
        for word in re.findall(r"(?:examples|bindings|tests|tools)/[\w./]+", command):
            places = (SOURCE / word, BUILD / word)
            assert any(place.exists() for place in places), f"{sample}: {word}"
        first = shlex.split(command.replace("\\\n", " "))[0]
        assert first in ("meson", "python3", "zmalloc", "make", "curl") or first.startswith("build/"), first


def outline(text: str) -> list[list[str]]:
    """The words of each line, with figures, times and process numbers as one word each."""
    text = re.sub(r"\d\d:\d\d:\d\d", "TIME", text)
    text = re.sub(r"\b\d+(\.\d+)?( ([KMG]i)?B)?\b", "FIGURE", text)
    return [line.split() for line in text.splitlines()]


def test_the_command_line_prints_what_was_recorded() -> None:
    sample, top = [each for each in SAMPLES if each.page.name == "cli.rst" and each.language == "console"]
    [(words, head, *_, last)] = re.findall(r"^\$ zmalloc (top .*)\n(.*)\n(?:.*\n)*(.*)\n", top.text)
    printed = run(sys.executable, "-m", "zmalloc", *words.split(), cwd=SOURCE).splitlines()
    assert printed[0].split() == head.split()
    assert len(printed) == len(top.text.splitlines()) - 1 and printed[-1].split()[-3:] == last.split()[-3:]
    [recorded] = set(re.findall(r"^\$ zmalloc \w+ (\d+)", sample.text, re.MULTILINE))
    with subprocess.Popen(["sleep", "600"]) as process:
        time.sleep(0.2)  # until it is sleep, and not a copy of this program
        try:
            for command, output in re.findall(r"^\$ zmalloc (.*)\n((?:(?!\$ ).*\n)+)", sample.text, re.MULTILINE):
                words = re.sub(rf"\b{recorded}\b", str(process.pid), command.replace("-n 10", "-n 0.1 -c 2")).split()
                printed = run(sys.executable, "-m", "zmalloc", *words, cwd=SOURCE)
                assert outline(printed) == outline(output.replace("(python3)", "(sleep)")), command
        finally:
            process.kill()


def test_every_file_that_is_named_is_there() -> None:
    """Links of the Markdown pages."""
    for page in (SOURCE / "README.md", SOURCE / "HACKING.md"):
        for link in re.findall(r"\]\((?!http|#)([^)#]+)", page.read_text()):
            assert (SOURCE / link).exists(), f"{page.name}: {link}"
