"""What a customer of contracts means: which contract, and whether it is a fault that bothers them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agents.telco_data.records import Contract

_FAULT = re.compile(
    r"\b(is|was|always|keeps|been|goes) (always |so |too )?(down|slow|dropping|breaking|failing|dead)\b"
    r"|\bdrops? out\b|\boutages?\b|\bfaults?\b|\bno (internet|connection|signal)\b|\bdisconnect"
    r"|\b(does not|doesn't|not|never) work(s|ing)?\b"
    r"|störung|ausfall|fällt .*aus\b|ständig weg|zu langsam|\bgeht nicht\b|funktioniert nicht|bricht .*ab\b"
    r"|kein (internet|netz)\b",
    re.IGNORECASE,
)
_ANYWAY = re.compile(r"\b(anyway|regardless|all the same|trotzdem|dennoch|auf jeden fall)\b", re.IGNORECASE)
_KINDS = {
    "internet": re.compile(
        r"internet|fibre|fiber|broadband|landline|dsl|glasfaser|festnetz|wlan|wi-?fi", re.IGNORECASE
    ),
    "mobile": re.compile(r"mobile|cell|sim\b|phone plan|mobilfunk|handy", re.IGNORECASE),
}


def is_about_fault(text: str) -> bool:
    """Whether something does not work, and the customer does not insist on going on all the same."""
    return bool(_FAULT.search(text)) and not _ANYWAY.search(text)


def kinds_in(text: str) -> frozenset[str]:
    """The kinds of contract that are named: `internet`, `mobile`; both where none is."""
    return frozenset(kind for kind, pattern in _KINDS.items() if pattern.search(text)) or frozenset(_KINDS)


def contracts_meant(text: str, contracts: Sequence[Contract]) -> list[Contract]:
    """The contracts that the text can mean: named by number or tariff, by kind, or all of them."""
    named = [each for each in contracts if each.id in text or each.tariff.name.lower() in text.lower()]
    return named or [each for each in contracts if each.tariff.kind in kinds_in(text)]
