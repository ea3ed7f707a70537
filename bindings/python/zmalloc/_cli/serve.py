# SPDX-License-Identifier: BSD-3-Clause
"""The figures of a process over HTTP, for Prometheus."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING

from ..metrics import Collector  # says so itself where prometheus_client is missing

# isort: split
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

if TYPE_CHECKING:
    from .._monitor.monitor import Monitor


class _Answer(BaseHTTPRequestHandler):
    """One request."""

    server: Server
    server_version = "zmalloc"
    sys_version = ""
    timeout = 10.0

    def do_GET(self) -> None:
        if self.path.partition("?")[0] not in ("/", "/metrics"):
            self.send_error(404)
            return
        encode, kind = choose_encoder(self.headers.get("Accept", ""))
        try:
            text = encode(self.server.registry)
        except OSError as error:
            self.send_error(503, error.strerror)
            return
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Answers from its beginning to its end, in threads of its own."""

    daemon_threads = True

    def __init__(self, address: str, port: int, monitor: Monitor) -> None:
        self.registry = CollectorRegistry()
        Collector(self.registry, walk=monitor.walk, pid=monitor.pid)
        [(self.address_family, *_, place), *_] = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)
        super().__init__(place[:2], _Answer)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.1,), name="zmalloc-serve", daemon=True)

    def server_bind(self) -> None:
        """As of any server: that of HTTP would ask for the address's name, which may take a while."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.socket.getsockname()[:2]

    def handle_error(self, *_: object) -> None:
        """Who asked has gone."""

    @property
    def url(self) -> str:
        host = f"[{self.server_name}]" if ":" in self.server_name else self.server_name
        return f"http://{host}:{self.server_port}/metrics"

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
