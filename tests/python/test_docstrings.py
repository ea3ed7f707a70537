# SPDX-License-Identifier: BSD-3-Clause
"""What the package adds to the C calls has an example in its docstring, and the examples are right."""

from __future__ import annotations

import doctest
import importlib
import inspect
import operator
import types

import pytest
import zmalloc

JEMALLOC_ONLY = {"background_thread", "decay", "set_decay"}

described = {name: value for name, value in vars(zmalloc).items() if getattr(value, "__module__", "") == "zmalloc"}
calls = [name for name, value in described.items() if isinstance(value, types.FunctionType) and name[0] != "_"]
NAMES = [*calls, "Block", "Track", "Monitor", "metrics.Collector"]


@pytest.mark.parametrize("name", NAMES)
def test_example(name: str) -> None:
    if name.startswith("metrics."):
        pytest.importorskip("prometheus_client")
        importlib.import_module("zmalloc.metrics")
    value = operator.attrgetter(name)(zmalloc)
    [examples] = doctest.DocTestFinder(recurse=False).find(value, name, module=False, globs={"zmalloc": zmalloc})
    assert examples.examples
    if name in JEMALLOC_ONLY and not zmalloc.allocator.startswith("jemalloc"):
        with pytest.raises(OSError):
            exec(examples.examples[0].source, examples.globs)
        return
    said: list[str] = []
    failed, _ = doctest.DocTestRunner().run(examples, out=said.append)
    assert failed == 0, "".join(said)


def test_every_call_is_described() -> None:
    for name in dir(zmalloc):
        value = getattr(zmalloc, name)
        if callable(value) and not name.startswith("_"):
            assert inspect.getdoc(value), name
