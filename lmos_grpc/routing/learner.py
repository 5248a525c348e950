"""Learns to tell capabilities apart from their phrases alone, one at a time, and again only where something changed."""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np

from lmos_grpc.routing.background import Background
from lmos_grpc.routing.centres import Centres
from lmos_grpc.routing.classifier import Offer
from lmos_grpc.routing.encounter import may_meet
from lmos_grpc.routing.everyday import EVERYDAY
from lmos_grpc.routing.lesson import Lesson, Machine, rough_machine
from lmos_grpc.routing.machine import support
from lmos_grpc.routing.own_curve import own_curve
from lmos_grpc.routing.phrase_set import PhraseSet, phrases_of
from lmos_grpc.routing.rehearsal import rehearse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy.typing as npt

    from lmos_grpc.domain.card import AgentCard, AgentKey
    from lmos_grpc.routing.own_curve import Curve
    from lmos_grpc.routing.rehearsal import Rehearsed
    from lmos_grpc.routing.text_features import Floats, Ids

_MOST_OWN = 300
_MOST_HARD = 200
_NEIGHBOURS = 20
_COST = 0.5
_DESCRIPTION_COST = 0.15  # nobody says what a description says

_REHEARSED_AT_ONCE = 20

_NEW, _NEAR, _FAR = range(3)  # how urgently a machine has to be made again


class Learner:
    """Makes a machine for every offer. A machine depends on the cards that are there and on nothing else.

    An offer learns from its own phrases, from the hardest of its neighbours, and from a sample of all others, so that
    what it costs does not grow with the mesh. Not thread-safe: one thread owns it.
    """

    def __init__(self, embed: Callable[[str], Floats], shipped: Curve) -> None:
        self._embed = embed
        self._shipped = self._curve = shipped
        self._rehearsal: Iterator[Rehearsed] = iter(())
        self._rehearsed: list[Rehearsed] | None = None
        self._cards: dict[AgentKey, AgentCard] = {}
        self._sets: dict[Offer, PhraseSet] = {}
        self._offered_by: dict[Offer, AgentCard] = {}
        self._everyday = PhraseSet.of(tuple(chain.from_iterable(EVERYDAY.values())), embed)
        self._background = Background.of({}, self._everyday)
        self._sampled: list[tuple[AgentCard, Ids]] = []
        self._centres = Centres(len(self._background.columns))
        self._stale: dict[Offer, int] = {}
        self._queue: list[tuple[int, Offer]] = []
        self._neighbours: dict[Offer, tuple[Offer, ...]] = {}
        self._unseen: dict[Offer, npt.NDArray[np.float16]] = {}

    def change(self, changed: Mapping[AgentKey, AgentCard | None]) -> Iterator[Lesson]:
        """Takes in cards and yields a first, rough machine for each new offer, and which offers are gone."""
        touched: set[Offer] = set()
        for key, card in sorted(changed.items(), key=lambda each: each[0].route):
            for offer in Offer.of(self._cards.pop(key)) if key in self._cards else ():
                touched.add(offer)
                self._forget(offer)
                yield Lesson(offer)
            if card is not None:
                self._cards[key] = card
                for offer, capability in zip(Offer.of(card), card.capabilities, strict=True):
                    touched.add(offer)
                    self._offered_by[offer] = card
                    phrases = self._sets[offer] = PhraseSet.of(phrases_of(card, capability), self._embed)
                    self._centres.put(offer, phrases.sketch().mean(axis=0))
                    yield Lesson(offer, phrases, rough_machine(phrases, len(phrases)))
        self._mark_stale(touched)

    def learn(self) -> Lesson | Curve | None:
        """Makes the machine anew that needs it most, then the curve; None where all is as it should be."""
        while self._queue:
            level, offer = heappop(self._queue)
            if self._stale.get(offer) == level:
                del self._stale[offer]
                return Lesson(offer, self._sets[offer], self._machine(offer))
        return None if self._rehearsed is None else self._rehearse(self._rehearsed)

    def _rehearse(self, rehearsed: list[Rehearsed]) -> Curve:
        """One step of the rehearsal; the curve is that of before until all is rehearsed."""
        if not rehearsed:
            self._rehearsal = rehearse(self._sets, self._background, self._unseen, self._shipped.calibration)
        some = list(islice(self._rehearsal, _REHEARSED_AT_ONCE))
        rehearsed += some
        if len(some) < _REHEARSED_AT_ONCE:
            taught = sum(map(len, self._sets.values()))
            self._curve = own_curve(self._shipped.calibration, rehearsed, taught)
            self._rehearsed, self._rehearsal = None, iter(())
        return self._curve

    @property
    def urgent(self) -> bool:
        """Whether something that is new, or near to something new, still has to be learnt."""
        return bool(self._queue) and self._queue[0][0] < _FAR

    def _forget(self, offer: Offer) -> None:
        self._centres.drop(offer)
        self._stale.pop(offer, None)
        self._neighbours.pop(offer, None)
        self._unseen.pop(offer, None)
        del self._sets[offer], self._offered_by[offer]

    def _mark_stale(self, touched: set[Offer]) -> None:
        self._rehearsed = []
        before, self._background = self._background, Background.of(self._sets, self._everyday)
        rows: dict[AgentKey, list[int]] = {}
        for row, (_, origin) in enumerate(self._background.origins):
            if origin is not None:
                rows.setdefault(origin.key, []).append(row)
        self._sampled = [(self._cards[key], np.array(some)) for key, some in rows.items()]
        present = touched & self._sets.keys()
        for offer in present:
            self._mark(offer, _NEW)
        if len(present) < len(self._sets):
            near = {other for offer in present for other in islice(self._centres.nearest(offer), _NEIGHBOURS)}
            for offer, known in self._neighbours.items():
                if offer in near or not touched.isdisjoint(known):
                    self._mark(offer, _NEAR)
            if self._background.signature != before.signature:
                for offer in self._sets:
                    self._mark(offer, _FAR)

    def _mark(self, offer: Offer, level: int) -> None:
        if level < self._stale.get(offer, _FAR + 1):
            self._stale[offer] = level
            heappush(self._queue, (level, offer))

    def _met(self, offer: Offer) -> npt.NDArray[np.bool_]:
        """Which phrases of the sample the offer may meet."""
        met = np.ones(len(self._background.origins), dtype=np.bool_)
        for card, rows in self._sampled:
            met[rows] = may_meet(self._offered_by[offer], card)
        return met

    def _machine(self, offer: Offer) -> Machine:
        every = self._sets[offer]
        own = every.pick(np.sort(np.argsort(every.ranks, kind="stable")[:_MOST_OWN]))
        card = self._offered_by[offer]
        near = (each for each in self._centres.nearest(offer) if may_meet(card, self._offered_by[each]))
        neighbours = self._neighbours[offer] = tuple(islice(near, _NEIGHBOURS))
        hard = self._hardest(every, neighbours)
        known = {*every.phrases, *(hard.phrases if hard else ())}
        far = np.flatnonzero(self._met(offer) & [phrase not in known for phrase, _ in self._background.origins])
        near_set = PhraseSet.joined([own, hard]) if hard else own
        sides = np.concatenate([np.ones(len(own)), np.full(len(near_set) - len(own) + len(far), -1.0)])
        costs = np.full(len(sides), _COST)
        costs[len(near_set) :] *= self._background.weights[far]
        costs[: len(own)][[each == every.phrases[0] for each in own.phrases]] = _DESCRIPTION_COST
        rows = near_set.sketch()
        across = near_set.products(self._background.columns)[:, far]
        among = self._background.kernel.take(far, axis=0).take(far, axis=1)
        kernel = np.block([[rows @ rows.T, across], [across.T, among]])
        shares, unseen = support(kernel, sides.astype(np.float32), costs.astype(np.float32))
        self._unseen[offer] = self._background.said(near_set, far, unseen)
        return self._weights(near_set, far, shares)

    def _hardest(self, own: PhraseSet, neighbours: tuple[Offer, ...]) -> PhraseSet | None:
        if not neighbours:
            return None
        pool = PhraseSet.joined([self._sets[each] for each in neighbours])
        likeness = pool.likeness(*own.mixture(np.full(len(own), 1 / len(own), dtype=np.float32)))
        return pool.pick(np.argsort(-likeness.round(5), kind="stable")[:_MOST_HARD])

    def _weights(self, near: PhraseSet, far: Ids, shares: Floats) -> Machine:
        profile, direction = near.mixture(shares[: len(near)])
        profile_far, direction_far = self._background.phrases.pick(far).mixture(shares[len(near) :])
        return Machine(profile + profile_far, direction + direction_far, float(shares.sum()))
