"""What a ranking leads to: one agent, several, a question back, the fallback, or nobody."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lmos_grpc.domain.decision import DecisionMode, Exclusion
from lmos_grpc.domain.turn import StrategyKind
from lmos_grpc.routing.case import SPREADING, most_targets, told
from lmos_grpc.routing.intent_split import split_intents
from lmos_grpc.routing.ranking import Ranking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmos_grpc.domain.decision import Decision, Target
    from lmos_grpc.domain.turn import Strategy
    from lmos_grpc.routing.case import Case
    from lmos_grpc.routing.classifier import Score


def several_intents(case: Case, ranking: Ranking) -> Decision | None:
    """The decision to fan out, each part of the text to its own agent; None where it is one request."""
    strategy = case.turn.hint.strategy
    if strategy.kind not in (StrategyKind.UNSPECIFIED, StrategyKind.ALL):
        return None
    intents = split_intents(case.text, ranking, case.rank)
    if not intents or len(intents) > strategy.max_branches:
        return None
    scores = tuple(each.score for each in intents)
    targets = (case.target(each.score.offer.agent, each.score.offer.capability, each.text) for each in intents)
    others = (each for each in ranking.scores if each.offer not in {score.offer for score in scores})
    reason = f"the text holds {len(intents)} requests: {', '.join(map(told, scores))}"
    combined = Ranking((*scores, *others), case.settings)
    return case.decision(DecisionMode.CLASSIFIED, reason, combined, *targets, kind=StrategyKind.ALL)


def by_ranking(case: Case, ranking: Ranking) -> Decision:
    """The decision that the ranking alone leads to."""
    kind = case.turn.hint.strategy.kind
    rivals = ranking.rivals
    if not rivals:
        return to_fallback(case, ranking, _nothing_fits(case, ranking))
    if kind in SPREADING:
        spread = ranking.adequate[: case.turn.hint.strategy.max_branches]
        reason = f"the caller wants {_asked_for(case.turn.hint.strategy)}: {', '.join(map(told, spread))}"
        return case.decision(DecisionMode.CLASSIFIED, reason, ranking, *_targets(case, spread), kind=kind)
    if len(rivals) > 1:
        reason = f"a close call, so the caller is asked: {', '.join(map(told, rivals))}"
        return _with_options(case.decision(DecisionMode.CLARIFICATION, reason, ranking), rivals)
    best, *reserves = ranking.adequate[: most_targets(case.turn.hint.strategy.in_force(StrategyKind.ONE))]
    reason = f"{told(best)}{_runner_up(ranking)}{_stand_by(reserves)}"
    return case.decision(DecisionMode.CLASSIFIED, reason, ranking, *_targets(case, (best, *reserves)))


def _with_options(decision: Decision, rivals: tuple[Score, ...]) -> Decision:
    # Whoever asks the caller finds the options among the candidates: they are the chosen ones.
    offered = {(each.offer.agent, each.offer.capability) for each in rivals}
    marked = (
        replace(each, chosen=each.exclusion is Exclusion.NONE and (each.agent, each.capability) in offered)
        for each in decision.candidates
    )
    return replace(decision, candidates=tuple(marked))


def to_fallback(case: Case, ranking: Ranking, why: str) -> Decision:
    """The decision where nobody is meant: the fallback agent, or nobody."""
    fallback = case.settings.fallback_agent
    if not fallback:
        return case.decision(DecisionMode.ABSTAINED, f"{why}, and no fallback agent is set", ranking)
    if fallback not in case.governed.allowed:
        # A tenant is told its name where it may know of it: it may be the agent of another one.
        known = case.turn.context.operator or fallback in {each.key.name for each in case.governed.excluded}
        who = f"fallback {fallback}" if known else "fallback of the mesh"
        why = f"{why}, and the {who} may not or cannot take the turn"
        return case.decision(DecisionMode.ABSTAINED, why, ranking)
    target = case.target(fallback)
    return case.decision(DecisionMode.FALLBACK, f"{why}, so the fallback {fallback} takes it", ranking, target)


def _nothing_fits(case: Case, ranking: Ranking) -> str:
    if not case.governed.allowed:
        context = case.turn.context
        return f"no agent is ready for the tenant {context.tenant!r} on the channel {context.channel!r}"
    if not ranking.scores:
        return "there is no text to go by"
    return f"nothing fits: {told(ranking.scores[0])}, and {case.settings.accept:.2f} is needed"


def _runner_up(ranking: Ranking) -> str:
    if len(ranking.scores) == 1:
        return ", and there is no other"
    follower = ranking.scores[1]
    return f", the next, '{follower.offer.capability}' of {follower.offer.agent}, {follower.value:.2f}"


def _asked_for(strategy: Strategy) -> str:
    match strategy.kind:
        case StrategyKind.QUORUM:
            return f"{strategy.quorum} answers of those that fit"
        case kind:
            return f"{kind.value} of those that fit"


def _stand_by(reserves: Sequence[Score]) -> str:
    return f"; where it is slow or fails: {', '.join(map(told, reserves))}" if reserves else ""


def _targets(case: Case, scores: tuple[Score, ...]) -> tuple[Target, ...]:
    return tuple(case.target(each.offer.agent, each.offer.capability) for each in scores)
