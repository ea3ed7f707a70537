# SPDX-License-Identifier: BSD-3-Clause
"""A server that runs, and a connection to it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence

from builds import Build


class Client:
    """Commands and answers, as the servers' protocol has them."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=300)
        self.answers = self.socket.makefile("rb")

    def answer(self) -> str:
        line = self.answers.readline().rstrip(b"\r\n")
        kind, rest = line[:1], line[1:].decode()
        if kind == b"$" and int(rest) >= 0:
            return self.answers.read(int(rest) + 2)[:-2].decode()
        if kind == b"-":
            raise RuntimeError(rest)
        return rest

    @staticmethod
    def words(command: Sequence[str]) -> bytes:
        parts = [word.encode() for word in command]
        return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)

    def ask(self, *command: str) -> str:
        self.socket.sendall(self.words(command))
        return self.answer()

    def ask_all(self, commands: Sequence[Sequence[str]], at_once: int = 500) -> None:
        """Many commands, some of them at once."""
        for start in range(0, len(commands), at_once):
            some = commands[start : start + at_once]
            self.socket.sendall(b"".join(map(self.words, some)))
            for _ in some:
                self.answer()

    def info(self, section: str) -> dict[str, str]:
        lines = self.ask("INFO", section).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)


def connect(port: int, process: subprocess.Popen[bytes]) -> Client:
    end = time.monotonic() + 60
    while True:
        try:
            client = Client(port)
            if client.info("server")["process_id"] != str(process.pid):
                sys.exit(f"another server has the port {port}")
            return client
        except (OSError, RuntimeError, ValueError):
            if time.monotonic() > end or process.poll() is not None:
                raise
            time.sleep(0.1)


@contextlib.contextmanager
def running(
    build: Build, port: int, options: Sequence[str] = (), wrapper: Sequence[str] = ()
) -> Iterator[tuple[subprocess.Popen[bytes], Client]]:
    """The server in a folder of its own, which goes with it. It keeps nothing on disk."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*wrapper, str(build.binary), "--port", str(port), "--save", "", "--appendonly", "no",
                   "--enable-debug-command", "yes", "--dir", folder, *options]  # fmt: skip
        log = open(build.folder / "server.log", "wb")
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
        try:
            yield process, connect(port, process)
        finally:
            process.terminate()
            process.wait(60)
            log.close()
