# SPDX-License-Identifier: BSD-3-Clause
"""The example that embeds Lua: what a script has, what it may have at most, and that nothing is left."""

from __future__ import annotations

import re

import pytest

from tree import BUILD, run

EMBED = BUILD / "examples" / "embed"

REASON = "built without headers of Lua 5.4 or 5.5, or without examples"
pytestmark = pytest.mark.skipif(not EMBED.exists(), reason=REASON)


def figures(*script: str) -> list[int]:
    return [int(number) for number in re.findall(r"(\d+) (?:bytes|in use)", run(EMBED, *script))]


def test_script_is_stopped_at_its_limit() -> None:
    assert "error: not enough memory" in run(EMBED)
    libraries, script, in_use, closed = figures()
    assert 0 < libraries < 15 << 20 < script <= 16 << 20
    assert (in_use, closed) == (script, 0)


def test_script_has_what_it_keeps() -> None:
    libraries, script, in_use, closed = figures("kept = ('x'):rep(1000000)")
    assert 1000000 < script - libraries < 1100000
    assert (in_use, closed) == (script, 0)


def test_script_that_is_none() -> None:
    assert "error: [string" in run(EMBED, "kept =")
    assert figures("kept =")[-1] == 0
