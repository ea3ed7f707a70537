# SPDX-License-Identifier: BSD-3-Clause
"""zmalloc serve."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..failure import PARTIAL, USAGE, Failure
from ..watched import Watched

if TYPE_CHECKING:
    import argparse


def serve(arguments: argparse.Namespace) -> int:
    try:
        from ..serve import Server
    except ImportError as error:
        raise Failure(USAGE, f"serve: {error}") from None
    watched = Watched(arguments.pid)
    try:
        server = Server(arguments.address, arguments.port, watched.monitor)
    except OSError as error:
        raise Failure(PARTIAL, f"serve: {arguments.address} port {arguments.port}: {error.strerror}") from None
    with server:
        print(f"serving {server.url}", flush=True)
        while watched.next() is not None:
            time.sleep(1.0)
    return watched.end()
