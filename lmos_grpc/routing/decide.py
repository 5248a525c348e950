"""The router: who gets a turn, decided once, from the turn, the live view and the conversation alone."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos_grpc.domain.conversation import ConversationState
from lmos_grpc.domain.rules import Rules
from lmos_grpc.domain.turn import Lane, Role
from lmos_grpc.errors import MeshStartingError
from lmos_grpc.routing.case import Case
from lmos_grpc.routing.classified import by_ranking, several_intents
from lmos_grpc.routing.continuation import by_answer, reply_to_asker, reply_to_question, stay_with_last
from lmos_grpc.routing.eligibility import Eligibility
from lmos_grpc.routing.explicit import Roll, by_name
from lmos_grpc.routing.follow_up import after_dismissal
from lmos_grpc.routing.lane import LaneChoice, choose_lane, choose_session_lane
from lmos_grpc.routing.lexical_embedding_classifier import LexicalEmbeddingClassifier
from lmos_grpc.routing.permission import permitted
from lmos_grpc.routing.second_opinion import UNSURE, Told, noted, options_of
from lmos_grpc.routing.settings import ExpressLane, RoutingSettings
from lmos_grpc.routing.terms import terms_of
from lmos_grpc.routing.why_not import Inquiry

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmos_grpc.clients.live_view import LiveView
    from lmos_grpc.domain.card import AgentCard, AgentKey
    from lmos_grpc.domain.decision import Candidate, Decision
    from lmos_grpc.domain.turn import TurnRequest
    from lmos_grpc.routing.classifier import Classifier
    from lmos_grpc.routing.second_opinion import Consultant
    from lmos_grpc.routing.terms import Terms

_NEW_CONVERSATION = ConversationState()


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
        self._rules = Rules()
        self._eligibility = Eligibility(view)
        self._unsubscribe = view.subscribe(self._take_in)
        self._take_in(frozenset(view.agents))

    def use(self, rules: Rules) -> None:
        """Puts other rules in force, all of them at once: a decision is made by the old ones or by the new ones."""
        before, self._rules = self._rules, rules
        self._eligibility.forget()
        dressed = {key: (before.dressed(card), rules.dressed(card)) for key, (card, _) in self._known.items()}
        changed = {key: after for key, (former, after) in dressed.items() if former != after}
        if changed:
            self._classifier.sync(changed)

    def close(self) -> None:
        """Stops following the live view."""
        self._unsubscribe()

    def decide(self, turn: TurnRequest, state: ConversationState = _NEW_CONVERSATION) -> Decision:
        """Who gets the turn, and the whole story of why; where the caller has to be asked, the options are the
        candidates that are marked as chosen. The lane is left to `lane`.

        Raises:
            MeshStartingError: the registry has not been read yet.
            TenantNotAllowedError: there is no such tenant.
            ChannelNotAllowedError: the tenant has no such channel.
            ChannelUnresolvedError: the channel is strict, and something that it requires is not there.
            HandoverLimitError: the turn comes from another agent, and the channel lets none give turns on.
            UnknownOptionError: `turn.answer` is not about an open question and one of its options.
            LmosError: the agent or capability that was named cannot take the turn (see `named_agents`).
        """
        started = self._clock()
        self._check_synced()
        terms = self.terms(turn)
        terms.check_handover()
        turn = terms.applied_to(turn)
        return self._whole(self._decided(turn, state, terms), turn, terms, started)

    def _whole(self, decided: Decision, turn: TurnRequest, terms: Terms, started: float) -> Decision:
        decision = permitted(decided, turn, terms, self._view, self._classifier)
        return replace(
            decision,
            reason=f"{decision.reason}{_notes(terms, decision)}",
            lane=Lane.MANAGED,
            governance=self._eligibility.governed(terms).story,
            abstention=terms.abstention(turn.user.locale),
            locale=turn.user.locale,
            elapsed=timedelta(seconds=self._clock() - started),
        )

    async def consult(
        self, turn: TurnRequest, decision: Decision, state: ConversationState = _NEW_CONVERSATION
    ) -> Decision:
        """The decision, looked at again where nobody was found or several were, if there is whom to ask.

        Costs at most the time limit of the second opinion; what was decided stands where there is none.
        """
        if self._consultant is None or decision.mode not in UNSURE or not decision.classifier:
            return decision
        started = self._clock()
        terms = self.terms(turn)
        turn = terms.applied_to(turn)
        case = self._case(turn, _talked_before(turn, state), terms)
        cards = {name: agent.card for name, agent in case.governed.allowed.items()}
        told = await self._consultant.ask(case.text, options_of(case.rank(case.text).scores, cards))
        if isinstance(told, str):
            return noted(decision, told)
        second = replace(case, classifier=Told(f"{case.classifier.name}, {self._consultant.opinion.name}", told))
        decided = by_ranking(second, second.rank(case.text))
        return self._whole(decided, turn, terms, started - decision.elapsed.total_seconds())

    def terms(self, turn: TurnRequest) -> Terms:
        """Whose rules apply to the turn.

        Raises:
            TenantNotAllowedError: there is no such tenant.
            ChannelNotAllowedError: the tenant has no such channel.
        """
        return terms_of(self._rules, turn.context, turn.conversation_id)

    def durable(self, turn: TurnRequest) -> bool | None:
        """Whether an event of the turn is to be on disk before it is shown; None: as the mesh does it.

        Raises:
            TenantNotAllowedError: there is no such tenant.
            ChannelNotAllowedError: the tenant has no such channel.
        """
        return self.terms(turn).durable

    def why_not(self, turn: TurnRequest, agent: str, decision: Decision | None, /) -> tuple[Candidate, ...]:
        """All that keeps an agent from the turn; `decision` is that on the turn, None where it can go to nobody.

        Raises:
            TenantNotAllowedError: there is no such tenant.
            ChannelNotAllowedError: the tenant has no such channel.
        """
        terms = self.terms(turn)
        settings = terms.settings(self._settings)
        turn = terms.applied_to(turn)
        return Inquiry(turn, terms, self._view, self._classifier, settings, decision).about(agent)

    def lane(self, turn: TurnRequest, decision: Decision, state: ConversationState = _NEW_CONVERSATION) -> LaneChoice:
        """The lane that a turn may take after its decision, and why."""
        terms = self.terms(turn)
        if reason := terms.keeps_managed(turn):
            return LaneChoice(Lane.MANAGED, reason)
        wanted = terms.lane_of(turn)
        if self._settings.express is not ExpressLane.OFF and wanted is not turn.hint.lane:
            turn = replace(turn, hint=replace(turn.hint, lane=wanted))
        agent = self._view.agents.get(decision.targets[0].key) if decision.targets else None
        return choose_lane(turn, decision, state, agent.card if agent else None, self._settings.express)

    def session_lane(self, turn: TurnRequest, decision: Decision) -> LaneChoice:
        """The lane that a whole live session may take after the decision for whom it is, and why."""
        terms = self.terms(turn)
        reason = terms.keeps_managed(turn)
        if reason or terms.lane_of(turn) is Lane.MANAGED:
            return LaneChoice(Lane.MANAGED, reason or "the channel wants it")
        agent = self._view.agents.get(decision.targets[0].key) if decision.targets else None
        return choose_session_lane(decision, agent.card if agent else None, self._settings.express)

    def _decided(self, turn: TurnRequest, state: ConversationState, terms: Terms) -> Decision:
        roll = Roll(self._view, self._eligibility, terms)
        unseen = self._settings.express is not ExpressLane.OFF
        if named := by_name(roll, turn):
            return named if turn.answer else reply_to_asker(named, turn, state)
        return by_answer(roll, turn, state, unseen=unseen) or self._by_text(turn, state, terms)

    def _check_synced(self) -> None:
        if not self._view.synced:
            raise MeshStartingError(
                "the registry has not been read yet; try again in a second", retry_after=timedelta(seconds=1)
            )

    def _case(self, turn: TurnRequest, talked: ConversationState, terms: Terms) -> Case:
        text = turn.message.text
        if talked.last_agent or talked.open_question:
            text = after_dismissal(text) or text
        governed = self._eligibility.governed(terms, version_range=turn.hint.version_range)
        return Case(turn, text, governed, self._classifier, terms.settings(self._settings))

    def _by_text(self, turn: TurnRequest, state: ConversationState, terms: Terms) -> Decision:
        talked = _talked_before(turn, state)
        case = self._case(turn, talked, terms)
        ranking = case.rank(case.text)
        return (
            (reply_to_question(case, ranking, talked.open_question) if talked.open_question else None)
            or several_intents(case, ranking)
            or stay_with_last(case, ranking, talked)
            or by_ranking(case, ranking)
        )

    def _take_in(self, changed: frozenset[AgentKey]) -> None:
        # Renewals that only tell of load change neither card nor readiness, and must not cost the next turn anything.
        cards: dict[AgentKey, AgentCard | None] = {}
        for key in changed:
            agent = self._view.agents.get(key)
            before, after = self._known.pop(key, None), (agent.card, agent.ready) if agent else None
            if after:
                self._known[key] = after
            if before != after:
                self._eligibility.forget()
            if (before and before[0]) != (after and after[0]):
                cards[key] = self._rules.dressed(after[0]) if after else None
        if cards:
            self._classifier.sync(cards)


def _talked_before(turn: TurnRequest, state: ConversationState) -> ConversationState:
    # A turn that was handed over is looked at afresh: what came before brought it to the wrong agent.
    if state.last_agent or state.open_question or turn.context.visited:
        return state
    answered = (each.agent for each in reversed(turn.history) if each.role is Role.AGENT and each.agent)
    return replace(state, last_agent=next(answered, ""))


def _notes(terms: Terms, decision: Decision) -> str:
    wanted = terms.context.subset  # where the mesh drew the subset, most agents have no canary, and need none
    elsewhere = ", ".join(each.agent for each in decision.targets if wanted and each.subset != terms.subset)
    subset = f"; {elsewhere} has no ready instance of the subset {wanted!r}, so the stable one is used"
    return f"{terms.note}{subset if elsewhere else ''}"
