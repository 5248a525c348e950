"""`python -m bench.routing.two_intents DATA`: two requests in one utterance, by what is said between them."""

from __future__ import annotations

import random
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.routing.catalogue import read_catalogues
from bench.table import Table
from lmos_grpc.clients.live_view import LiveView
from lmos_grpc.domain.instance import Instance, Lease, RegistryUpdate, SnapshotPart
from lmos_grpc.domain.turn import Message, TurnRequest
from lmos_grpc.routing import LexicalEmbeddingClassifier, Offer, Router

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bench.routing.catalogue import Catalogue, Labelled
    from lmos_grpc.domain.card import AgentCard
    from lmos_grpc.routing import Classifier

    _Pair = tuple[Labelled, str, Labelled]

# As MixATIS and MixSNIPS join them (Qin et al., Findings of EMNLP 2020), one of these is drawn for each pair.
_USUAL = (" and ", ", and also ", ". then ", ", and then ", " and also ")
# And all pairs are joined by each of these; 'on another note' is one that the router does not know.
_OTHERS = (
    *(" and ", ". ", "; then ", " oh and ", " by the way ", " after that ", " but first ", " und "),
    *(" on another note ", ", ", " "),
)
_COUNTS = (10, 100)
_PAIRS = 500
_SINGLES = 1_000


@dataclass(frozen=True, slots=True)
class Splits:
    """Shares: of pairs whose two capabilities were both found, with the usual joints and by joint; of pairs of which
    both come first in the ranking when they stand alone, which is the most that can be; of single requests split.
    """

    both_found: float
    by_joint: Mapping[str, float]
    both_first_alone: float
    split_by_mistake: float


def split_shares(classifier: Classifier, cards: Sequence[AgentCard], catalogue: Catalogue) -> Splits:
    """What the router makes of joined phrases of two agents, and of phrases that stand alone."""
    chance = random.Random(7)  # noqa: S311 - a draw that can be repeated
    known = [each for each in catalogue.judged if each.capability]
    pairs = _pairs(known, catalogue, chance)
    alone = chance.sample(known, min(_SINGLES, len(known)))
    offers = frozenset(offer for card in cards for offer in Offer.of(card))
    with closing(Router(_view(cards), classifier)) as router:

        def reached(text: str) -> list[str]:
            return [each.capability for each in router.decide(TurnRequest(Message.from_user(text))).targets]

        def first(each: Labelled) -> bool:
            return classifier.rank(each.text, "", offers)[0].offer.capability == each.capability

        return Splits(
            _both_found(pairs, reached),
            {joint: _both_found(((one, joint, other) for one, _, other in pairs), reached) for joint in _OTHERS},
            sum(first(one) and first(other) for one, _, other in pairs) / len(pairs),
            sum(len(reached(each.text)) > 1 for each in alone) / len(alone),
        )


def splits_table(found: Mapping[str, Splits]) -> Table:
    """The shares as a table with a column for each name."""
    rows = [("both found, usual joints", [each.both_found for each in found.values()])]
    for joint in _OTHERS:
        said = f"joined by '{joint.strip()}'" if joint.strip() else "joined by nothing"
        rows.append((said, [each.by_joint[joint] for each in found.values()]))
    rows.append(("the most that can be: both first alone", [each.both_first_alone for each in found.values()]))
    rows.append(("single ones split by mistake", [each.split_by_mistake for each in found.values()]))
    cells = tuple((name, *(f"{value:.3f}" for value in values)) for name, values in rows)
    return Table("Two requests in one utterance", ("share", *found), cells)


def _pairs(
    known: Sequence[Labelled], catalogue: Catalogue, chance: random.Random
) -> list[tuple[Labelled, str, Labelled]]:
    pairs: list[tuple[Labelled, str, Labelled]] = []
    while len(pairs) < _PAIRS:
        one, other = chance.sample(known, 2)
        if catalogue.agent_of(one.capability) != catalogue.agent_of(other.capability):
            pairs.append((one, chance.choice(_USUAL), other))
    return pairs


def _both_found(pairs: Iterable[_Pair], reached: Callable[[str], list[str]]) -> float:
    found = [reached(f"{one.text}{joint}{two.text}") == [one.capability, two.capability] for one, joint, two in pairs]
    return sum(found) / len(found)


def _view(cards: Sequence[AgentCard]) -> LiveView:
    instances = tuple(Instance(each.name, "127.0.0.1:1", each, Lease(each.name, 1)) for each in cards)
    view = LiveView()
    view.apply(RegistryUpdate(1, "1", SnapshotPart(instances, first=True, last=True)))
    return view


def _main(folder: Path) -> None:
    catalogue = read_catalogues(folder)["CLINC150, 10 agents"]
    found = {
        f"{count} examples": split_shares(LexicalEmbeddingClassifier(), catalogue.cards(count), catalogue)
        for count in _COUNTS
    }
    sys.stdout.write(f"{splits_table(found)}\n")


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
