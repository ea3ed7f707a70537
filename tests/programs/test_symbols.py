# SPDX-License-Identifier: BSD-3-Clause
"""The library with a prefix in what the linker sees: -Dsymbol_prefix."""

from pathlib import Path

import pytest

from tree import (
    ALLOCATOR, LIBRARY_ALONE, MESON, SOURCE, Installed, build_library, copy_source, header_functions, run, symbols,
    tool,
)  # fmt: skip

HERE = Path(__file__).parent
STRICT = ["-Wall", "-Wextra", "-Werror"]
PREFIX = "my_"


@pytest.fixture(scope="module", params=["gcc", "clang"] if ALLOCATOR == "libc" else ["gcc"])
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("prefixed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CC", tool(request.param))
        build = build_library(copy_source(folder), folder, f"-Dsymbol_prefix={PREFIX}", "-Ddefault_library=both")
    return Installed.from_build(build, folder / "installed")


def defined(archive: Path) -> set[str]:
    return symbols(archive, "--extern-only", "--defined-only")


def test_all_names_have_it(installed: Installed) -> None:
    calls = {PREFIX + name for name in header_functions()}
    assert symbols(installed.find("libzmalloc.so.0.2"), "--dynamic", "--defined-only") == calls
    names = defined(installed.find("libzmalloc.a"))
    assert calls < names and {name for name in names if not name.startswith(PREFIX)} == set()


def test_pkg_config_and_the_header_know(installed: Installed) -> None:
    assert f"-DZMALLOC_SYMBOL_PREFIX={PREFIX}" in installed.pkg_config("--cflags")
    assert installed.has("zmalloc_symbols.h")


@pytest.mark.parametrize("static", [False, True], ids=["shared", "static"])
@pytest.mark.parametrize("compiler", [["gcc", "-std=c99"], ["clang", "-std=c11"], ["g++", "-x", "c++"]], ids=" ".join)
def test_stranger(installed: Installed, compiler: list[str], static: bool, tmp_path: Path) -> None:
    """Its source is the same."""
    tool(compiler[0])
    program = tmp_path / "stranger"
    if static:
        installed = without_shared_library(installed, tmp_path)
    installed.build_stranger(program, *compiler, *STRICT, static=static)
    assert ("libzmalloc" in run(tool("readelf"), "--dynamic", program)) is not static
    installed.run_stranger(program)


def without_shared_library(installed: Installed, folder: Path) -> Installed:
    copy = folder / "static"
    run("cp", "-r", installed.root, copy)
    for shared in copy.rglob("libzmalloc.so*"):
        shared.unlink()
    return Installed(copy)


def test_beside_the_archive_of_zlib(installed: Installed, tmp_path: Path) -> None:
    static = without_shared_library(installed, tmp_path)
    zlib = run(tool("gcc"), "-print-file-name=libz.a").strip()
    assert {"zcalloc", "compress"} <= defined(Path(zlib))
    program = tmp_path / "with_zlib"
    flags = static.pkg_config("--static", "--cflags", "--libs")
    run("gcc", *STRICT, HERE / "with_zlib.c", "-o", program, zlib, *flags)
    assert {"zcalloc", f"{PREFIX}zcalloc"} <= symbols(program, "--defined-only")
    static.run_stranger(program)


@pytest.mark.parametrize("prefix", ["7", "my-", "my_ your_"])
def test_what_is_no_name_is_refused(prefix: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="symbol_prefix: no name in C begins with"):
        options = ["-Dallocator=libc", f"-Dsymbol_prefix={prefix}", *LIBRARY_ALONE]
        run(*MESON, "setup", tmp_path / "build", SOURCE, *options)
