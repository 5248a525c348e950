"""The router alone: how long it takes to decide, without any network."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos_grpc.clients.live_view import LiveView
from lmos_grpc.domain.card import AgentCard, Capability
from lmos_grpc.domain.instance import Instance, Lease, RegistryUpdate, SnapshotPart
from lmos_grpc.domain.turn import Message, TurnRequest
from lmos_grpc.routing import Router

if TYPE_CHECKING:
    from collections.abc import Iterator

_SUBJECTS = (
    "invoice",
    "contract",
    "router",
    "television",
    "roaming",
    "delivery",
    "password",
    "number",
    "tariff",
    "fault",
)
_VERBS = ("show", "cancel", "change", "explain", "order", "repair", "send", "block", "move", "renew")
_OBJECTS = (
    "for my mother",
    "of last month",
    "in the office",
    "on holiday",
    "at home",
    "by letter",
    "today",
    "for ever",
)


def decision_times_ms(capabilities: int, decisions: int) -> Iterator[float]:
    """How long each decision on a text took, among so many agents with one capability each."""
    view = LiveView()
    view.apply(RegistryUpdate(1, "1", SnapshotPart(tuple(map(_instance, range(capabilities))), first=True, last=True)))
    with closing(Router(view)) as router:
        router.decide(_turn(0))  # the index is made by the first one
        for number in range(decisions):
            began = time.perf_counter()
            router.decide(_turn(number))
            yield (time.perf_counter() - began) * 1_000


def _instance(number: int) -> Instance:
    name = f"agent-{number}"
    capability = Capability(name, "1.0.0", f"Can {_phrase(number)}.", examples={"en": (_phrase(number),)})
    card = AgentCard(name, "1.0.0", capabilities=(capability,))
    return Instance(name, "127.0.0.1:1", card, Lease(name, 1, timedelta(minutes=5)))


def _turn(number: int) -> TurnRequest:
    return TurnRequest(message=Message.from_user(f"please {_phrase(number)}, number {number}"), conversation_id="c")


def _phrase(number: int) -> str:
    rest, verb = divmod(number, len(_VERBS))
    rest, subject = divmod(rest, len(_SUBJECTS))
    variant, place = divmod(rest, len(_OBJECTS))
    return f"{_VERBS[verb]} the {_SUBJECTS[subject]} {_OBJECTS[place]} {variant or ''}".strip()
