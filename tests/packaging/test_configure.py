# SPDX-License-Identifier: BSD-3-Clause
"""What Meson refuses for the Python module, or leaves out, with the reason."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from package import failure
from tree import LIBRARY_ALONE, MESON, SOURCE, run

SYSTEM_PYTHON = "/usr/bin/python3"
LIBC = ["-Dallocator=libc", *(f"-D{part}=disabled" for part in ("tests", "lua", "preload", "examples", "benchmarks"))]
NO_PYTHON = "-Dpython=disabled"


def old_python(folder: Path) -> Path:
    """A Python that says it is 3.8."""
    python = folder / "python"
    python.write_text(
        "#!/bin/sh\n"
        f"exec {SYSTEM_PYTHON} -c 'import sys; sys.version_info = (3, 8, 0, \"final\", 0)\n"
        "code = open(sys.argv[1]).read() if sys.argv[1].endswith(\".py\") else sys.argv[2]\n"
        "sys.argv = sys.argv[1:]\n"
        "import sysconfig; sysconfig.get_python_version = lambda: \"3.8\"\n"
        "exec(code)' \"$@\"\n"
    )
    python.chmod(0o755)
    return python


def python_without_distutils(folder: Path) -> Path:
    """One that can't import it, as Python 3.12 and later."""
    python = folder / "python"
    python.write_text(
        "#!/bin/sh\n"
        f"exec {SYSTEM_PYTHON} -c 'import sys; sys.modules[\"distutils\"] = None\n"
        "code = open(sys.argv[1]).read() if sys.argv[1].endswith(\".py\") else sys.argv[2]\n"
        "sys.argv = sys.argv[1:]\n"
        "exec(code)' \"$@\"\n"
    )
    python.chmod(0o755)
    return python


def test_a_python_that_meson_can_not_ask(tmp_path: Path) -> None:
    """The reason is not that there is none, and what to do is said."""
    if [int(part) for part in run(*MESON, "--version").split(".")[:2]] >= [1, 3]:
        pytest.skip("this Meson needs no distutils")
    options = [*LIBC, f"-Dpython_command={python_without_distutils(tmp_path)}"]
    said = run(*MESON, "setup", tmp_path / "auto", SOURCE, *options)
    [message] = re.findall("Message: No Python module: (.*)", said)
    assert "distutils" in message and "use Meson 1.3 or later" in message and "install setuptools" in message
    assert "there is no Python" not in said
    said = failure(*MESON, "setup", tmp_path / "enabled", SOURCE, "-Dpython=enabled", *options)
    assert message in said[said.index("ERROR:") :]


REASONS = {"missing": "there is no Python that python_command names", "old": "needs 3.9 or later"}


@pytest.mark.parametrize("which", REASONS)
def test_an_unfit_python(which: str, tmp_path: Path) -> None:
    """Enabled, the module is an error; else it is left out. The reason is said either way."""
    if which == "old" and sys.version_info >= (3, 12):
        pytest.skip("for 3.8 Meson asks distutils, which this Python has not: it can't pose as one")
    python = old_python(tmp_path) if which == "old" else "python3.99"
    options = [*LIBC, f"-Dpython_command={python}"]
    said = run(*MESON, "setup", tmp_path / "auto", SOURCE, *options)
    assert "Message: No Python module:" in said and REASONS[which] in said
    said = failure(*MESON, "setup", tmp_path / "enabled", SOURCE, "-Dpython=enabled", *options)
    assert REASONS[which] in said[said.index("ERROR:") :]


def test_a_path_where_there_is_no_python(tmp_path: Path) -> None:
    said = failure(*MESON, "setup", tmp_path / "build", SOURCE, *LIBC, f"-Dpython_command={tmp_path}/python")
    assert f"python_command: there is no {tmp_path}/python" in said[said.index("ERROR:") :]


def test_jemalloc_without_make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that names it, before anything is fetched or unpacked; the other allocators need none."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for program in Path("/usr/bin").iterdir():
        if program.name != "make":
            (programs / program.name).symlink_to(program)
    monkeypatch.setenv("PATH", str(programs))
    # Meson has ninja look at the build directory that it is called in. Another ninja than the one that built there
    # would throw its log away, and with it all that is built.
    monkeypatch.chdir(tmp_path)
    said = failure(*MESON, "setup", tmp_path / "jemalloc", SOURCE, "-Dallocator=jemalloc", *LIBC[1:], NO_PYTHON)
    assert "jemalloc: its build needs make, which is not installed" in said[said.index("ERROR:") :]
    run(*MESON, "setup", tmp_path / "libc", SOURCE, *LIBC, NO_PYTHON)


@pytest.mark.parametrize("option", ["-Dallocator=libc", "-Dhardened=true", "-Dsize_prefix=true"])
def test_a_quantum_that_nothing_heeds(option: str, tmp_path: Path) -> None:
    command = [*MESON, "setup", tmp_path / "build", SOURCE, *LIBC[1:], "-Dallocator=jemalloc", option]
    said = failure(*command, NO_PYTHON, "-Djemalloc_quantum=8")
    assert "jemalloc_quantum: only for the jemalloc that is built in, without size_prefix and hardened" in said


def test_a_user_s_own_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module goes where that user's Python looks. Without root nothing else can be installed to."""
    monkeypatch.setenv("HOME", str(tmp_path))
    own = run(SYSTEM_PYTHON, "-c", "import site; print(site.ENABLE_USER_SITE, site.getusersitepackages())").split()
    if own[0] != "True":
        pytest.skip("this Python does not look in a user's own folder")
    options = [*LIBC, f"-Dpython_command={SYSTEM_PYTHON}", f"--prefix={tmp_path}/.local"]
    said = run(*MESON, "setup", tmp_path / "build", SOURCE, *options)
    assert re.search(rf"Python module *: {re.escape(own[1])}/zmalloc\n", said)
    assert "Python will not search" not in said


@pytest.mark.parametrize("folder", ["lib64", "lib"])
def test_a_folder_that_debian_does_not_search(folder: str, tmp_path: Path) -> None:
    if not Path("/etc/debian_version").exists():
        pytest.skip("this is not Debian")
    options = [*LIBC, NO_PYTHON, "--prefix=/usr/local", f"--libdir={folder}"]
    said = run(*MESON, "setup", tmp_path / "build", SOURCE, *options)
    assert ("configure with --libdir=lib" in said) is (folder == "lib64")
    assert re.search(rf"library *: /usr/local/{folder}\n", said)


# As its header tells it: the minor version has one digit or two, and so has the patch.
MIMALLOCS = {219: "2.1.9", 3010: "3.0.10", 3206: "3.2.6", 10910: "1.9.10"}


@pytest.mark.parametrize(("number", "version"), MIMALLOCS.items(), ids=MIMALLOCS.values())
def test_the_version_of_mimalloc(number: int, version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mimalloc.h").write_text(f"#define MI_MALLOC_VERSION {number}\n")
    description = f"Name: mimalloc\nDescription: its header\nVersion: 0\nCflags: -I{tmp_path}\n"
    (tmp_path / "mimalloc.pc").write_text(description)
    monkeypatch.setenv("PKG_CONFIG_PATH", str(tmp_path))
    build = tmp_path / "build"
    run(*MESON, "setup", build, SOURCE, "-Dallocator=mimalloc", *LIBRARY_ALONE)
    commands = (build / "compile_commands.json").read_text()
    assert set(re.findall(r"-DZM_MIMALLOC_VERSION=\W*([\d.]+)", commands)) == {version}
    assert set(re.findall(r"-DZM_MIMALLOC_MAJOR=(\d+)", commands)) == {version[0]}
