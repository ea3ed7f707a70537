# SPDX-License-Identifier: BSD-3-Clause
"""How the command line shows figures: readable sizes, tables that fit the terminal, text that can't harm it."""

from __future__ import annotations

import os
import signal
import sys

from .._optional import is_installed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, TextIO

    from rich.console import Console
    from rich.live import Live
    from rich.table import Table as RichTable

UNKNOWN = "unknown"
GAP = "  "
UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def _encodable(text: str, stream: TextIO) -> bool:
    try:
        text.encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _escaped(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no text, as os.fsdecode has it
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def safe(text: str, stream: TextIO | None = None) -> str:
    """The text with escapes for whatever a terminal might obey, might not show, or can't be given."""
    stream = stream or sys.stdout
    if text.isprintable() and _encodable(text, stream):
        return text
    return "".join(char if char.isprintable() and _encodable(char, stream) else _escaped(char) for char in text)


def human(size: int) -> str:
    """A size in the largest unit of which it is at least one, with a decimal below 1000: at most 8 characters."""
    number, unit = float(size), "B"
    for unit in UNITS:
        if abs(number) < 1023.5:  # more would be written as 1024
            break
        number /= 1024
    return f"{number:.{int(unit != 'B' and abs(number) < 999.95)}f} {unit}"


def shown(figure: float | None, exact: bool) -> str:
    """A figure for people: bytes, or a ratio, or unknown."""
    if figure is None:
        return UNKNOWN
    if isinstance(figure, float):
        return f"{figure:.2f}"
    return str(figure) if exact else human(figure)


def _width(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    import unicodedata

    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(unicodedata.category(char) in ("Mn", "Me") for char in text)


def _cut(text: str, room: int, keep_end: bool) -> str:
    """As much of the text as there is room for; where something is missing there are dots."""
    if _width(text) <= room:
        return text
    dots = "…" if _encodable("…", sys.stdout) else ".."
    while text and _width(text) + len(dots) > room:
        text = text[1:] if keep_end else text[:-1]
    return (dots + text if keep_end else text + dots) if room >= len(dots) else text[:room]


class Column:
    """A column: what stands above it, and what may be done to it where there is little room."""

    def __init__(
        self,
        head: str,
        number: bool = False,
        least: int | None = None,  # it may be cut to so many characters
        keep_end: bool = False,  # its end tells more than its beginning
        leave: int = 0,  # those with the greatest number are left out first; 0: never
    ) -> None:
        self.head, self.number, self.least, self.keep_end, self.leave = head, number, least, keep_end, leave


class Table:
    """Rows of text; the cells must be safe."""

    def __init__(self, columns: list[Column], rows: list[list[str]] | None = None) -> None:
        self.columns = columns
        self.rows = rows or []

    def fitted(self, room: int | None) -> Table:
        """A table not wider than the room, if that can be."""
        if room is None:
            return self
        most = room
        kept = list(range(len(self.columns)))
        widths = [max(_width(row[i]) for row in [[column.head for column in self.columns], *self.rows]) for i in kept]

        def excess(sizes: list[int]) -> int:
            return sum(sizes[i] for i in kept) + len(GAP) * (len(kept) - 1) - most

        leasts = [min(width, column.least or width) for width, column in zip(widths, self.columns)]
        for i in sorted((i for i in kept if self.columns[i].leave), key=lambda i: -self.columns[i].leave):
            if excess(leasts) > 0:
                kept.remove(i)
        for i in reversed(kept):
            widths[i] -= min(max(excess(widths), 0), widths[i] - leasts[i])

        def cells(row: list[str]) -> list[str]:
            return [_cut(row[i], widths[i], self.columns[i].keep_end) for i in kept]

        heads = cells([column.head for column in self.columns])
        columns = [Column(head, self.columns[i].number) for head, i in zip(heads, kept)]
        return Table(columns, [cells(row) for row in self.rows])

    def lines(self) -> list[str]:
        """As plain text, the heads first."""
        rows = [[column.head for column in self.columns], *self.rows]
        widths = [max(_width(row[i]) for row in rows) for i in range(len(self.columns))]
        return [self._line(row, widths) for row in rows]

    def _line(self, row: list[str], widths: list[int]) -> str:
        cells = []
        for column, cell, width in zip(self.columns, row, widths):
            blank = " " * (width - _width(cell))
            cells.append(blank + cell if column.number else cell + blank)
        return GAP.join(cells).rstrip()

    def rich(self) -> RichTable:
        """For rich, which is to change nothing but the colours."""
        from rich.table import Table as RichTable
        from rich.text import Text

        table = RichTable(box=None, pad_edge=False, padding=(0, len(GAP), 0, 0), header_style="bold")
        for column in self.columns:
            table.add_column(Text(column.head), justify="right" if column.number else "left", no_wrap=True)
        for row in self.rows:
            styles = ["dim" if cell == UNKNOWN else "cyan" if column.number else ""
                      for column, cell in zip(self.columns, row)]  # fmt: skip
            table.add_row(*(Text(cell, style) for cell, style in zip(row, styles)))
        return table


def _console() -> Console | None:
    """rich's, where there is rich and a terminal that can do more than print."""
    if not sys.stdout.isatty() or os.environ.get("TERM", "") in ("", "dumb"):
        return None
    try:
        from rich.console import Console
    except ImportError:
        return None
    colours: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
    return Console(color_system=colours, highlight=False, markup=False, emoji=False)


def could_be_rich() -> bool:
    """Whether rich is all that is missing."""
    return sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb") and not is_installed("rich")


def _room() -> int | None:
    """How wide lines may be; on what is no terminal, as wide as they are."""
    return _terminal_size().columns if sys.stdout.isatty() else None


def _terminal_size() -> os.terminal_size:
    import shutil

    return shutil.get_terminal_size()


def say(text: str) -> None:
    """Prints a sentence in lines that fit."""
    room = _room()
    if room is not None:
        import textwrap

        text = textwrap.fill(text, room)
    print(text)


def show(table: Table) -> None:
    """Prints the table."""
    console = _console()
    if console is not None:
        console.print(table.fitted(console.width).rich())
        return
    for line in table.fitted(_room()).lines():
        print(line)


def print_json(value: object) -> None:
    """Prints it in a line, at once."""
    import json

    print(json.dumps(value, allow_nan=False), flush=True)


class Progress:
    """A line that is written over again and again; nothing where that is no terminal."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream if stream is not None and stream.isatty() else None
        self._longest = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.tell("")
        if self._stream is not None:
            self._stream.write("\r")
            self._stream.flush()

    def tell(self, text: str) -> None:
        if self._stream is not None:
            text = _cut(text, _terminal_size().columns - 1, keep_end=True)
            self._longest = max(self._longest, len(text))
            self._stream.write(f"\r{text:{self._longest}}")
            self._stream.flush()


class _Live:
    """A part of the screen that is written again in its place, where that is a terminal and rich is there."""

    def __init__(self) -> None:
        self._console = _console()
        self._live: Live | None = None

    def _start(self) -> None:
        if self._console is not None:
            from rich.live import Live

            self._live = Live(console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
            if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:  # it would leave the cursor hidden
                signal.signal(signal.SIGINT, signal.default_int_handler)
            self._live.start()

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()


class Rolling(_Live):
    """A table that grows: its last rows stay on a terminal, elsewhere each is a line. All cells have their width."""

    def __init__(self, columns: list[Column]) -> None:
        super().__init__()
        self._table = Table(columns)
        self._lines = 0  # below the last head

    def __enter__(self) -> Rolling:
        self._start()
        return self

    def add(self, row: list[str]) -> None:
        if self._console is None or self._live is None:
            head, line = Table(self._table.columns, [row]).fitted(_room()).lines()
            full = sys.stdout.isatty() and self._lines >= _terminal_size().lines - 1
            if self._lines == 0 or full:
                head, self._lines = f"{head}\n", 0
            else:
                head = ""
            print(f"{head}{line}", flush=True)
            self._lines += 1
            return
        self._table.rows = [*self._table.rows, row][2 - self._console.height :]  # the head; the cursor's line
        self._live.update(self._table.fitted(self._console.width).rich(), refresh=True)


class Repeated(_Live):
    """A table that comes again and again: on a terminal in its place, elsewhere below the last one."""

    def __init__(self) -> None:
        super().__init__()
        self._is_first = True

    def __enter__(self) -> Repeated:
        self._start()
        return self

    def show(self, table: Table) -> None:
        """As many rows as there is room for; the last, which has the sums, among them."""
        if self._console is None or self._live is None:
            if sys.stdout.isatty():
                table = self._cut(table, _terminal_size().lines)
            blank = "" if self._is_first else "\n"
            print(blank + "\n".join(table.fitted(_room()).lines()), flush=True)
            self._is_first = False
            return
        table = self._cut(table, self._console.height)
        self._live.update(table.fitted(self._console.width).rich(), refresh=True)

    @staticmethod
    def _cut(table: Table, lines: int) -> Table:
        room = max(lines - 3, 1)  # the head, the sums, the cursor's line
        return Table(table.columns, [*table.rows[:-1][:room], table.rows[-1]])
