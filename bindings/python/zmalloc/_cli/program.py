# SPDX-License-Identifier: BSD-3-Clause
"""The program: reads the command line, has the command carried out, and ends with its status."""

from __future__ import annotations

import os
import signal
import sys

import zmalloc

from .commands import carry_out
from .failure import OK, PARTIAL, USAGE, Failure, complain, give_up, reason
from .parser import UsageError, make_parser


def run(arguments: list[str] | None) -> int:
    """Does what the command line says, as it is written."""
    if sys.stdout is None:
        raise Failure(PARTIAL, "standard output is closed")
    try:
        words = sys.argv[1:] if arguments is None else arguments
        version = f"zmalloc {zmalloc.__version__} ({zmalloc.allocator})"
        options = make_parser(version, words[0] if words else None).parse_args(words)
        status = carry_out(options)
    except SystemExit:  # argparse has printed the help, or the version
        status = OK
    sys.stdout.flush()
    return status


def end_by(number: signal.Signals) -> int:
    """Ends this process by the signal, as whoever started it expects."""
    signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
    os.kill(os.getpid(), number)
    return 128 + number


def main(arguments: list[str] | None = None) -> int:
    """The program; its exit status."""
    try:
        return run(arguments)
    except UsageError as error:
        command, said = error.args
        complain(f"{': '.join([*command.split()[1:], said])} (see {command} --help)")
        return USAGE
    except Failure as failure:
        complain(str(failure))
        return failure.status
    except MemoryError:
        complain("out of memory")
        return PARTIAL
    except KeyboardInterrupt:
        return end_by(signal.SIGINT)
    except BrokenPipeError:
        return end_by(signal.SIGPIPE)
    except OSError as error:
        complain(f"standard output: {reason(error)}")
        give_up(sys.stdout)
        return PARTIAL
