# SPDX-License-Identifier: BSD-3-Clause
"""A C++ program that knows nothing of the library and loads it while it runs, on its own malloc and on others."""

from __future__ import annotations

import pytest

from tree import BUILD, installed, option, run

HOST = BUILD / "tests" / "programs" / "host"
SHARED = BUILD / "src" / "libzmalloc.so.0.2"

pytestmark = [
    pytest.mark.skipif(not HOST.exists(), reason="no C++ compiler, or no library to load, when this was built"),
    pytest.mark.skipif(option("b_sanitize") != "none", reason="a sanitizer's malloc is to be the only one"),
]

OTHERS = ["libjemalloc.so.2", "libtcmalloc_minimal.so.4", "libmimalloc.so.[23]*"]


@pytest.mark.parametrize("library", ["", *OTHERS])
@pytest.mark.parametrize("binding", ["lazy", "now"])
def test_loaded_by_a_program_that_is_running(library: str, binding: str) -> None:
    env = {"LD_BIND_NOW": "1"} if binding == "now" else {}
    if library:
        env["LD_PRELOAD"] = installed(library)
    for _ in range(3):
        assert run(HOST, SHARED, env=env) == "done\n"


@pytest.mark.parametrize("library", OTHERS)
def test_loaded_with_all_its_names(library: str) -> None:
    """As a plug-in is that the host asks to share its names; before the other one, whose malloc is everybody's."""
    assert run(HOST, SHARED, env={"LD_PRELOAD": f"{SHARED}:{installed(library)}"}) == "done\n"
