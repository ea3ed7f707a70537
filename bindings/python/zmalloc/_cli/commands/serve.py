# SPDX-License-Identifier: BSD-3-Clause
"""zmalloc serve."""

from __future__ import annotations

import time
from contextlib import closing

from ..failure import PARTIAL, USAGE, Failure, ask
from ..watched import Watched

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from ..._monitor.monitor import Monitor

SECONDS_BETWEEN_LOOKS = 1.0


def _has_ended(presence: Monitor) -> bool:
    """What can't be told now, for want of descriptors say, may be told later."""
    try:
        presence.sample()
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


def serve(arguments: argparse.Namespace) -> int:
    try:
        from ..._monitor.monitor import Monitor
        from ..serve import Server
    except ImportError as error:
        raise Failure(USAGE, f"serve: {error}") from None
    watched = Watched(arguments.pid)
    presence = ask(arguments.pid, lambda: Monitor(None, 1, pid=arguments.pid))  # no walk, which may take long
    try:
        server = Server(arguments.address, arguments.port, watched.monitor)
    except OSError as error:
        raise Failure(PARTIAL, f"serve: {arguments.address} port {arguments.port}: {error.strerror}") from None
    with closing(server):
        print(f"serving {server.url}", flush=True)
        due = 0.0
        while not watched.ended:
            try:
                server.turn()
                if time.monotonic() >= due:
                    watched.ended = _has_ended(presence)
                    due = time.monotonic() + SECONDS_BETWEEN_LOOKS
            except MemoryError:
                time.sleep(0.1)  # others may give some back
    return watched.end()
