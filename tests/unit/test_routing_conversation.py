"""What the turns before have to say in a decision."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lmos_grpc.domain.conversation import ConversationState, OpenQuestion
from lmos_grpc.domain.decision import DecisionMode
from lmos_grpc.domain.event import Clarification, ClarificationOption
from lmos_grpc.domain.live_session import LiveTurn
from lmos_grpc.domain.turn import CallContext, ClarificationAnswer, Message, Role, RouteHint, TextPart, TurnRequest
from lmos_grpc.errors import UnknownAgentError, UnknownOptionError
from lmos_grpc.routing import ExpressLane, Router, RoutingSettings
from lmos_grpc.routing.follow_up import option_meant
from tests.fakes.telecom_desk import BILLING, CARDS, CONTRACTS, desk

if TYPE_CHECKING:
    from lmos_grpc.domain.decision import Decision

ROUTER = Router(desk(*CARDS), settings=RoutingSettings(fallback_agent="concierge-agent"))
AFTER_BILLING = ConversationState(last_agent="billing-agent", last_capability="explain-bill", turn_count=1)
CONFIRM = OpenQuestion(
    Clarification(
        "q1",
        "Which contract shall end?",
        (ClarificationOption("mobile", "Mobile contract"), ClarificationOption("home", "Home internet contract")),
    ),
    agent="contract-agent",
    capability="cancel-contract",
)
MESH_ASKS = OpenQuestion(
    Clarification(
        "q2",
        "What is it about?",
        (
            ClarificationOption("billing-agent/explain-bill", "Explain the bill", "billing-agent", "explain-bill"),
            ClarificationOption("fault-agent/repair-line", "Repair the line", "fault-agent", "repair-line"),
        ),
    )
)
FREE_TEXT = OpenQuestion(Clarification("q3", "What is your customer number?"), "fault-agent", "repair-line")


def say(text: str, *, answer: ClarificationAnswer | None = None) -> TurnRequest:
    return TurnRequest(Message.from_user(text), answer=answer)


def asked(question: OpenQuestion) -> ConversationState:
    return ConversationState(question.agent, question.capability, question, 1)


def target(decision: Decision) -> str:
    return " ".join(f"{each.agent}/{each.capability}" for each in decision.targets)


@pytest.mark.parametrize(
    ("question", "option", "agent"),
    [
        (CONFIRM, "home", "contract-agent/cancel-contract"),
        (MESH_ASKS, "fault-agent/repair-line", "fault-agent/repair-line"),
        (FREE_TEXT, "", "fault-agent/repair-line"),
        (CONFIRM, "", "contract-agent/cancel-contract"),
    ],
)
def test_an_answer_goes_where_its_option_leads_or_to_who_asked(question: OpenQuestion, option: str, agent: str) -> None:
    turn = say("my internet is down", answer=ClarificationAnswer(question.clarification.id, option))
    decision = ROUTER.decide(turn, asked(question))
    assert decision.mode is DecisionMode.CONVERSATION
    assert target(decision) == agent


def test_keys_of_a_live_session_answer_the_question_of_the_agent_that_they_are_sent_to() -> None:
    keys = TurnRequest(Message.from_user("1003"), hint=RouteHint(agent="fault-agent"), live=LiveTurn("s-1"))
    assert ROUTER.decide(keys, asked(FREE_TEXT)).answer == ClarificationAnswer("q3")
    assert ROUTER.decide(replace(keys, hint=RouteHint(agent="billing-agent")), asked(FREE_TEXT)).answer is None
    assert ROUTER.decide(replace(keys, live=None), asked(FREE_TEXT)).answer is None


@pytest.mark.parametrize(
    ("state", "answer"),
    [
        (asked(CONFIRM), ClarificationAnswer("q1", "boat")),
        (asked(CONFIRM), ClarificationAnswer("another", "home")),
        (ConversationState(), ClarificationAnswer("q1", "home")),
        (asked(FREE_TEXT), ClarificationAnswer("q3", "home")),
    ],
)
def test_an_answer_to_what_was_not_asked_is_refused(state: ConversationState, answer: ClarificationAnswer) -> None:
    with pytest.raises(UnknownOptionError):
        ROUTER.decide(say("this one", answer=answer), state)


def test_an_option_does_not_open_what_governance_closes() -> None:
    router = Router(desk(*CARDS[:1], replace(CONTRACTS, tenants=frozenset({"other"}))))
    with pytest.raises(UnknownAgentError):
        router.decide(say("yes", answer=ClarificationAnswer("q1", "home")), asked(CONFIRM))


@pytest.mark.parametrize("text", ["the second one", "2", "Repair the line", "die zweite bitte", "the line", "last one"])
def test_the_words_of_an_option_choose_it(text: str) -> None:
    decision = ROUTER.decide(say(text), asked(MESH_ASKS))
    assert decision.mode is DecisionMode.CONVERSATION
    assert target(decision) == "fault-agent/repair-line"


@pytest.mark.parametrize("text", ["yes", "Ja, genau", "12345", "the blue one", "Main Street 5", "I am not sure", "no"])
def test_who_asked_gets_the_reply(text: str) -> None:
    assert target(ROUTER.decide(say(text), asked(FREE_TEXT))) == "fault-agent/repair-line"


@pytest.mark.parametrize(
    ("text", "agent"),
    [
        ("where is my parcel?", "order-agent/track-order"),
        ("never mind, why is my bill so high", "billing-agent/explain-bill"),
        ("Vergiss es, wo ist mein Paket?", "order-agent/track-order"),
    ],
)
def test_a_clear_other_topic_moves_away_from_an_open_question(text: str, agent: str) -> None:
    decision = ROUTER.decide(say(text), asked(FREE_TEXT))
    assert decision.mode is DecisionMode.CLASSIFIED
    assert target(decision) == agent


@pytest.mark.parametrize("text", ["neither", "none of these", "Nein, keins von beiden", "weder noch", "nothing please"])
def test_who_turns_down_all_options_is_not_classified_anew(text: str) -> None:
    decision = ROUTER.decide(say(text), asked(MESH_ASKS))
    assert decision.mode is DecisionMode.FALLBACK
    assert decision.reason.startswith("the caller wants none of the options")


def test_neither_is_an_answer_where_an_agent_asked() -> None:
    assert target(ROUTER.decide(say("neither"), asked(CONFIRM))) == "contract-agent/cancel-contract"


def test_a_text_that_is_none_of_the_mesh_s_options_is_classified() -> None:
    assert target(ROUTER.decide(say("where is my parcel"), asked(MESH_ASKS))) == "order-agent/track-order"


def test_when_who_asked_is_gone_the_text_is_classified() -> None:
    router = Router(desk(*(card for card in CARDS if card.name != "fault-agent")))
    assert router.decide(say("12345"), asked(FREE_TEXT)).mode is DecisionMode.ABSTAINED


@pytest.mark.parametrize(
    "text", ["and the one before?", "ok", "42", "I do not understand that", "noch mal bitte", "what about it?"]
)
def test_a_follow_up_stays_with_the_last_agent(text: str) -> None:
    decision = ROUTER.decide(say(text), AFTER_BILLING)
    assert decision.mode is DecisionMode.CONVERSATION
    assert target(decision) == "billing-agent/explain-bill"


@pytest.mark.parametrize(
    ("text", "agent"),
    [
        ("my internet is down", "fault-agent/repair-line"),
        ("never mind, my internet is down", "fault-agent/repair-line"),
        ("cancel my contract", "contract-agent/cancel-contract"),
        ("set up direct debit", "billing-agent/manage-payment"),
    ],
)
def test_a_clear_intent_goes_to_its_own_agent(text: str, agent: str) -> None:
    decision = ROUTER.decide(say(text), AFTER_BILLING)
    assert decision.mode is DecisionMode.CLASSIFIED
    assert target(decision) == agent


def test_out_of_scope_is_out_of_scope_in_a_conversation_too() -> None:
    decision = ROUTER.decide(say("what is the capital of France"), AFTER_BILLING)
    assert decision.mode is DecisionMode.FALLBACK


def test_a_last_agent_that_may_not_have_the_turn_does_not_get_it() -> None:
    turn = replace(say("and the one before?"), context=CallContext(visited=("billing-agent",)))
    assert "billing-agent" not in target(ROUTER.decide(turn, AFTER_BILLING))


def test_a_history_that_the_caller_keeps_tells_who_had_the_last_turn() -> None:
    history = (Message.from_user("hello"), Message(Role.AGENT, (TextPart("Your bill …"),), agent="billing-agent"))
    decision = ROUTER.decide(replace(say("and the one before?"), history=history))
    assert target(decision) == "billing-agent/"


def test_a_history_does_not_count_for_a_turn_that_was_handed_over() -> None:
    history = (Message(Role.AGENT, (TextPart("Your bill …"),), agent="billing-agent"),)
    context = CallContext(visited=("order-agent",))
    decision = ROUTER.decide(replace(say("and the one before?"), history=history, context=context))
    assert decision.mode is DecisionMode.FALLBACK


OPTIONS = (
    ClarificationOption("a", "Cancel the mobile contract"),
    ClarificationOption("b", "Cancel the home contract"),
    ClarificationOption("c", "Keep everything"),
)


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("a", "a"),
        ("B ", "b"),
        ("cancel the home contract", "b"),
        ("the home contract please", "b"),
        ("mobile", "a"),
        ("I'd like the third option", "c"),
        ("Nummer 1 bitte", "a"),
        ("das letzte", "c"),
        ("please keep everything as it is", "c"),
        ("cancel", None),
        ("the fourth one", None),
        ("my internet is down", None),
        ("", None),
        ("the", None),
        ("first or second", None),
    ],
)
def test_an_option_is_meant_when_exactly_one_fits(text: str, option: str | None) -> None:
    meant = option_meant(text, OPTIONS)
    assert (meant.id if meant else None) == option


@pytest.mark.parametrize("text", ["the last one", "1", "0", "first", ""])
def test_where_nothing_was_offered_nothing_is_meant(text: str) -> None:
    assert option_meant(text, ()) is None


def test_a_number_names_any_place_in_a_long_list() -> None:
    options = tuple(ClarificationOption(f"o{each}", f"Option {each}") for each in "abcdefghijkl")
    assert option_meant("number 12", options) is options[11]
    assert option_meant("13", options) is None


def test_an_answer_to_a_question_that_the_mesh_could_not_see_goes_to_the_last_agent_as_it_is() -> None:
    answer = ClarificationAnswer("its-own", "yes")
    turn = TurnRequest(Message.from_user("yes"), answer=answer)
    state = ConversationState("billing-agent", "manage-payment")
    with pytest.raises(UnknownOptionError):
        Router(desk(BILLING)).decide(turn, state)
    decision = Router(desk(BILLING), settings=RoutingSettings(express=ExpressLane.ON)).decide(turn, state)
    assert [(each.agent, each.capability) for each in decision.targets] == [("billing-agent", "manage-payment")]
    assert decision.answer is None  # that of the turn goes on
