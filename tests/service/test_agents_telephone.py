"""The sample agents on the telephone: they ask for the customer number by keypad, transfer, and say goodbye."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agents.billing import agent as billing
from agents.reception import agent as reception
from lmos_grpc.clients.agent_client import AgentClient
from lmos_grpc.domain.event import Outcome
from lmos_grpc.domain.live_session import InputSpec, SessionEnded, Transfer, TransferKind
from lmos_grpc.domain.turn import CallContext, ClarificationAnswer, Message, RouteHint, TurnRequest
from lmos_grpc.rpc import open_channel
from lmos_grpc.sdk import AgentSettings, serve_agent
from tests.fakes.served_agent import Answer, fresh_data

if TYPE_CHECKING:
    from pathlib import Path

    from lmos_grpc import Agent


async def call(agent: Agent, capability: str, text: str, answer: ClarificationAnswer | None = None) -> Answer:
    """A turn of a caller whom nobody knows."""
    turn = TurnRequest(
        Message.from_user(text),
        hint=RouteHint(capability=capability),
        answer=answer,
        context=CallContext(channel="ivr"),
    )
    async with serve_agent(agent, AgentSettings(mesh=None)) as served, open_channel(served.address) as channel:
        return Answer(tuple([event async for event in AgentClient(channel).invoke(turn)]))


async def test_billing_asks_for_four_digits_and_answers_for_that_customer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fresh_data(monkeypatch, tmp_path, billing)
    asked = await call(billing.agent, "payment-status", "is my bill paid")
    [spec] = [body for body in asked.bodies if isinstance(body, InputSpec)]
    assert spec.dtmf
    assert (spec.dtmf.length, asked.outcome) == (4, Outcome.INPUT_REQUIRED)

    answer = ClarificationAnswer(asked.question.id)
    assert "R-3004" in (await call(billing.agent, "payment-status", "1002", answer)).text
    assert (await call(billing.agent, "payment-status", "9999", answer)).outcome is Outcome.INPUT_REQUIRED


@pytest.mark.parametrize(("text", "says"), [("operator", "connect you"), ("Vermittlung bitte", "verbinde Sie")])
async def test_reception_says_what_comes_and_then_transfers(text: str, says: str) -> None:
    answer = await call(reception.agent, "speak-to-a-person", text)
    assert says in answer.text
    [transfer] = [body for body in answer.bodies if isinstance(body, Transfer)]
    assert (transfer.target, transfer.kind, transfer.after_playback) == ("service-desk", TransferKind.QUEUE, True)
    assert answer.outcome is Outcome.TRANSFERRED


async def test_reception_says_goodbye_and_hangs_up() -> None:
    answer = await call(reception.agent, "hang-up", "that was all, goodbye")
    assert any(isinstance(body, SessionEnded) for body in answer.bodies)
    assert answer.outcome is Outcome.SESSION_ENDED
