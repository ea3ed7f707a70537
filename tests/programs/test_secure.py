# SPDX-License-Identifier: BSD-3-Clause
"""What the environment may change: nothing of ours, and of jemalloc's nothing in programs with others' rights."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tree import BUILD, has_private_jemalloc
from test_library import CORE, symbols

SECURE = BUILD / "tests" / "programs" / "secure"
SETTING = {"JE_MALLOC_CONF": "dirty_decay_ms:1234"}
NOBODY = 65534


private_jemalloc = pytest.mark.skipif(not has_private_jemalloc(), reason="no private jemalloc in this tree")


def test_the_library_reads_no_environment_variable() -> None:
    assert not {name for name in symbols(CORE, "--undefined-only") if "getenv" in name or "environ" in name}


@private_jemalloc
def test_jemalloc_reads_its_variable_securely() -> None:
    archives = list((BUILD / "subprojects").rglob("libzmalloc-jemalloc.a"))
    assert archives
    for archive in archives:
        assert {name for name in symbols(archive, "--undefined-only") if "getenv" in name} == {"secure_getenv"}


@pytest.fixture
def folder_of_all() -> Iterator[Path]:
    """A folder that every user may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


def answer(program: Path) -> tuple[int, int]:
    """Whether it is a program with others' rights, and its decay time; it is run by nobody."""
    result = subprocess.run(
        [program], env=SETTING, text=True, capture_output=True, check=True, user=NOBODY, group=NOBODY, extra_groups=[]
    )
    secure, dirty = map(int, result.stdout.split())
    return secure, dirty


@private_jemalloc
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a program that has others' rights")
def test_a_setgid_program_ignores_its_callers_setting(folder_of_all: Path) -> None:
    program = folder_of_all / "secure"
    shutil.copy(SECURE, program)
    program.chmod(0o755)
    assert answer(program) == (0, 1234)
    program.chmod(0o2755)
    if os.statvfs(program).f_flag & os.ST_NOSUID:
        pytest.skip(f"{folder_of_all} is mounted nosuid")
    secure, dirty = answer(program)
    assert secure == 1
    assert dirty not in (0, 1234)
