"""What the router answers for a turn on the express lane: where it goes, and why, for those who look at it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote

from lmos_grpc.express.wire import write_answer, write_headers
from lmos_grpc.rpc.metadata import CONVERSATION_HEADER, express_headers, header_safe

if TYPE_CHECKING:
    from lmos_grpc.domain.decision import Decision, Target

# Envoy puts these into the trace and into what the caller is told (envoy/express.yaml); the agent does not get them.
MODE_HEADER = "lmos-mode"
SCORE_HEADER = "lmos-score"
WHY_HEADER = "lmos-why"
_MOST_REMEMBERED = 4_096
_LONGEST_WHY = 500
_READABLE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")


def answer_for(target: Target, conversation_id: str, decision: Decision | None = None) -> bytes:
    """The answer that sends a turn to `target`; without a decision the turn came before, and goes where it went."""
    why = _why(decision) if decision else b""
    conversation = {CONVERSATION_HEADER: header_safe(conversation_id)} if conversation_id else {}
    return write_answer(_to(target), write_headers(conversation), why)


@lru_cache(_MOST_REMEMBERED)
def _to(target: Target) -> bytes:
    return write_headers({name: header_safe(value) for name, value in express_headers(target).items()})


def _why(decision: Decision) -> bytes:
    told = {MODE_HEADER: decision.mode.value, WHY_HEADER: quote(decision.reason[:_LONGEST_WHY], safe=_READABLE)}
    if decision.candidates and decision.candidates[0].score:
        told[SCORE_HEADER] = f"{decision.candidates[0].score:.3f}"
    return write_headers(told)
