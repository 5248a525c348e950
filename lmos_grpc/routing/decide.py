"""The router: who gets a turn, decided once, from the turn, the live view and the conversation alone."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos_grpc.domain.conversation import ConversationState
from lmos_grpc.domain.turn import Lane, Role, StrategyKind
from lmos_grpc.errors import InvalidRequestError, MeshStartingError
from lmos_grpc.routing.case import Case
from lmos_grpc.routing.classified import by_ranking, several_intents
from lmos_grpc.routing.continuation import by_answer, reply_to_question, stay_with_last
from lmos_grpc.routing.explicit import by_name
from lmos_grpc.routing.follow_up import after_dismissal
from lmos_grpc.routing.governance import govern
from lmos_grpc.routing.lane import choose_lane
from lmos_grpc.routing.lexical_embedding_classifier import LexicalEmbeddingClassifier
from lmos_grpc.routing.second_opinion import UNSURE, Told, noted, options_of
from lmos_grpc.routing.settings import ExpressLane, RoutingSettings
from lmos_grpc.routing.versions import CardRange

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmos_grpc.clients.live_view import LiveView
    from lmos_grpc.domain.card import AgentCard, AgentKey
    from lmos_grpc.domain.decision import Decision
    from lmos_grpc.domain.turn import TurnRequest
    from lmos_grpc.routing.classifier import Classifier
    from lmos_grpc.routing.governance import Governed
    from lmos_grpc.routing.lane import LaneChoice
    from lmos_grpc.routing.second_opinion import Consultant

_NEW_CONVERSATION = ConversationState()
_UNAVAILABLE = (StrategyKind.QUORUM, StrategyKind.BEST)
_MOST_CONTEXTS = 256


class Router:
    """Decides on turns and runs none. Follows the live view from its making until `close`."""

    def __init__(
        self,
        view: LiveView,
        classifier: Classifier | None = None,
        settings: RoutingSettings | None = None,
        *,
        consultant: Consultant | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._view = view
        self._classifier = classifier or LexicalEmbeddingClassifier()
        self._settings = settings or RoutingSettings()
        self._clock = clock
        self._consultant = consultant
        self._known: dict[AgentKey, tuple[AgentCard, bool]] = {}
        self._governed: dict[tuple[str, str, str], Governed] = {}
        self._unsubscribe = view.subscribe(self._take_in)
        self._take_in(frozenset(view.agents))

    def close(self) -> None:
        """Stops following the live view."""
        self._unsubscribe()

    def decide(self, turn: TurnRequest, state: ConversationState = _NEW_CONVERSATION) -> Decision:
        """Who gets the turn, and the whole story of why; where the caller has to be asked, the options are the
        candidates that are marked as chosen. The lane is left to `lane`.

        Raises:
            MeshStartingError: the registry has not been read yet.
            InvalidRequestError: the strategy is not available.
            UnknownOptionError: `turn.answer` is not about an open question and one of its options.
            LmosError: the agent or capability that was named cannot take the turn (see `named_agents`).
        """
        started = self._clock()
        self._check(turn)
        unseen = self._settings.express is not ExpressLane.OFF
        decision = (
            by_name(self._view, turn) or by_answer(self._view, turn, state, unseen=unseen) or self._by_text(turn, state)
        )
        return replace(
            decision,
            reason=f"{decision.reason}{_notes(turn, decision)}",
            lane=Lane.MANAGED,
            elapsed=timedelta(seconds=self._clock() - started),
        )

    async def consult(
        self, turn: TurnRequest, decision: Decision, state: ConversationState = _NEW_CONVERSATION
    ) -> Decision:
        """The decision, looked at again where nobody was found or several were, if there is whom to ask.

        Costs at most the time limit of the second opinion; what was decided stands where there is none.
        """
        if self._consultant is None or decision.mode not in UNSURE:
            return decision
        started = self._clock()
        case = self._case(turn, state)
        cards = {name: agent.card for name, agent in case.governed.allowed.items()}
        options = options_of(case.rank(case.text).scores, cards)
        told = await self._consultant.ask(case.text, options) if options else ()
        if isinstance(told, str):
            decision = noted(decision, told)
        elif told:
            second = replace(case, classifier=Told(f"{case.classifier.name}, {self._consultant.opinion.name}", told))
            decision = by_ranking(second, second.rank(case.text))
        return replace(decision, elapsed=decision.elapsed + timedelta(seconds=self._clock() - started))

    def lane(self, turn: TurnRequest, decision: Decision, state: ConversationState = _NEW_CONVERSATION) -> LaneChoice:
        """The lane that a turn may take after its decision, and why."""
        agent = self._view.agents.get(decision.targets[0].key) if decision.targets else None
        return choose_lane(turn, decision, state, agent.card if agent else None, self._settings.express)

    def _check(self, turn: TurnRequest) -> None:
        if not self._view.synced:
            raise MeshStartingError(
                "the registry has not been read yet; try again in a second", retry_after=timedelta(seconds=1)
            )
        kind = turn.hint.strategy.kind
        if kind in _UNAVAILABLE:
            raise InvalidRequestError(
                f"the strategy {kind.value} is not available yet; use one, all or first", field="hint.strategy.kind"
            )

    def _case(self, turn: TurnRequest, talked: ConversationState) -> Case:
        text = turn.message.text
        if talked.last_agent or talked.open_question:
            text = after_dismissal(text) or text
        return Case(turn, text, self._govern(turn), self._classifier, self._settings)

    def _by_text(self, turn: TurnRequest, state: ConversationState) -> Decision:
        talked = _talked_before(turn, state)
        case = self._case(turn, talked)
        ranking = case.rank(case.text)
        return (
            (reply_to_question(case, ranking, talked.open_question) if talked.open_question else None)
            or several_intents(case, ranking)
            or stay_with_last(case, ranking, talked)
            or by_ranking(case, ranking)
        )

    def _govern(self, turn: TurnRequest) -> Governed:
        context, wanted = turn.context, turn.hint.version_range
        if wanted or context.visited:
            return govern(self._view.agents.values(), context, CardRange(wanted))
        key = (context.tenant, context.channel, context.wanted_subset)
        found = self._governed.get(key)
        if found is None:
            if len(self._governed) >= _MOST_CONTEXTS:
                self._governed.clear()
            found = self._governed[key] = govern(self._view.agents.values(), context)
        return found

    def _take_in(self, changed: frozenset[AgentKey]) -> None:
        # Renewals that only tell of load change neither card nor readiness, and must not cost the next turn anything.
        cards: dict[AgentKey, AgentCard | None] = {}
        for key in changed:
            agent = self._view.agents.get(key)
            before, after = self._known.pop(key, None), (agent.card, agent.ready) if agent else None
            if after:
                self._known[key] = after
            if before != after:
                self._governed.clear()
            if (before and before[0]) != (after and after[0]):
                cards[key] = after[0] if after else None
        if cards:
            self._classifier.sync(cards)


def _talked_before(turn: TurnRequest, state: ConversationState) -> ConversationState:
    # A turn that was handed over is looked at afresh: what came before brought it to the wrong agent.
    if state.last_agent or state.open_question or turn.context.visited:
        return state
    answered = (each.agent for each in reversed(turn.history) if each.role is Role.AGENT and each.agent)
    return replace(state, last_agent=next(answered, ""))


def _notes(turn: TurnRequest, decision: Decision) -> str:
    wanted = turn.context.wanted_subset
    elsewhere = ", ".join(each.agent for each in decision.targets if each.subset != wanted)
    subset = f"; {elsewhere} has no ready instance of the subset {wanted!r}, so the stable one is used"
    return subset if elsewhere else ""
