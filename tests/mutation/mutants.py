# SPDX-License-Identifier: BSD-3-Clause
"""Small changes to C sources, each of which a test ought to notice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TOKEN = re.compile(
    r"""
    (?P<passed>/\*.*?\*/|//[^\n]*|^[ \t]*\#(?:[^\n]*\\\n)*[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\s+)
  | (?P<word>[A-Za-z_]\w*)
  | (?P<number>(?:0x[0-9a-fA-F]+|\d+(?:\.\d+)?)[uUlL]*)
  | (?P<sign><<=|>>=|\.\.\.|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|.)
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)

# A function begins at a line's start, where nothing but functions and their like have brackets.
FUNCTION = re.compile(r"^(?:__attribute__\(\(.*?\)\) )?\w[^;={]*?(\w+)\([^;]*?\)\n\{", re.MULTILINE)

# These have blanks on both sides only as operators of two operands: clang-format sees to that.
SIGNS = {
    "<": ["<=", ">="], "<=": ["<", ">"], ">": [">=", "<="], ">=": [">", "<"], "==": ["!="], "!=": ["=="],
    "&&": ["||"], "||": ["&&"],
    "+": ["-"], "-": ["+"], "*": ["/"], "/": ["*"], "%": ["*"], "&": ["|"], "|": ["&"], "<<": [">>"], ">>": ["<<"],
    "+=": ["-=", "="], "-=": ["+=", "="],
}  # fmt: skip
STEPS = {"++": "--", "--": "++"}
WORDS = {"true": "false", "false": "true"}
CONDITIONS = {"if", "while"}
NO_STATEMENTS = {"return", "if", "while", "for", "do", "else", "switch", "case", "default", "static", "const",
                 "struct", "enum", "extern", "typedef", "void"}  # fmt: skip
CONSTANTS = {"0", "NULL", "true", "false"}


@dataclass(frozen=True)
class Token:
    kind: str
    text: str
    begin: int
    end: int


@dataclass(frozen=True)
class Mutant:
    """The text between two places of a file, replaced."""

    file: str
    function: str  # or "", outside of all
    line: int
    begin: int
    end: int
    new: str
    before: str  # the lines that are touched, blanks made one
    after: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is known by in equivalents.txt."""
        return (f"{self.file}, {self.function}" if self.function else self.file, self.before, self.after)

    def apply(self, text: str) -> str:
        return text[: self.begin] + self.new + text[self.end :]


def tokens_of(text: str) -> list[Token]:
    """What there is to change: without comments, strings, characters, the preprocessor's lines and blanks."""
    found = TOKEN.finditer(text)
    return [Token(str(m.lastgroup), m.group(), m.start(), m.end()) for m in found if m.lastgroup != "passed"]


def closing(tokens: list[Token], opening: int) -> int:
    """The index of the bracket that closes this one."""
    depth = 0
    for i in range(opening, len(tokens)):
        depth += (tokens[i].text in "([{") - (tokens[i].text in ")]}")
        if depth == 0:
            return i
    raise ValueError("brackets are not closed")


def end_of_statement(tokens: list[Token], first: int) -> int | None:
    """The index of its semicolon; nothing if a block comes before that."""
    i = first
    while tokens[i].text not in ";{}":
        i = closing(tokens, i) + 1 if tokens[i].text in "([" else i + 1
    return i if tokens[i].text == ";" else None


def is_declaration(tokens: list[Token]) -> bool:
    """Two words that follow each other, or with a star between them: a type and a name."""
    kinds = [token.kind for token in tokens[:3]]
    return kinds[1:2] == ["word"] or (kinds == ["word", "sign", "word"] and tokens[1].text == "*")


def changes_of_numbers(text: str) -> list[str]:
    digits = text.rstrip("uUlL")
    if "." in digits:
        return []
    value = int(digits, 0)
    suffix = text[len(digits) :]
    return [f"{n}{suffix}" for n in (value + 1, value - 1) if n >= 0]


def changes_in(text: str) -> Iterator[tuple[int, int, str]]:
    """Every change: from where, to where, and the text instead."""
    tokens = tokens_of(text)
    braces = round_ones = 0
    for i, token in enumerate(tokens):
        braces += (token.text == "{") - (token.text == "}")
        round_ones += (token.text == "(") - (token.text == ")")
        between_blanks = text[token.begin - 1 : token.begin].isspace() and text[token.end : token.end + 1].isspace()
        if token.text in SIGNS and between_blanks:
            for sign in SIGNS[token.text]:
                yield token.begin, token.end, sign
        elif token.text in STEPS:
            yield token.begin, token.end, STEPS[token.text]
        elif token.text == "!":
            yield token.begin, token.end, ""
        elif token.kind == "number":
            for number in changes_of_numbers(token.text):
                yield token.begin, token.end, number
        elif token.text in WORDS:
            yield token.begin, token.end, WORDS[token.text]
        elif token.text in CONDITIONS:
            close = closing(tokens, i + 1)
            yield tokens[i + 1].begin, tokens[close].end, f"(!{text[tokens[i + 1].begin : tokens[close].end]})"
        elif token.text == "return" and tokens[i + 1].text not in {";", "{"} | CONSTANTS:
            end = end_of_statement(tokens, i)
            if end is not None:
                yield tokens[i + 1].begin, tokens[end].begin, "0"
        begins = braces > 0 and round_ones == 0 and tokens[i - 1].text in {";", "{", "}"}
        if begins and token.text not in NO_STATEMENTS | {"}", "{", ";", "."}:
            end = end_of_statement(tokens, i)
            if end is not None and not is_declaration(tokens[i:end]):
                yield token.begin, tokens[end].begin, ""


def one_blank(text: str) -> str:
    return " ".join(text.split())


def mutants_of(root: Path, file: str) -> list[Mutant]:
    text = (root / file).read_text()
    functions = [(at.start(), text.index("\n}", at.start()), at.group(1)) for at in FUNCTION.finditer(text)]
    found = []
    for begin, end, new in changes_in(text):
        first = text.rfind("\n", 0, begin) + 1
        last = text.find("\n", end)
        after = text[first:begin] + new + text[end:last]
        line = text.count("\n", 0, begin) + 1
        function = next((name for start, stop, name in functions if start <= begin < stop), "")
        before = text[first:last]
        found.append(Mutant(file, function, line, begin, end, new, one_blank(before), one_blank(after)))
    return found


def read_equivalents(path: Path) -> dict[tuple[str, str, str], str]:
    """What was judged by hand: (place, line, changed line) and the reason why no test can tell them apart.

    A paragraph each: the file and with a comma the function, "- " and the line, "+ " and what it may be changed to
    (once or more), the reason. What begins with two blanks goes on from the line before.
    """
    found = {}
    for paragraph in path.read_text().replace("\n  ", " ").split("\n\n"):
        lines = [line for line in paragraph.strip().split("\n") if not line.startswith("#")]
        if lines in ([], [""]):
            continue
        befores = [line[2:] for line in lines if line.startswith("- ")]
        afters = [line[2:] for line in lines if line.startswith("+ ")]
        reason = " ".join(line for line in lines[1:] if line[:2] not in ("- ", "+ "))
        if len(befores) != 1 or not afters or not reason:
            raise ValueError(f"{path}: not a file, a line, its changes and a reason:\n{paragraph}")
        found.update({(lines[0], befores[0], after): reason for after in afters})
    return found


def stale(root: Path, equivalents: dict[tuple[str, str, str], str]) -> list[tuple[str, str, str]]:
    """Those that are not among the changes to the sources any more."""
    files = {place.split(",")[0] for place, _, _ in equivalents}
    possible = {mutant.key for file in files if (root / file).exists() for mutant in mutants_of(root, file)}
    return [key for key in equivalents if key not in possible]
