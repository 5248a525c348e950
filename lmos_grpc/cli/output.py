"""Where a command writes: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.style import StyleType

# What agents and callers say is printed on somebody's terminal: no escape sequence of theirs may reach it.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """The text without control characters and direction overrides; line ends and tabs stay."""
    return _CONTROL.sub("", text)


_WIDTH_OF_A_PIPE = 200


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _WIDTH_OF_A_PIPE  # a reader that is a program wants lines whole
    return console


@dataclass(frozen=True, slots=True)
class Output:
    """The two streams of a command. Colours only on a terminal and without NO_COLOR, which rich sees to."""

    out: Console = field(default_factory=lambda: _console(stderr=False))
    err: Console = field(default_factory=lambda: _console(stderr=True))
    json: bool = False

    def line(self, text: str, style: StyleType = "") -> None:
        """One line of the result, however long."""
        self.out.print(Text(printable(text), style), soft_wrap=True)

    def note(self, text: str, style: StyleType = "dim") -> None:
        """One line beside the result."""
        self.err.print(Text(printable(text), style), soft_wrap=True)

    def error(self, text: str) -> None:
        """One line that says what failed and how to mend it."""
        one_line = " ".join(printable(text).split())
        self.err.print(Text.assemble(("error: ", "bold red"), one_line), soft_wrap=True)

    def json_line(self, value: Mapping[str, Any] | list[Any]) -> None:  # Any: JSON values
        """One line of JSON, flushed, for a script that reads along."""
        self.out.file.write(json.dumps(value, ensure_ascii=False) + "\n")
        self.out.file.flush()
