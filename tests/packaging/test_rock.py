# SPDX-License-Identifier: BSD-3-Clause
"""For each Lua: the rock that luarocks makes, without Meson; and where Meson installs the module."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tree import MESON, SOURCE, run, tool

VERSIONS = ["5.1", "5.2", "5.3", "5.4", *(["5.5"] if shutil.which("lua5.5") else [])]  # not every system has 5.5
UNWANTED = [f"-D{part}=disabled" for part in ("tests", "python", "preload", "examples", "benchmarks")]

# Who installs a module has none of the paths of this build.
for name in list(os.environ):
    if name.startswith(("LUA_PATH", "LUA_CPATH")):
        del os.environ[name]


def copy_project(folder: Path) -> Path:
    copy = folder / "zmalloc"
    names = ["bindings", "include", "src", "tests/lua", "README.md", "LICENSE"]
    for each in names + [path.name for path in SOURCE.glob("*.rockspec")]:
        source = SOURCE / each
        (copy / each).parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy / each)
        else:
            shutil.copy(source, copy / each)
    return copy


def readme_example() -> str:
    """The README's, in words that 5.1 knows too."""
    example = re.search(r"^```lua\n(.*?)^```", (SOURCE / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert example is not None and 'require "zmalloc"' in example[1]
    return example[1].replace(" <close>", "")


def check_binary(module: Path) -> None:
    """Whole in itself, without a Lua of its own, and fit for any process that is already running."""
    names = [line.split()[-1] for line in run(tool("nm"), "-D", "--defined-only", module).splitlines()]
    assert names == ["luaopen_zmalloc"]
    dynamic = run(tool("readelf"), "--dynamic", "--wide", module)
    assert "NODELETE" in dynamic
    assert "STATIC_TLS" not in dynamic
    assert "TEXTREL" not in dynamic
    needed = set(re.findall(r"NEEDED.*\[(.+)\]", dynamic))
    assert {name.split(".")[0].split("-")[0] for name in needed} <= {"libc", "libm", "libpthread", "libdl", "ld"}


def check_module(lua: str, modules: Path, scripts: Path, allocator: str) -> None:
    """It is the one that is loaded, it does what the README shows, and it holds what its tests ask."""
    env = {"LUA_CPATH": f"{modules}/?.so;;", "LUA_PATH": f"{scripts}/?.lua;;"}
    what = 'local z = require "zmalloc"; require "zmalloc.busted"; print(z.allocator, z.used_memory())'
    name, used = run(lua, "-e", what, env=env).split()
    assert (name.partition("-")[0], used) == (allocator, "0")
    run(lua, "-e", readme_example(), env=env)
    tests = SOURCE / "tests" / "lua"
    settings = {"ZMALLOC_LUA": lua, "ZMALLOC_ALLOCATOR": allocator, "ZMALLOC_PREFIX": "0"}
    specs = [tests / f"{name}_spec.lua" for name in ("block", "parity", "misuse", "track", "busted")]
    if subprocess.run([lua, "-e", 'require "busted.runner"'], capture_output=True, check=False).returncode != 0:
        pytest.skip(f"what has been built is right, and not tested: no busted for {lua} here")
    run(lua, shutil.which(tool("busted")) or "", f"--lpath={tests}/?.lua", *specs, env=env | settings)


@pytest.mark.parametrize("version", VERSIONS)
def test_rock(version: str, tmp_path: Path) -> None:
    lua = tool(f"lua{version}")
    project = copy_project(tmp_path)
    tree = tmp_path / "rocks"
    run(tool("luarocks"), f"--lua-version={version}", f"--tree={tree}", "make", cwd=project)
    modules, scripts = tree / "lib" / "lua" / version, tree / "share" / "lua" / version
    assert [path.name for path in modules.iterdir()] == ["zmalloc.so"]
    check_binary(modules / "zmalloc.so")
    [annotations] = tree.rglob("library/zmalloc.lua")
    assert run(lua, "-e", f"print(type(dofile('{annotations}').used_memory))").strip() == "function"
    shutil.rmtree(project)
    check_module(lua, modules, scripts, "libc")
    if version == "5.1":
        check_module(tool("luajit"), modules, scripts, "libc")


def test_rock_has_no_sources_that_the_library_has_not(tmp_path: Path) -> None:
    """The list is Meson's own, so that it can't fall behind."""
    commands = run("make", "-n", "-f", "bindings/lua/rock.mk", cwd=SOURCE)
    rock = set(re.findall(r"src/\S+\.c", commands))
    assert {"src/zmalloc.c", "src/allocator/libc.c"} <= rock
    run(*MESON, "setup", tmp_path, SOURCE, "-Dallocator=libc", "-Dlua=disabled", *UNWANTED)
    ninja = (tmp_path / "build.ninja").read_text()
    core = set(re.findall(r"^build src/libzmalloc-core\.a\.p/\S+: c_COMPILER \S*/(src/\S+\.c)", ninja, re.MULTILINE))
    assert rock == core


PLACES = [(version, "/usr") for version in [*VERSIONS, "jit"]] + [("5.4", "/usr/local"), ("jit", "/usr/local")]


@pytest.mark.parametrize(("version", "prefix"), PLACES)
def test_place(version: str, prefix: str, tmp_path: Path) -> None:
    """Meson installs where the system's own modules are, or, with another prefix, where that Lua looks as well."""
    lua = tool(f"lua{version}")
    options = ["-Dallocator=libc", "-Dlua=enabled", f"-Dlua_version={version}", *UNWANTED]
    run(*MESON, "setup", f"--prefix={prefix}", tmp_path, SOURCE, *options)
    installed = map(Path, json.loads((tmp_path / "meson-info" / "intro-installed.json").read_text()).values())
    places = {path.name: path for path in installed}
    modules, scripts = places["zmalloc.so"].parent, places["busted.lua"].parents[1]
    assert Path(prefix) in modules.parents and Path(prefix) in scripts.parents
    if prefix == "/usr":
        package = "luajit" if version == "jit" else f"lua{version}"
        assert modules == Path(run(tool("pkg-config"), package, "--variable=INSTALL_CMOD").strip())
    assert f"{modules}/?.so" in run(lua, "-e", "io.write(package.cpath)").split(";")
    assert f"{scripts}/?.lua" in run(lua, "-e", "io.write(package.path)").split(";")
