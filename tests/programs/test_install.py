# SPDX-License-Identifier: BSD-3-Clause
"""Installed, the library can be found and used by strangers, in C and C++, shared and static."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tree import (
    ALLOCATOR, BUILD, HEADERS, PREFIXED, Installed, build_library, copy_source, introspect, option, run, tool,
)  # fmt: skip

HERE = Path(__file__).parent
SYSTEM_JEMALLOC = ALLOCATOR == "jemalloc" and option("wrap_mode") == "nofallback"
STRICT = ["-Wall", "-Wextra", "-Werror"]
COMPILERS = [["gcc", "-std=c99", *STRICT], ["g++", "-std=c++17", "-x", "c++", *STRICT]]


def snapshot(folder: Path) -> dict[str, tuple[float, int]]:
    """Every file below a folder, with what would change if it were written."""
    found = {}
    for path, _, files in os.walk(folder):
        for name in files:
            status = os.lstat(os.path.join(path, name))
            found[os.path.join(path, name)] = (status.st_mtime, status.st_size)
    return found


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """This very tree, installed below a folder; the machine's own prefix stays as it was."""
    prefix = Path(option("prefix"))
    before = snapshot(prefix) if prefix != Path("/usr") else {}
    result = Installed.from_build(BUILD, tmp_path_factory.mktemp("installed"))
    assert before == {} or snapshot(prefix) == before
    return result


def test_files_are_in_place(installed: Installed) -> None:
    prefix = installed.root / option("prefix").lstrip("/")
    for header in HEADERS:
        assert (prefix / option("includedir") / header.name).read_bytes() == header.read_bytes()
    assert (prefix / option("libdir") / "pkgconfig" / "zmalloc.pc").is_file()
    version = introspect("projectinfo")["version"]
    if option("default_library") != "static":
        library = prefix / option("libdir") / "libzmalloc.so"
        assert os.readlink(library) == "libzmalloc.so.0.2"
        assert os.readlink(f"{library}.0.2") == f"libzmalloc.so.{version}"
        assert Path(f"{library}.{version}").is_file()
    assert installed.pkg_config("--modversion") == [version]
    assert ("-DZMALLOC_SIZE_PREFIX" in installed.pkg_config("--cflags")) is PREFIXED
    assert ("-DZMALLOC_QUANTUM=8" in installed.pkg_config("--cflags")) is (option("jemalloc_quantum") == "8")


def test_command_is_in_place(installed: Installed) -> None:
    """With the Python module: its program, with what shells and man know of it."""
    if not installed.has("__main__.py"):
        assert not installed.has("zmalloc.1")
        return
    prefix = installed.root / option("prefix").lstrip("/")
    script = prefix / option("bindir") / "zmalloc"
    assert os.access(script, os.X_OK)
    folder = Path(re.search(r'^FOLDER, PROGRAMS = "/(.+?)"', script.read_text(), re.MULTILINE)[1])
    assert (installed.root / folder / "zmalloc" / "__main__.py").is_file()
    assert (prefix / option("mandir") / "man1" / "zmalloc.1").read_text().startswith(".TH ZMALLOC 1 ")
    for shell in ("bash-completion/completions/zmalloc.bash", "zsh/site-functions/_zmalloc",
                  "fish/vendor_completions.d/zmalloc.fish"):  # fmt: skip
        assert "smaps" in (prefix / option("datadir") / shell).read_text()


def test_interrupt_at_the_commands_beginning(installed: Installed, tmp_path: Path) -> None:
    """Before it has come to the module, which it imports: here one that interrupts it."""
    if not installed.has("__main__.py"):
        pytest.skip("this build has no command")
    script = (installed.root / option("prefix").lstrip("/") / option("bindir") / "zmalloc").read_text()
    (tmp_path / "package" / "zmalloc").mkdir(parents=True)
    (tmp_path / "package" / "zmalloc" / "__init__.py").write_text("import os\nos.kill(os.getpid(), 2)\n")
    command = tmp_path / "zmalloc"
    places = f'FOLDER, PROGRAMS = "{tmp_path / "package"}", "/"'
    command.write_text(re.sub("(?m)^FOLDER, PROGRAMS = .*", places, script))
    result = subprocess.run([sys.executable, command], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (-2, "")


def test_nothing_else_is_installed(installed: Installed) -> None:
    """Only what Meson was told to install, and none of the parts that are for the build alone."""
    plan = {Path(source): Path(path) for source, path in introspect("installed").items()}
    planned = {installed.root / path.relative_to("/") for path in plan.values()}
    files = {path for path in installed.root.rglob("*") if not path.is_dir()}
    strange = {path for path in files if not any(path == one or one in path.parents for one in planned)}
    # Meson lists a file once that goes to several places.
    strange = {path for path in strange if not any(
        source.name == path.name and source.is_file() and source.read_bytes() == path.read_bytes() for source in plan
    )}  # fmt: skip
    assert {path.name for path in strange} <= {"libzmalloc.so", "libzmalloc.so.0.2"}
    assert not installed.has("libzmalloc-core.a")
    # A static library has one for servers.
    assert all(path.parts[-4:-2] == ("jemalloc", "include") for path in installed.root.rglob("jemalloc.h"))


@pytest.mark.parametrize("compiler", COMPILERS, ids=["C", "C++"])
def test_stranger(installed: Installed, compiler: list[str], tmp_path: Path) -> None:
    tool(compiler[0])
    program = tmp_path / "stranger"
    installed.build_stranger(program, *compiler)
    installed.run_stranger(program)


@pytest.fixture(scope="module", params=["static", "both"])
def static(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The static library, as it is installed alone or beside the shared one, which is then taken away."""
    folder = tmp_path_factory.mktemp(request.param)
    build = build_library(copy_source(folder), folder, f"-Ddefault_library={request.param}")
    static = Installed.from_build(build, folder / "installed")
    assert static.has("libzmalloc.so.0.2") is (request.param == "both")
    assert static.has("libzmalloc-jemalloc.a") is (ALLOCATOR == "jemalloc" and not SYSTEM_JEMALLOC)
    for shared in static.root.rglob("libzmalloc.so*"):
        shared.unlink()
    return static


@pytest.mark.parametrize("compiler", COMPILERS, ids=["C", "C++"])
def test_stranger_with_the_static_library(static: Installed, compiler: list[str], tmp_path: Path) -> None:
    tool(compiler[0])
    program = tmp_path / "stranger"
    static.build_stranger(program, *compiler, static=True)
    assert "libzmalloc" not in run(tool("readelf"), "--dynamic", program)
    static.run_stranger(program)


@pytest.mark.skipif(SYSTEM_JEMALLOC, reason="only programs can have the static TLS of the system's jemalloc")
def test_plugin_with_the_static_library(static: Installed, tmp_path: Path) -> None:
    """It stays loaded whatever its host does: the ends of threads, and forks, call into the library."""
    plugin, host = tmp_path / "plugin.so", tmp_path / "host"
    flags = static.pkg_config("--static", "--cflags", "--libs")
    run(tool("gcc"), *STRICT, "-fPIC", "-shared", HERE / "plugin.c", "-o", plugin, *flags)
    assert "libzmalloc" not in run(tool("readelf"), "--dynamic", plugin)
    run("gcc", *STRICT, HERE / "plugin_host.c", "-o", host, "-pthread", "-ldl")
    assert run(host, plugin) == "still loaded\n"
