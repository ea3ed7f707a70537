# SPDX-License-Identifier: BSD-3-Clause
"""A threaded C++ program whose malloc is the library's, which itself is shared, or inside the program."""

from __future__ import annotations

import pytest

from tree import ALLOCATOR, BUILD, run

PROGRAMS = BUILD / "tests" / "programs"


# glibc allocates where a thread sets the value of a key beyond the 32nd; there are 1,024.
@pytest.mark.parametrize("keys", [0, 31, 40, 1000])
@pytest.mark.parametrize("program", ["own_malloc", "own_malloc_static"])
def test_malloc_is_ours(program: str, keys: int) -> None:
    if not (PROGRAMS / program).exists():
        pytest.skip("no C++ compiler, or no library of this kind, when this was built")
    allocator, verdict = run(PROGRAMS / program, env={"KEYS": str(keys)}).split(", ")
    assert allocator.startswith(ALLOCATOR) and verdict == "exact\n"
