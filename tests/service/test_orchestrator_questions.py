"""What the mesh itself says to the user, over real gRPC: it asks back, or cannot help."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lmos_grpc.domain.decision import Candidate, Decision, DecisionMode
from lmos_grpc.domain.event import (
    Clarification,
    MessageDone,
    Outcome,
)
from lmos_grpc.domain.turn import ClarificationAnswer, Message, TurnRequest
from tests.fakes.scripted_mesh import (
    SECOND,
    ScriptedDecider,
    agent,
    ask,
    decided,
    done,
    mesh_of,
)

if TYPE_CHECKING:
    from lmos_grpc.domain.conversation import ConversationState


async def test_a_close_call_asks_back_with_options() -> None:
    candidates = tuple(Candidate("a", "1.0.0", "greet", score=0.5, chosen=True) for _ in range(2))
    decision = Decision(DecisionMode.CLARIFICATION, "a close call", candidates=candidates)
    async with mesh_of(agent("a"), decider=ScriptedDecider(decision)) as client:
        events = await ask(client)
    question = events[-2].body
    assert isinstance(question, Clarification)
    assert [option.label for option in question.options] == ["greet", "greet"]
    assert done(events).outcome is Outcome.INPUT_REQUIRED


async def test_nothing_that_fits_is_said_honestly() -> None:
    async with mesh_of(decider=ScriptedDecider(Decision(DecisionMode.ABSTAINED, "nothing fits"))) as client:
        events = await ask(client)
    assert isinstance(events[-2].body, MessageDone)
    assert done(events).outcome is Outcome.ABSTAINED


async def test_the_answer_to_a_question_of_the_mesh_lets_the_agent_work_on_what_was_asked() -> None:
    question = Decision(
        DecisionMode.CLARIFICATION, "a close call", candidates=(Candidate("a", "1.0.0", "greet", chosen=True),)
    )
    chosen = ClarificationAnswer("the mesh's own", "a/greet")

    class AsksBackOnce(ScriptedDecider):
        def decide(self, turn: TurnRequest, _: ConversationState, /) -> Decision:
            self.asked.append(turn)
            return question if len(self.asked) == 1 else replace(decided("a"), answer=chosen)

    a = agent("a")
    async with mesh_of(a, decider=AsksBackOnce(question)) as client:
        for number, text in enumerate(("something vague", "the first one")):
            turn = TurnRequest(Message.from_user(text), conversation_id="c", turn_id=str(number))
            assert [event async for event in client.invoke(turn, timeout=5 * SECOND)]
    assert a.asked[0].message.text == "something vague"
    assert a.asked[0].answer == chosen
