"""What the turns before have to say: an open question gets its answer, and a follow-up stays where it was."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lmos_grpc.domain.decision import DecisionMode
from lmos_grpc.domain.turn import ClarificationAnswer
from lmos_grpc.errors import UnknownOptionError
from lmos_grpc.routing.case import told
from lmos_grpc.routing.classified import to_fallback
from lmos_grpc.routing.explicit import named_agents, to_named
from lmos_grpc.routing.follow_up import after_dismissal, is_follow_up, is_reply, none_meant, option_meant, refers_back

if TYPE_CHECKING:
    from lmos_grpc.domain.conversation import ConversationState, OpenQuestion
    from lmos_grpc.domain.decision import Decision
    from lmos_grpc.domain.event import ClarificationOption
    from lmos_grpc.domain.turn import TurnRequest
    from lmos_grpc.routing.case import Case
    from lmos_grpc.routing.explicit import Roll
    from lmos_grpc.routing.ranking import Ranking


def by_answer(roll: Roll, turn: TurnRequest, state: ConversationState, *, unseen: bool) -> Decision | None:
    """The decision where the turn says which question it answers; None where that leads to no agent.

    `unseen`: agents may ask what the mesh does not see, because their answers do not come through it.

    Raises:
        UnknownOptionError: that question is not open, or has no such option.
        LmosError: the agent that the option leads to cannot take the turn (see `named_agents`).
    """
    if turn.answer is None:
        return None
    if unseen and state.open_question is None and state.last_agent:
        agents = named_agents(roll, turn, agent=state.last_agent, capability="")
        reason = f"the turn answers a question that only {state.last_agent} knows, which had the last turn"
        return to_named(turn, agents, state.last_capability, mode=DecisionMode.CONVERSATION, reason=reason)
    question, option = _answered(turn, turn.answer, state)
    agent = (option.agent if option else "") or question.agent
    capability = option.capability if option else ""
    if not agent and not capability:
        return None
    agents = named_agents(roll, turn, agent=agent, capability=capability)
    reason = f"the turn answers the open question{f' with {option.label!r}' if option else ''}"
    decision = to_named(turn, agents, capability or question.capability, mode=DecisionMode.CONVERSATION, reason=reason)
    return replace(decision, answer=_bound(question, option))


def reply_to_asker(decision: Decision, turn: TurnRequest, state: ConversationState) -> Decision:
    """The decision on a turn that names its agent, with the question that it answers where that agent asked one.

    A live session names the agent that asked, for keys and for what must not be classified; in other turns who names
    an agent may well begin anew.
    """
    question = state.open_question
    asker = question.agent if question and turn.live else ""
    if question is None or not asker or {target.agent for target in decision.targets} != {asker}:
        return decision
    return replace(decision, answer=_bound(question, option_meant(turn.message.text, question.clarification.options)))


def reply_to_question(case: Case, ranking: Ranking, question: OpenQuestion) -> Decision | None:
    """The decision where the text answers the open question; None where it is about something else."""
    options = question.clarification.options
    if not question.agent and options and none_meant(case.text):
        return to_fallback(case, ranking, "the caller wants none of the options")
    option = option_meant(case.text, options)
    agent = (option.agent if option else "") or question.agent
    if agent not in case.governed.allowed:
        return None
    if option:
        capability = option.capability or question.capability
        reason = f"the text answers the open question with {option.label!r}"
        decision = case.decision(DecisionMode.CONVERSATION, reason, ranking, case.target(agent, capability))
        return replace(decision, answer=_bound(question, option))
    if not is_reply(case.text) and _moves_away(case, ranking, agent):
        return None
    reason = f"{agent} asked a question, and the text is not clearly about anything else"
    decision = case.decision(DecisionMode.CONVERSATION, reason, ranking, case.target(agent, question.capability))
    return replace(decision, answer=_bound(question, None))


def stay_with_last(case: Case, ranking: Ranking, state: ConversationState) -> Decision | None:
    """The decision to stay with the agent of the last turn; None where the text is clear for itself."""
    agent = state.last_agent
    if agent not in case.governed.allowed:
        return None
    same_topic = ranking.of_agent(agent)
    if is_reply(case.text) or ranking.best is None:
        stays = is_reply(case.text) or is_follow_up(case.text)
        reason = f"the text only makes sense after the last turn, which {agent} had"
    elif same_topic in ranking.rivals:
        stays = same_topic is not ranking.best or refers_back(case.text)
        reason = f"{told(ranking.best)}, too close to {agent}, which had the last turn, to move"
    else:
        stays = is_follow_up(case.text) and not _moves_away(case, ranking, agent)
        reason = f"{told(ranking.best)}, too little to take a follow-up away from {agent}, which had the last turn"
    capability = same_topic.offer.capability if same_topic else state.last_capability
    target = case.target(agent, capability)
    return case.decision(DecisionMode.CONVERSATION, reason, ranking, target) if stays else None


def _moves_away(case: Case, ranking: Ranking, agent: str) -> bool:
    best = ranking.best
    if best is None or best.offer.agent == agent:
        return False
    needed = case.settings.accept if after_dismissal(case.turn.message.text) else case.settings.shift
    return len(ranking.rivals) == 1 and best.value >= needed


def _bound(question: OpenQuestion, option: ClarificationOption | None) -> ClarificationAnswer:
    return ClarificationAnswer(question.clarification.id, option.id if option else "")


def _answered(
    turn: TurnRequest, answer: ClarificationAnswer, state: ConversationState
) -> tuple[OpenQuestion, ClarificationOption | None]:
    question = state.open_question
    if question is None or question.clarification.id != answer.clarification_id:
        raise UnknownOptionError(
            f"the question {answer.clarification_id!r} is not open; send the turn without an answer to it"
        )
    options = question.clarification.options
    if not answer.option_id:
        return question, option_meant(turn.message.text, options)
    for option in options:
        if option.id == answer.option_id:
            return question, option
    offered = ", ".join(repr(each.id) for each in options) or "none, for it wants free text"
    raise UnknownOptionError(f"the question has no option {answer.option_id!r}; its options are: {offered}")
