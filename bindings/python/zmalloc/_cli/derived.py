# SPDX-License-Identifier: BSD-3-Clause
"""What is made of the command line's parser: what there is to write, and the completions for shells.

As the parser it needs nothing else of the package.
"""

from __future__ import annotations

import argparse
import re
import shlex
from dataclasses import dataclass

from .parser import make_parser

# How bash gets what can stand in a place, and zsh, and fish; by what the parser calls the place. Others are free.
SMAPS_FIELDS = r"sed -n 's/^\([A-Z][A-Za-z_]*\): .*kB$/\1/p' /proc/self/smaps 2>/dev/null | sort -u"
PIDS = "ps -A -o pid= 2>/dev/null || (cd /proc && echo [0-9]*)"
BASH = {"PID": f"$({PIDS})", "FIELD": f"$({SMAPS_FIELDS})", "PROGRAM": '$(compgen -c -- "$word")'}
BASH_FILES = "local IFS=$'\\n'; compopt -o filenames; COMPREPLY=($(compgen -f -- \"$word\")); "
ZSH = {"PID": "_zmalloc_pids", "FIELD": "_zmalloc_fields", "FILE": "_files", "PROGRAM": "_command_names -e"}
FISH = {"PID": "(__fish_complete_pids)", "FIELD": f"({SMAPS_FIELDS})", "PROGRAM": "(__fish_complete_command)"}


HELP = ("-h", "--help")


@dataclass(frozen=True)
class Option:
    """An option: its names, what its value is called if it takes one, and what it is for."""

    names: tuple[str, ...]
    value: str | None
    help: str
    required: bool
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """An argument without a name."""

    value: str
    help: str
    optional: bool
    repeated: bool
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Command:
    """A command, or the program before any."""

    name: str
    help: str
    description: str
    options: list[Option]
    places: list[Place]

    def synopsis(self) -> str:
        """The ways to write it."""
        words = [self.name]
        for option in self.options:
            word = f"{option.names[0]} {option.value}" if option.value else option.names[0]
            if option.names != HELP:
                words.append(word if option.required else f"[{word}]")
        for place in self.places:
            word = f"{place.value} ..." if place.repeated else place.value
            words.append(f"[{word}]" if place.optional else word)
        return " ".join(words)

    def with_value(self) -> list[str]:
        """The options that take one."""
        return [name for option in self.options if option.value for name in option.names]


def _command(name: str, what: str, parser: argparse.ArgumentParser) -> Command:
    options, places = [], []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            continue
        value = str(action.metavar) if action.nargs != 0 else None
        choices = tuple(action.choices or ())
        if action.option_strings:
            options.append(Option(tuple(action.option_strings), value, action.help or "", action.required, choices))
        else:
            optional = action.nargs in ("?", "*")
            repeated = action.nargs in ("*", argparse.REMAINDER)
            places.append(Place(str(value), action.help or "", optional, repeated, choices))
    return Command(name, what, parser.description or "", options, places)


def commands() -> tuple[Command, list[Command]]:
    """The program, and its commands."""
    parser = make_parser("")
    [subparsers] = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    helps = {choice.dest: choice.help or "" for choice in subparsers._choices_actions}
    listed = [_command(name, helps[name], each) for name, each in subparsers.choices.items()]
    return _command(parser.prog, "", parser), listed


def _names(command: Command) -> list[str]:
    return [name for option in command.options for name in option.names]


def bash() -> str:
    """For bash: which command, which place of it, and what can stand there."""
    program, listed = commands()
    first = " ".join([*(command.name for command in listed), *_names(program)])
    lines = [
        "# bash completion for zmalloc; generated from its parser",
        "_zmalloc() {",
        "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command= place=0 words= i",
        "    COMPREPLY=()",
        "    for ((i = 1; i < COMP_CWORD; i++)); do",
        "        case $command:${COMP_WORDS[i]} in",
    ]
    lines += [f"        {command.name}:{name}) ((i++)) ;;" for command in listed for name in command.with_value()]
    lines += [
        "        *:-*) ;;",
        "        :*) command=${COMP_WORDS[i]} ;;",
        "        *) ((place++)) ;;",
        "        esac",
        "    done",
        "    case $command:$before in",
    ]
    for command in listed:
        for option in command.options:
            for name in option.names if option.value else ():
                choices = " ".join(option.choices)
                words = f'COMPREPLY=($(compgen -W "{choices}" -- "$word")); ' if choices else ""
                words = BASH_FILES if option.value == "FILE" else words
                lines.append(f"    {command.name}:{name}) {words}return ;;")
    lines += ["    esac", "    case $command:$word:$place in", f'    :*) words="{first}" ;;']
    for command in listed:
        lines.append(f'    {command.name}:-*) words="{" ".join(_names(command))}" ;;')
        for number, place in enumerate(command.places):
            words = " ".join(place.choices) or BASH[place.value]
            lines.append(f'    {command.name}:*:{"*" if place.repeated else number}) words="{words}" ;;')
    lines += ["    *) return ;;", "    esac", '    COMPREPLY=($(compgen -W "$words" -- "$word"))', "}"]
    lines += ["complete -F _zmalloc zmalloc", ""]
    return "\n".join(lines)


def _zsh_text(text: str) -> str:
    return re.sub(r"([\[\]:\\])", r"\\\1", text)


def _zsh_option(option: Option) -> str:
    what = f"({' '.join(option.choices)})" if option.choices else ZSH.get(option.value or "", " ")
    value = f":{option.value}:{what}" if option.value else ""
    return " ".join(shlex.quote(f"{name}[{_zsh_text(option.help)}]{value}") for name in option.names)


def _zsh_place(number: int, place: Place) -> str:
    what = f"({' '.join(place.choices)})" if place.choices else ZSH[place.value]
    where = "*" if place.repeated else f"{number}:" if place.optional else str(number)
    return shlex.quote(f"{where}:{place.value}:{what}")


def zsh() -> str:
    """For zsh, by its function _arguments."""
    program, listed = commands()
    options = " ".join(map(_zsh_option, program.options))
    lines = [
        "#compdef zmalloc",
        "# generated from the parser of zmalloc",
        "_zmalloc_pids() {",
        f"    compadd -- {BASH['PID']}",
        "}",
        "_zmalloc_fields() {",
        f'    compadd -- ${{(f)"$({SMAPS_FIELDS})"}}',
        "}",
        "_zmalloc() {",
        "    local state line",
        f"    _arguments -C {options} '1:command:->command' '*::argument:->argument'",
        "    case $state in",
        "    command)",
        "        local -a commands=(",
    ]
    lines += [f"            {shlex.quote(f'{command.name}:{command.help}')}" for command in listed]
    lines += ["        )", "        _describe command commands ;;", "    argument)", "        case $words[1] in"]
    for command in listed:
        specs = [*map(_zsh_option, command.options)]
        specs += [_zsh_place(number, place) for number, place in enumerate(command.places, 1)]
        lines.append(f"        {command.name}) _arguments {' '.join(specs)} ;;")
    lines += ["        esac ;;", "    esac", "}"]
    lines += ['if [[ $funcstack[1] = _zmalloc ]]; then _zmalloc "$@"; else compdef _zmalloc zmalloc; fi', ""]
    return "\n".join(lines)


def _fish_text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _fish_options(condition: str, options: list[Option]) -> list[str]:
    lines = []
    for option in options:
        names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
        value = "" if not option.value else " -r -F" if option.value == "FILE" else " -x"
        value += f" -a {_fish_text(' '.join(option.choices))}" if option.choices else ""
        lines.append(f"complete -c zmalloc -n {_fish_text(condition)} {names}{value} -d {_fish_text(option.help)}")
    return lines


def fish() -> str:
    """For fish."""
    program, listed = commands()
    lines = ["# fish completion for zmalloc; generated from its parser", "complete -c zmalloc -f"]
    lines += _fish_options("__fish_use_subcommand", program.options)
    for command in listed:
        lines.append(
            f"complete -c zmalloc -n __fish_use_subcommand -a {command.name} -d {_fish_text(command.help)}"
        )
    for command in listed:
        seen = f"__fish_seen_subcommand_from {command.name}"
        for place in command.places:
            words = " ".join(place.choices) or FISH[place.value]
            lines.append(f"complete -c zmalloc -n {_fish_text(seen)} -a {_fish_text(words)} -d {place.value}")
        lines += _fish_options(seen, command.options)
    return "\n".join([*lines, ""])


COMPLETIONS = {"bash": bash, "zsh": zsh, "fish": fish}
