# SPDX-License-Identifier: BSD-3-Clause
"""What tests wait for."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(true: Callable[[], object], seconds: float = 30) -> None:
    """What must come true soon; how soon is the machine's affair."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.002)
