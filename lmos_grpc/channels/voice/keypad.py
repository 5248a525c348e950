"""Collects keys until they are complete."""

from __future__ import annotations

from dataclasses import dataclass, field

from lmos_grpc.domain.live_session import DtmfEnd, DtmfSpec, KeysPressed

KEYS = frozenset("0123456789*#ABCD")
_DEFAULT_PAUSE_SECONDS = 3.0
_MAX_KEYS = 64


@dataclass(slots=True)
class Keypad:
    """The keys of one caller; `now` is in seconds of any steady clock."""

    spec: DtmfSpec = field(default_factory=lambda: DtmfSpec(terminator="#"))
    sensitive: bool = False
    _digits: str = ""
    _due: float = 0.0

    @property
    def collecting(self) -> bool:
        """Whether keys were pressed that are not complete yet."""
        return bool(self._digits)

    def press(self, key: str, now: float) -> KeysPressed | None:
        """Takes a key; gives all keys once it completes them."""
        if key not in KEYS:
            return None
        if key == self.spec.terminator:
            return self._complete(DtmfEnd.TERMINATOR)
        self._digits += key
        pause = self.spec.inter_digit_timeout
        self._due = now + (pause.total_seconds() if pause else _DEFAULT_PAUSE_SECONDS)
        full = self.spec.length or _MAX_KEYS
        return self._complete(DtmfEnd.LENGTH) if len(self._digits) >= full else None

    def overdue(self, now: float) -> KeysPressed | None:
        """Gives the keys where the time for another one ran out."""
        return self._complete(DtmfEnd.TIMEOUT) if self._digits and now >= self._due else None

    def _complete(self, end: DtmfEnd) -> KeysPressed | None:
        pressed = KeysPressed(self._digits, complete=True, end=end, sensitive=self.sensitive)
        self._digits = ""
        return pressed if pressed.digits else None

    def expect(self, spec: DtmfSpec | None, *, sensitive: bool) -> None:
        """What is expected from now on. Keys that were pressed ahead stay."""
        self.spec = spec or DtmfSpec(terminator="#")
        self.sensitive = sensitive
