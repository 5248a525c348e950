"""Asterisk's FastAGI, as far as it is needed: variables of a call come in, variables go out.

https://docs.asterisk.org/Configuration/Interfaces/Asterisk-Gateway-Interface-AGI/
"""

from __future__ import annotations

from dataclasses import dataclass, field

_MOST_LINES = 128
_VALUE_LENGTH = 256


@dataclass(slots=True)
class AgiRequest:
    """The head of a request: `agi_name: value` lines, up to an empty one."""

    values: dict[str, str] = field(default_factory=dict)
    complete: bool = False
    _lines: int = 0

    def take(self, line: bytes) -> bool:
        """Takes a line in; False where that is too much."""
        self._lines += 1
        text = line.decode("utf-8", "replace").strip()
        if not text:
            self.complete = True
        name, separator, value = text.partition(":")
        if separator:
            self.values[name.strip()] = value.strip()[:_VALUE_LENGTH]
        return self._lines <= _MOST_LINES

    @property
    def script(self) -> str:
        """What is asked for: the path of the URL."""
        return self.values.get("agi_network_script", "").strip("/")

    @property
    def call_id(self) -> str:
        """The first argument."""
        return self.values.get("agi_arg_1", "").lower()


def set_variable(name: str, value: str) -> bytes:
    """The command that sets a variable of the call; the value cannot leave its quotes or its line."""
    one_line = "".join(char if char.isprintable() else " " for char in value)[:_VALUE_LENGTH]
    quoted = one_line.replace("\\", "\\\\").replace('"', '\\"')
    return f'SET VARIABLE {name} "{quoted}"\n'.encode()
