# SPDX-License-Identifier: BSD-3-Clause
"""Blocks, the account, handlers and scopes against the model in machine.py, by steps that hypothesis chooses.

ZMALLOC_EXAMPLES is how many runs it tries. A run that fails, it shortens, and prints its steps.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import sysconfig
import zlib

import machine
import pytest
from hypothesis import HealthCheck, Phase, note, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

# 3.13t takes 13 times as long: it specializes no bytecode, a thread takes 7 times as long to start and end, and each
# collection looks at all objects.
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
RUNS = int(os.environ.get("ZMALLOC_EXAMPLES", "60" if FREE_THREADED else "250"))
STEPS = 200  # a run

LIBRARY, PREFIX = os.environ["ZMALLOC_ALLOCATOR"], os.environ["ZMALLOC_PREFIX"]

# Each tree goes its own way, and the same every time.
SEED = zlib.crc32((LIBRARY + PREFIX).encode())


class Machine(RuleBasedStateMachine):
    """One rule that draws the action too: to choose among many, hypothesis needs three times as long."""

    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.model = machine.Model()

    @rule(choice=st.binary(min_size=machine.STEP_SIZE, max_size=machine.STEP_SIZE))
    def act(self, choice: bytes) -> None:
        step = machine.Step(choice)
        note(repr(step))
        step.take(self.model)
        Machine.steps += 1

    def teardown(self) -> None:
        self.model.end()


def test_whatever_is_done_the_model_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    chosen = settings(
        database=None,
        deadline=None,
        max_examples=RUNS,
        phases=[Phase.generate, Phase.shrink],
        stateful_step_count=STEPS,
        suppress_health_check=list(HealthCheck),
    )
    gc.freeze()  # collections are for what the runs make
    run_state_machine_as_test(seed(SEED)(Machine), settings=chosen)
    gc.unfreeze()
    with capsys.disabled():
        print(f"\nfigure: {Machine.steps} steps of scripts held\nseed {SEED}")
    assert Machine.steps > RUNS * STEPS * 0.8 or "ZMALLOC_EXAMPLES" in os.environ


@pytest.mark.skipif(FREE_THREADED, reason="without the lock Python has an allocator of its own and no other")
@pytest.mark.skipif(LIBRARY != "libc" or PREFIX == "1", reason="valgrind knows the C library's blocks alone")
def test_valgrind_sees_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody reads, writes or frees what is no Block's. What a fresh Block holds is undefined, and may be read."""
    valgrind = ["valgrind", "-q", "--error-exitcode=9", "--undef-value-errors=no", "--leak-check=no"]
    valgrind += ["--num-callers=30"]
    result = subprocess.run(
        [*valgrind, sys.executable, machine.__file__, "10000", str(SEED)],
        env={**os.environ, "PYTHONMALLOC": "malloc"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    with capsys.disabled():
        print(f"\nvalgrind: {result.stdout.strip()}")
