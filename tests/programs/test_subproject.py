# SPDX-License-Identifier: BSD-3-Clause
"""As another project's subproject, found nowhere else, the library is built as a part of what needs it."""

import json
import shutil
from pathlib import Path

import pytest

from tree import LIBRARY_ALONE, MESON, STRANGER, copy_source, run

HERE = Path(__file__).parent

PROJECT = """
project('stranger', 'c', meson_version: '>=1.0.0')
zmalloc = dependency('zmalloc', fallback: 'zmalloc', default_options: {options})
test('stranger', executable('stranger', 'stranger.c', dependencies: zmalloc))
"""


@pytest.mark.parametrize("unity", ["off", "on", "subprojects"])
def test_subproject(unity: str, tmp_path: Path) -> None:
    """Found nowhere else, the library is built as a part of the project that needs it, however that is compiled."""
    stranger = tmp_path / "stranger"
    (stranger / "subprojects").mkdir(parents=True)
    shutil.copy(STRANGER, stranger)
    copy_source(tmp_path).rename(stranger / "subprojects" / "zmalloc")
    unwanted = [word.removeprefix("-D") for word in LIBRARY_ALONE if "tests" not in word]
    (stranger / "meson.build").write_text(PROJECT.format(options=["allocator=libc", *unwanted]))
    build = tmp_path / "build"
    run(*MESON, "setup", "--force-fallback-for=zmalloc", f"-Dunity={unity}", "-Dunity_size=100", build, stranger)
    run(*MESON, "compile", "-C", build)
    assert run(build / "stranger").startswith("libc")
    # The library's own tests are not its users'.
    tests = json.loads((build / "meson-info" / "intro-tests.json").read_text())
    assert [test["name"] for test in tests] == ["stranger"]


PLUGIN_PROJECT = """
project('host', 'c', meson_version: '>=1.0.0')
zmalloc = dependency('zmalloc', fallback: 'zmalloc', default_options: {options})
dl = meson.get_compiler('c').find_library('dl', required: false)
plugin = shared_module('plugin', 'plugin.c', dependencies: zmalloc)
host = executable('host', 'plugin_host.c', dependencies: [dependency('threads'), dl])
test('plugin', host, args: plugin.full_path(), depends: plugin)
"""


def test_plugin_with_a_static_subproject(tmp_path: Path) -> None:
    """The same without pkg-config."""
    project = tmp_path / "project"
    (project / "subprojects").mkdir(parents=True)
    for name in ("plugin.c", "plugin_host.c"):
        shutil.copy(HERE / name, project)
    copy_source(tmp_path).rename(project / "subprojects" / "zmalloc")
    options = ["allocator=libc", "default_library=static"]
    (project / "meson.build").write_text(PLUGIN_PROJECT.format(options=options))
    build = tmp_path / "build"
    run(*MESON, "setup", "--force-fallback-for=zmalloc", build, project)
    run(*MESON, "compile", "-C", build)
    assert run(build / "host", build / "libplugin.so") == "still loaded\n"
