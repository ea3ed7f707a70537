# SPDX-License-Identifier: BSD-3-Clause
"""The package through pip, with build isolation: sdist, wheel from the sdist, and an editable install."""

from __future__ import annotations

import email
import re
import tarfile
import zipfile
from pathlib import Path

import pytest

from package import (
    FILES, Interpreter, check_binary, copy_project, forget_jemalloc, skip_without_registry, stand_in_for_jemalloc,
)  # fmt: skip
from tree import SOURCE, introspect

VERSION = introspect("projectinfo")["version"]
FETCH = ("install", "--quiet", "--retries=1", "--timeout=30")
LIBC = "--config-settings=setup-args=-Dallocator=libc"


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Interpreter:
    """Where packages are built and looked at. All that is fetched from the registry beforehand is fetched here."""
    interpreter = Interpreter(tmp_path_factory.mktemp("tools"))
    [requires] = re.findall(r"^requires = \[(.+)\]$", (SOURCE / "pyproject.toml").read_text(), re.MULTILINE)
    try:
        interpreter.pip(*FETCH, "build")
    except AssertionError as error:
        skip_without_registry(error)
    interpreter.pip(*FETCH, "twine", "auditwheel", *re.findall(r'"([^"]+)"', requires))
    return interpreter


@pytest.fixture(scope="module")
def sdist(tools: Interpreter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    tools.run("-m", "build", "--no-isolation", "--sdist", "--outdir", folder, copy_project(folder))
    return folder / f"zmalloc-{VERSION}.tar.gz"


@pytest.fixture(scope="module")
def unpacked(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder)
    return folder / f"zmalloc-{VERSION}"


@pytest.fixture(scope="module")
def wheel(tools: Interpreter, unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the sdist, in isolation: with Meson, ninja and SWIG as the registry has them now."""
    folder = tmp_path_factory.mktemp("wheel")
    stand_in_for_jemalloc(unpacked)
    tools.pip("wheel", "--no-deps", "--wheel-dir", folder, unpacked)
    [wheel] = folder.iterdir()
    return wheel


def test_sdist_holds_all_that_is_needed(sdist: Path) -> None:
    """jemalloc's source too: who has the sdist needs no second download."""
    with tarfile.open(sdist) as archive:
        top, names = f"zmalloc-{VERSION}/", archive.getnames()
    assert all(name.startswith(top) for name in names)
    names = [name.removeprefix(top) for name in names]
    for name in ("PKG-INFO", "pyproject.toml", "meson.build", "LICENSE", "README.md", "include/zmalloc.h"):
        assert name in names
    assert any(re.fullmatch(r"subprojects/jemalloc-[\d.]+/configure", name) for name in names)
    assert any(re.fullmatch(r"subprojects/jemalloc-[\d.]+/meson.build", name) for name in names)
    strange = re.compile(r"^(build|\.git|\.mesonpy)\b(?!ignore)|packagecache|__pycache__|\.(so|a|whl)$")
    assert not [name for name in names if strange.search(name)]


def test_wheel_holds_what_runs_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    [binary] = [name for name in names if name.endswith(".so")]
    info = f"zmalloc-{VERSION}.dist-info"
    about = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
    about |= {"licenses/subprojects/packagefiles/jemalloc/COPYING"}
    assert re.fullmatch(r"zmalloc/_zmalloc\.[\w-]+\.so", binary)
    assert set(names) == {binary} | {f"zmalloc/{name}" for name in FILES} | {f"{info}/{name}" for name in about}


def test_metadata(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        metadata = email.message_from_bytes(archive.read(f"zmalloc-{VERSION}.dist-info/METADATA"))
        entries = archive.read(f"zmalloc-{VERSION}.dist-info/entry_points.txt").decode()
    assert (metadata["Name"], metadata["Version"], metadata["Requires-Python"]) == ("zmalloc", VERSION, ">=3.9")
    assert metadata["License-Expression"] == "BSD-3-Clause AND BSD-2-Clause"
    assert all("; extra == " in required for required in metadata.get_all("Requires-Dist"))
    assert "[pytest11]\nzmalloc = zmalloc.pytest_plugin\n" in entries
    assert "[console_scripts]\nzmalloc = zmalloc.__main__:main\n" in entries


def test_binary_is_whole_in_itself(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        [binary] = [name for name in archive.namelist() if name.endswith(".so")]
        check_binary(Path(archive.extract(binary, tmp_path)))


def test_auditwheel(tools: Interpreter, wheel: Path) -> None:
    """It could be given a tag for any Linux with this C library or a later one: it needs nothing else."""
    said = " ".join(tools.run("-m", "auditwheel", "show", wheel).split())
    if "GLIBC_ABI_GNU2_TLS" in said and 'platform tag: "linux_' in said:  # findings/binutils_tls_tag.sh
        pytest.skip("this linker asks the C library for a version that auditwheel does not know")
    assert re.search(r'consistent with the following platform tag: "(many|musl)linux_\d+_\d+_\w+"', said), said


def test_twine(tools: Interpreter, sdist: Path, wheel: Path) -> None:
    said = tools.run("-m", "twine", "--no-color", "check", "--strict", sdist, wheel)
    assert said.count("PASSED") == 2, said


def test_wheel_in_a_fresh_environment(wheel: Path, tmp_path: Path) -> None:
    interpreter = Interpreter(tmp_path / "fresh")
    interpreter.pip("install", "--no-index", wheel)
    interpreter.try_module("jemalloc")
    script = interpreter.python.with_name("zmalloc")
    assert interpreter.run(script, "--version") == interpreter.run("-m", "zmalloc", "--version")
    interpreter.pip("uninstall", "--yes", "zmalloc")
    assert not (interpreter.packages / "zmalloc").exists() and not script.exists()


def test_install_without_jemalloc(tools: Interpreter, sdist: Path, tmp_path: Path) -> None:
    """The way out that the error message names."""
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path)
    project = tmp_path / f"zmalloc-{VERSION}"
    forget_jemalloc(project)
    tools.pip("install", "--no-build-isolation", "--force-reinstall", LIBC, project)
    tools.try_module("libc")


def test_editable_install(tools: Interpreter, tmp_path: Path) -> None:
    """What is changed in the sources, Python or C, is what the next interpreter imports."""
    project = copy_project(tmp_path)
    tools.pip("install", "--no-build-isolation", "--force-reinstall", LIBC, "--editable", project)
    package = project / "bindings" / "python" / "zmalloc"
    where = "import zmalloc; print(zmalloc.__file__, zmalloc.__version__)"
    assert tools.run("-I", "-c", where).split() == [str(package / "__init__.py"), VERSION]
    with (package / "__init__.py").open("a") as file:
        file.write('\nadded = "to Python"\n')
    header = project / "include" / "zmalloc.h"
    header.write_text(header.read_text().replace(f'ZMALLOC_VERSION "{VERSION}"', 'ZMALLOC_VERSION "changed in C"'))
    changed = "import zmalloc; print(zmalloc.added, zmalloc.__version__)"
    assert tools.run("-I", "-c", changed) == "to Python changed in C\n"
    tools.pip("uninstall", "--yes", "zmalloc")
