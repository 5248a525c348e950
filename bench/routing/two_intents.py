"""Two requests in one utterance, joined as MixATIS and MixSNIPS join them (Qin et al., Findings of EMNLP 2020)."""

from __future__ import annotations

import random
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lmos_grpc.clients.live_view import LiveView
from lmos_grpc.domain.instance import Instance, Lease, RegistryUpdate, SnapshotPart
from lmos_grpc.domain.turn import Message, TurnRequest
from lmos_grpc.routing import Router

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.routing.catalogue import Catalogue
    from lmos_grpc.domain.card import AgentCard
    from lmos_grpc.routing import Classifier

_JOINTS = (" and ", ", and also ", ". then ", ", and then ", " and also ")
_PAIRS = 500
_SINGLES = 1_000


@dataclass(frozen=True, slots=True)
class Splits:
    """Shares: of pairs whose two capabilities were both found, and of single requests that were split."""

    both_found: float
    split_by_mistake: float


def split_shares(classifier: Classifier, cards: Sequence[AgentCard], catalogue: Catalogue) -> Splits:
    """What the router makes of joined phrases of two agents, and of phrases that stand alone."""
    chance = random.Random(7)  # noqa: S311 - a draw that can be repeated
    known = [each for each in catalogue.judged if each.capability]
    with closing(Router(_view(cards), classifier)) as router:
        found = pairs = 0
        while pairs < _PAIRS:
            one, other = chance.sample(known, 2)
            if catalogue.agent_of(one.capability) == catalogue.agent_of(other.capability):
                continue
            pairs += 1
            decision = router.decide(_turn(f"{one.text}{chance.choice(_JOINTS)}{other.text}"))
            reached = [each.capability for each in decision.targets]
            found += reached == [one.capability, other.capability]
        alone = chance.sample(known, min(_SINGLES, len(known)))
        split = sum(len(router.decide(_turn(each.text)).targets) > 1 for each in alone)
    return Splits(found / pairs, split / len(alone))


def _view(cards: Sequence[AgentCard]) -> LiveView:
    instances = tuple(Instance(each.name, "127.0.0.1:1", each, Lease(each.name, 1)) for each in cards)
    view = LiveView()
    view.apply(RegistryUpdate(1, "1", SnapshotPart(instances, first=True, last=True)))
    return view


def _turn(text: str) -> TurnRequest:
    return TurnRequest(Message.from_user(text))
