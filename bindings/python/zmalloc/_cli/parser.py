# SPDX-License-Identifier: BSD-3-Clause
"""What can be written on the command line: the one source of its help, its manual page and its completions.

Nothing of the package is needed here, so that a build can make the manual page without the module.
"""

from __future__ import annotations

import argparse
import re
import sys

TYPE_CHECKING = False  # typing itself would take as long to import as argparse
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from _typeshed import SupportsWrite

DESCRIPTION = "Reports where the memory of a process is."

NOTES = {
    "figures": (
        "Sizes are in units of 1024 bytes (KiB, MiB and so on), with --bytes or --json in bytes. An unknown figure "
        'is "unknown", in JSON null, and never 0. Only the library in a process knows what its allocator has in '
        "use. A process that calls zmalloc.publish() or zmalloc_publish() lets the other programs of its user know: "
        "then all figures are reported, and when the process read them. The kernel's are of now. A page that is "
        "stale, torn, forged or another process's is an error, and its figures are unknown."
    ),
    "output": (
        "Tables go to standard output, within the width of a terminal, and all else to standard error. There is no "
        "colour if output is no terminal, NO_COLOR is set or TERM is dumb. Characters of file names that a terminal "
        r"might obey or can't show are written as escapes (\x1b). cli.schema.json in zmalloc's documents describes "
        "the JSON."
    ),
    "interrupts": (
        "An interrupt (Ctrl-C), or a reader that has closed the pipe, ends the program by that signal, without a "
        "message. In a shell its status is then 130 or 141."
    ),
}
STATUS = {
    0: "everything was reported",
    1: "something could not be read or written; standard error says what, and why",
    2: "the command line is wrong, or needs a Python package that is not installed",
    3: "there is no such process (or it has no memory), or it may not be read",
    126: "run, compare: the program can't be executed; otherwise run has the program's status",
    127: "run, compare: there is no such program",
}
EXAMPLES = {
    "zmalloc report 1234": "where the memory of process 1234 is",
    "zmalloc smaps 1234 Pss Swap": "two fields, summed over its mappings",
    "zmalloc mappings --json 1234": "all its mappings, for another program",
    "zmalloc watch -n 10 1234": "a line every ten seconds, until it ends",
    "zmalloc plot 1234 -c 600 -o memory.png": "a picture of its next ten minutes",
    "zmalloc serve 1234 --port 9709": "the same figures for Prometheus",
    "zmalloc run --allocator jemalloc -- sort big.txt": "where a program's memory is, with another allocator",
    "zmalloc compare --plot rss.png -- sort big.txt": "which allocator is best for it",
    "zmalloc top --sort pss": "this user's processes, from the largest share of memory",
}


# In the order in which they are offered. The first one keeps the system's malloc, and only counts.
ALLOCATORS = ("libc", "jemalloc", "tcmalloc", "mimalloc")

SORT_FIELDS = {"size": "Size", "rss": "Rss", "pss": "Pss", "private_dirty": "Private_Dirty", "swap": "Swap"}
SORT_KEYS = ["address", "path", *SORT_FIELDS]


TOP_KEYS = ["rss", "pss", "private_dirty", "used", "fragmentation", "pid", "name"]


class UsageError(Exception):
    """The command line is wrong: whose command line, and how."""


class Parser(argparse.ArgumentParser):
    """One that leaves error messages to the caller."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(self.prog, message)

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        """A command reports by itself what it doesn't know, so that its own help is named."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        """argparse itself says nothing where the help or the version can't be written."""
        if message:
            (file or sys.stderr).write(message)


def _whole(text: str, least: int, most: int, what: str) -> int:
    """int() itself takes much that looks like no number to others: "1_0", " 1", digits of every script."""
    if not re.fullmatch(r"[0-9]{1,18}", text) or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is no {what}")
    return int(text)


def _pid(text: str) -> int:
    return _whole(text, 1, 10**18, "process number")


def _count(text: str) -> int:
    return _whole(text, 1, 10**9, "count from 1 on")


def _kept(text: str) -> int:
    return _whole(text, 2, 10**5, "count from 2 to 100000")


def _port(text: str) -> int:
    return _whole(text, 0, 65535, "port")


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,7}(\.[0-9]{0,9})?|\.[0-9]{1,9}", text) or not 0.01 <= float(text) <= 10**6:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0.01 to 1000000")
    return float(text)


def _size(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)([kmgt]?)(?:i?b)?", text, re.IGNORECASE)
    size = int(float(found[1]) * 1024 ** " kmgt".index(found[2].lower() or " ")) if found else 0
    if not 1 <= size < 2**62:
        raise argparse.ArgumentTypeError(f"{text!r} is no size, such as 500000, 64M or 1.5G")
    return size


def _options() -> Parser:
    """For another parser to take over."""
    return Parser(add_help=False)


def _pid_options() -> Parser:
    options = _options()
    options.add_argument("pid", metavar="PID", type=_pid, help="the number of the process")
    return options


def _json_options() -> Parser:
    options = _options()
    options.add_argument("--json", action="store_true", help="JSON in place of a table")
    options.add_argument("--bytes", action="store_true", help="exact bytes in place of KiB, MiB and so on")
    return options


def _sampling_options(count: Callable[[str], int], default: int | None, what: str) -> Parser:
    options = _options()
    options.add_argument("-n", "--interval", metavar="SECONDS", type=_seconds, default=1.0,
                         help="from one reading to the next; 1 by default")  # fmt: skip
    options.add_argument("-c", "--count", metavar="COUNT", type=count, default=default, help=what)
    return options


def _program_options(*more: str) -> Parser:
    """What run and compare have alike. All that follows the program's name is the program's."""
    options = _options()
    options.add_argument("--every", metavar="SECONDS", type=_seconds, default=0.1,
                         help="from one reading to the next; 0.1 by default")  # fmt: skip
    options.add_argument("--json", metavar="FILE", help="write all figures and readings there, as JSON")
    options.add_argument("--plot", metavar="FILE",
                         help="draw them over time; the format is the name's end, such as .png")  # fmt: skip
    options.add_argument("words", metavar="PROGRAM", nargs=argparse.REMAINDER,
                         help="the program and its arguments, after --")  # fmt: skip
    return options


class Commands:
    """Adds commands to a parser: each method is one, by its name and in the order of the help."""

    def __init__(self, parser: Parser) -> None:
        # Without prog argparse would format a help to find it out.
        self._commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True,
                                               prog=parser.prog)  # fmt: skip

    def _add(self, name: str, what: str, more: str, *parents: Parser) -> Parser:
        return self._commands.add_parser(name, help=what, description=more, parents=parents, allow_abbrev=False)

    def report(self) -> None:
        report = self._add("report", "report where the memory of a process is",
                           "Reports where the memory of a process is. Without PID it reports this program's, with "
                           "the figures of its allocator.", _json_options())  # fmt: skip
        report.add_argument("pid", metavar="PID", nargs="?", type=_pid, help="the number of the process")

    def smaps(self) -> None:
        smaps = self._add("smaps", "report fields of smaps, summed over the mappings",
                          "Reports fields of /proc/PID/smaps, summed over the mappings of a process.",
                          _pid_options(), _json_options())  # fmt: skip
        what = "the name of a field, such as Pss; without one, all that the kernel sums"
        smaps.add_argument("fields", metavar="FIELD", nargs="*", help=what)

    def mappings(self) -> None:
        mappings = self._add("mappings", "list the mappings",
                             "Lists the mappings of a process, and the sums of all. They are in the order of their "
                             "addresses; with --top alone, from the largest Rss.",
                             _pid_options(), _json_options())  # fmt: skip
        keys = f"{', '.join(SORT_KEYS[:-1])} or {SORT_KEYS[-1]}"
        mappings.add_argument("--sort", metavar="KEY", type=str.lower, choices=SORT_KEYS,
                              help=f"the order: {keys}; sizes from the largest")  # fmt: skip
        mappings.add_argument("--top", metavar="N", type=_count,
                              help="only the first N; the sums are still those of all")  # fmt: skip

    def watch(self) -> None:
        self._add("watch", "repeat the figures of report",
                  "Repeats the figures of report: on a terminal in one table, elsewhere in a line for each reading; "
                  "in JSON, an object for each.", _pid_options(),
                  _sampling_options(_count, None, "how many readings; without it, until the process ends"),
                  _json_options())  # fmt: skip

    def plot(self) -> None:
        plot = self._add("plot", "draw the figures of report over time",
                         "Reads the figures of report for a while, and then draws them over time. Needs matplotlib.",
                         _pid_options(),
                         _sampling_options(_kept, 60, "how many readings; 60 by default"))  # fmt: skip
        plot.add_argument("-o", "--output", metavar="FILE", required=True,
                          help="where the picture goes; its format is the name's end, such as .png")  # fmt: skip

    def serve(self) -> None:
        serve = self._add("serve", "serve the figures of report to Prometheus",
                          "Serves the figures of report over HTTP as OpenMetrics until the process ends. Requests "
                          "within 0.1 seconds share a reading. At most 256 clients are served at a time, and fewer "
                          "where there are not enough descriptors; others wait, and a client that has sent no "
                          "request for a second may have to leave for them. A client has 10 seconds to send its "
                          "request and 10 to read the answer. While the figures can't be read, for want of "
                          "descriptors or memory, the answer is 503. Needs prometheus_client.",
                          _pid_options())  # fmt: skip
        where = "where to listen; 127.0.0.1 unless given, which only this machine can reach"
        serve.add_argument("--address", metavar="ADDRESS", default="127.0.0.1", help=where)
        serve.add_argument("--port", metavar="PORT", type=_port, default=9709,
                           help="the port; 9709 unless given, 0 for any that is free")  # fmt: skip

    def run(self) -> None:
        run = self._add("run", "run a program and report where its memory was",
                        "Runs a program that knows nothing of zmalloc, with its malloc served and counted, and "
                        "reports on standard error where its memory was: the most and the last of each level, what "
                        "was allocated, and what that means. Children are reported by themselves. Without "
                        "--allocator the program keeps the system's malloc, and its calls are only counted. The exit "
                        "status is the program's; if a signal has ended it, the same signal ends this program. 126 "
                        "and 127: the program can't be executed, or there is none.",
                        _program_options())  # fmt: skip
        run.add_argument("--allocator", metavar="NAME", choices=ALLOCATORS, default="libc",
                         help="what serves it: libc, jemalloc, tcmalloc or mimalloc, as far as built")  # fmt: skip
        run.add_argument("--limit", metavar="SIZE", type=_size,
                         help="requests beyond so many bytes in use fail, as on a full machine; in each "
                              "process")  # fmt: skip
        run.add_argument("--soft-limit", metavar="SIZE", type=_size,
                         help="report how often the bytes in use pass this")  # fmt: skip
        run.add_argument("--publish", action="store_true",
                         help="publish the figures meanwhile, for report, watch, plot, serve and top")  # fmt: skip

    def compare(self) -> None:
        compare = self._add("compare", "run a program under several allocators, in turn, and compare",
                            "Runs a program under several allocators, in turn, and prints medians and spreads: time, "
                            "the most RSS of its largest process and of all its processes together, page faults. "
                            "Then it draws RSS over time. What the program reads is empty, and what it writes is "
                            "dropped. A difference is within the noise where the middle halves of the runs overlap. "
                            "The exit status is 1 if the runs ended differently.", _program_options())  # fmt: skip
        compare.add_argument("--allocators", metavar="LIST",
                             help="separated by commas: system, which has nothing preloaded, libc, jemalloc, "
                                  "tcmalloc, mimalloc; without it system and all that were built")  # fmt: skip
        compare.add_argument("--runs", metavar="N", type=_count, default=5, help="runs of each; 5 by default")

    def top(self) -> None:
        top = self._add("top", "list the processes by their memory",
                        "Lists this user's processes by their memory, with sums: on a terminal again and again until "
                        "it is interrupted, elsewhere once. Of a process that publishes its figures also what its "
                        "blocks use, the fragmentation (active - allocated), rss / used, and when it read them; or, "
                        "in one word, why what it publishes is no figure: stale, torn, foreign, forged or "
                        "version.", _json_options())  # fmt: skip
        top.add_argument("-n", "--interval", metavar="SECONDS", type=_seconds, default=2.0,
                         help="from one list to the next; 2 by default")  # fmt: skip
        top.add_argument("-c", "--count", metavar="COUNT", type=_count, help="how many lists")
        top.add_argument("--sort", metavar="KEY", type=str.lower, choices=TOP_KEYS, default="rss",
                         help=f"the order: {', '.join(TOP_KEYS[:-1])} or {TOP_KEYS[-1]}; rss by default")  # fmt: skip
        top.add_argument("--top", metavar="N", type=_count, help="only the first N; the sums are still those of all")
        top.add_argument("--filter", metavar="TEXT", help="only processes whose names contain the text")
        top.add_argument("--published", action="store_true", help="only processes that publish their figures")
        top.add_argument("--all", action="store_true", help="all users' processes, as far as they may be read")

    def completion(self) -> None:
        completion = self._add("completion", "print what completes this command line in a shell",
                               "Prints what completes this command line in a shell: for bash to "
                               "~/.local/share/bash-completion/completions/zmalloc, for zsh to a file _zmalloc in a "
                               "folder of fpath, for fish to ~/.config/fish/completions/zmalloc.fish.")  # fmt: skip
        completion.add_argument("shell", metavar="SHELL", choices=["bash", "zsh", "fish"], help="bash, zsh or fish")

    def manual(self) -> None:
        manual = self._add("manual", "show the manual page",
                           "Shows the manual page: on a terminal by man or a pager, elsewhere as plain "
                           "text.")  # fmt: skip
        manual.add_argument("--source", action="store_true", help="the page's source, which man and groff read")


COMMANDS = tuple(name for name in vars(Commands) if not name.startswith("_"))


def make_parser(version: str, command: str | None = None) -> Parser:
    """The command line: all of it, or as much as one command needs, which takes a third of the time."""
    status = "\n".join(f"  {number}  {meaning}" for number, meaning in STATUS.items())
    parser = Parser(
        prog="zmalloc", description=DESCRIPTION, allow_abbrev=False, epilog=f"exit status:\n{status}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=version, help="print the version and the allocator")
    commands = Commands(parser)
    for name in [command] if command in COMMANDS else COMMANDS:
        getattr(commands, name)()
    return parser
