# SPDX-License-Identifier: BSD-3-Clause
"""The figures of a process over HTTP, for Prometheus.

One thread serves all clients: a selector waits for their requests, http.server's handler answers one that is whole.
So a slow client costs a descriptor and its own time limit, and nobody waits for it.
"""

from __future__ import annotations

import errno
import os
import resource
import selectors
import socket
import time
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from typing import TYPE_CHECKING

from ..metrics import Collector  # says so itself where prometheus_client is missing

# isort: split
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

    from .._monitor.monitor import Monitor

MOST_CLIENTS = 256  # at once; more wait in the backlog
BACKLOG = 512
SPARE_DESCRIPTORS = 8  # for reading the process's figures
LONGEST_REQUEST = 64 << 10
SECONDS_TO_ASK = 10.0
SECONDS_TO_READ = 10.0  # the answer
SECONDS_TO_CLOSE = 2.0
SECONDS_IN_PEACE = 1.0  # before a client without a request may have to leave for another
SHARED_SECONDS = 0.1  # a reading answers the requests that come so soon after it
TURN_SECONDS = 0.5  # how late a time limit may be noticed

USED_UP = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)
UNAVAILABLE = b"HTTP/1.0 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"  # no memory is needed to make it


class _Shared:
    """A collector, asked once by all requests of an instant."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self._families: list[Metric] = []
        self._until = 0.0

    def collect(self) -> Iterator[Metric]:
        if time.monotonic() >= self._until:
            self._families = list(self._collector.collect())
            self._until = time.monotonic() + SHARED_SECONDS
        return iter(self._families)


class _Handler(BaseHTTPRequestHandler):
    """One request, from bytes to bytes."""

    server_version = "zmalloc"
    sys_version = ""
    command = requestline = ""
    request_version = default_request_version = "HTTP/1.0"  # so that each answer begins with its status

    def __init__(self, request: bytes, registry: CollectorRegistry) -> None:  # no socket, so not as its base class
        self.registry = registry
        self.rfile = BytesIO(request)
        self.wfile = BytesIO()

    def answer(self) -> bytes:
        """What http.server makes of it."""
        self.handle_one_request()
        return self.wfile.getvalue()

    def refusal(self, status: HTTPStatus) -> bytes:
        """For what is no request."""
        self.send_error(status)
        return self.wfile.getvalue()

    def do_GET(self) -> None:
        if self.path.partition("?")[0] not in ("/", "/metrics"):
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        encode, kind = choose_encoder(self.headers.get("Accept", ""))
        try:
            text = encode(self.registry)
        except OSError as error:
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, error.strerror)
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


class _Client:
    """A connection: first it asks, then it is answered, and at last what else it sends is thrown away.

    To close at once would reset the connection if something was left unread, and the answer might be lost.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.socket.setblocking(False)
        self.since = time.monotonic()
        self.until = self.since + SECONDS_TO_ASK
        self.request = b""
        self.answer = memoryview(b"")
        self.answered = False

    @property
    def asks(self) -> bool:
        """Whether there is no whole request yet."""
        return not self.answer and not self.answered

    def has_to_leave(self) -> bool:
        """Whether another may take its place."""
        return not self.answer and time.monotonic() >= self.since + SECONDS_IN_PEACE

    def receive(self) -> bytes | None:
        """Some bytes, or none at their end. None if there is nothing yet."""
        try:
            return self.socket.recv(LONGEST_REQUEST)
        except (BlockingIOError, InterruptedError):
            return None

    def send(self, answer: bytes) -> None:
        """Begins to answer."""
        self.answer = memoryview(answer)
        self.until = time.monotonic() + SECONDS_TO_READ
        self.send_more()

    def send_more(self) -> None:
        """As much as it takes now."""
        with suppress(BlockingIOError, InterruptedError):
            self.answer = self.answer[self.socket.send(self.answer) :]
        if not self.answer:
            self.answered = True
            self.until = time.monotonic() + SECONDS_TO_CLOSE
            self.socket.shutdown(socket.SHUT_WR)


def _most_clients() -> int:
    """As many as there are descriptors for."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return MOST_CLIENTS
    with open(os.devnull, "rb") as lowest:  # those below are taken
        return max(1, min(MOST_CLIENTS, limit - lowest.fileno() - SPARE_DESCRIPTORS))


def _listener(address: str, port: int) -> socket.socket:
    """Without a look for the address's name, which may take a while."""
    [(family, *_, place), *_] = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


class Server:
    """Listens from its beginning to close(), and answers in turn()."""

    def __init__(self, address: str, port: int, monitor: Monitor) -> None:
        self._registry = CollectorRegistry()
        collector = _Shared(Collector(None, walk=monitor.walk, pid=monitor.pid))
        self._registry.register(collector)  # type: ignore[arg-type]
        self._listener = _listener(address, port)
        self._selector = selectors.DefaultSelector()
        self._clients: set[_Client] = set()
        self._most = _most_clients()
        self._listens = False
        self._listen(True)

    @property
    def url(self) -> str:
        name, port = self._listener.getsockname()[:2]
        return f"http://{f'[{name}]' if ':' in name else name}:{port}/metrics"

    def turn(self) -> None:
        """Serves who has something to say or to be told, and waits a moment if nobody has."""
        ready = [key.data for key, _ in self._selector.select(TURN_SECONDS)]
        for client in ready:
            if client is not None:
                self._serve(client)
        for client in [client for client in self._clients if time.monotonic() >= client.until]:
            self._dismiss(client)
        if None in ready or not self._listens:
            all_in = self._accept()
            with suppress(OSError):  # then the next turn tries again
                self._listen(all_in)

    def close(self) -> None:
        """Whoever is still there has to go."""
        for client in list(self._clients):
            self._close(client)
        self._selector.close()
        self._listener.close()

    def _listen(self, wanted: bool) -> None:
        """Has the selector look for new clients, or not: those who have to wait would keep it busy."""
        if wanted and not self._listens:
            self._selector.register(self._listener, selectors.EVENT_READ)
        elif self._listens and not wanted:
            self._selector.unregister(self._listener)
        self._listens = wanted

    def _accept(self) -> bool:
        """Lets those in who wait; whether all are in."""
        while len(self._clients) < self._most or self._make_room():
            try:
                connection = self._listener.accept()[0]
            except BlockingIOError:
                return True
            except OSError as error:
                if error.errno not in USED_UP or not self._make_room():
                    return False
            else:
                self._let_in(_Client(connection))
        return False

    def _let_in(self, client: _Client) -> None:
        self._clients.add(client)
        try:
            self._selector.register(client.socket, selectors.EVENT_READ, client)
        except OSError:  # the kernel has no memory for one more
            self._close(client)
        else:
            self._serve(client)

    def _make_room(self) -> bool:
        """Sends the one away who has been silent for longest; whether anybody may have left."""
        silent = [client for client in self._clients if client.has_to_leave()]
        if not silent:
            return False
        client = min(silent, key=lambda client: client.since)
        self._serve(client)  # its request may have come meanwhile
        if client in self._clients and not client.answer:
            self._dismiss(client)
        return True

    def _dismiss(self, client: _Client) -> None:
        """Who has not asked by now is told so, if that can be done at once."""
        with suppress(OSError):
            if client.asks:
                client.socket.send(_Handler(b"", self._registry).refusal(HTTPStatus.REQUEST_TIMEOUT))
        self._close(client)

    def _close(self, client: _Client) -> None:
        self._clients.discard(client)
        with suppress(KeyError, ValueError):
            self._selector.unregister(client.socket)
        client.socket.close()

    def _serve(self, client: _Client) -> None:
        """Goes on with a client as far as that goes now."""
        try:
            if client.answer:
                client.send_more()
            elif client.answered:
                if client.receive() == b"":
                    self._close(client)
                return
            else:
                self._ask(client)
            events = selectors.EVENT_WRITE if client.answer else selectors.EVENT_READ
            if client in self._clients and self._selector.get_key(client.socket).events != events:
                self._selector.modify(client.socket, events, client)
        except OSError:  # it has gone
            self._close(client)

    def _ask(self, client: _Client) -> None:
        """Takes what there is of its request, and answers if that is all."""
        received = client.receive()
        if received is None:
            return
        client.request = (client.request + received).lstrip(b"\r\n")
        try:
            handler = _Handler(client.request, self._registry)
            if b"\n\r\n" in client.request or b"\n\n" in client.request:
                client.send(handler.answer() or handler.refusal(HTTPStatus.BAD_REQUEST))  # blanks: no answer
            elif len(client.request) > LONGEST_REQUEST:
                client.send(handler.refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE))
            elif not received:
                client.send(handler.refusal(HTTPStatus.BAD_REQUEST) if client.request else b"")
        except OSError:
            raise
        except Exception:  # out of memory; and nothing that a client writes may end the server
            client.send(UNAVAILABLE)
