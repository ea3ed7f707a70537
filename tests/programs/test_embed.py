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


def test_garbage_of_one_script_is_not_in_the_way_of_another() -> None:
    """Lua itself does not collect for a string that it builds."""
    litter = "collectgarbage('stop') for i = 1, 4 do local _ = ('x'):rep(2600000) end"
    assert "error" not in run(EMBED, litter, "kept = ('y'):rep(7300000)")
    assert figures(litter)[1] > 4 * 2600000
    assert 7300000 < figures(litter, "kept = ('y'):rep(7300000)")[1] < 2 * 7300000


def test_script_has_a_text_of_the_host() -> None:
    assert "error" not in run(EMBED, "assert(_VERSION ~= 'Lua 5.5' or host:find('embed', 1, true))")


def test_script_that_is_none() -> None:
    assert "error: [string" in run(EMBED, "kept =")
    assert figures("kept =")[-1] == 0
