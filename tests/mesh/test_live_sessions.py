"""Live sessions through a real Envoy: one session, many agents, over restarts, and nothing sensitive left behind."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import grpc
import grpc.aio
import pytest
from lmos.agent.v1 import agent_event_pb2 as event_pb
from lmos.agent.v1 import live_session_pb2 as live_pb
from lmos.conversation.v1 import conversation_service_pb2, conversation_service_pb2_grpc

from lmos_grpc import Agent, AgentSettings, serve_agent
from lmos_grpc.cli.mesh.mesh import run_mesh
from lmos_grpc.cli.mesh.mesh_settings import MeshSettings
from tests.fakes.live_caller import LIMIT, live_caller, text_of
from tests.mesh.test_cli_serve import Parts
from tests.mesh.whole_mesh import agent_settings, billing_agent, until, whole_mesh

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from lmos.conversation.v1.conversation_service_pb2_grpc import ConversationServiceAsyncStub

    from lmos_grpc import Turn
    from lmos_grpc.domain.event import Handover
    from lmos_grpc.domain.live_session import InputSpec, Prompt, Transfer
    from tests.fakes.live_caller import LiveCaller

pytestmark = pytest.mark.mesh
BILL = "why is my bill so high"
PAY = "i want to pay by card"
CARD = "4929813276540081"


class CardAgent(Agent):
    """Takes card numbers, and is as careless with them as the mesh allows."""

    def __init__(self) -> None:
        super().__init__("card-agent", version="1.0.0", description="Takes payments.", may_hand_over=True)
        self.numbers: list[str] = []

        @self.capability("pay-by-card", version="1.0.0", examples={"en": [PAY, "pay with my credit card"]})
        async def pay(turn: Turn) -> AsyncIterator[str | InputSpec | Handover | Prompt]:
            if not turn.digits:
                yield turn.ask_digits(length=16, sensitive=True)
                yield "Please enter your card number."
                return
            self.numbers.append(turn.digits)
            match len(self.numbers):
                case 1:
                    yield turn.filler(f"Checking {turn.digits}")
                    yield f"Thank you for {turn.digits[:9]}"
                    yield f"{turn.digits[9:]}, and once more please."
                case 2:
                    raise ValueError(turn.digits)
                case _:
                    yield turn.expect_speech()
                    yield turn.hand_over(capability="say-goodbye", summary=f"paid with {turn.digits}")


class LastAgent(Agent):
    """Remembers all that it was told."""

    def __init__(self) -> None:
        super().__init__("last-agent", version="1.0.0", description="Says goodbye.")
        self.told: list[str] = []

        @self.capability("say-goodbye", version="1.0.0", examples={"en": ["goodbye then", "see you"]})
        async def goodbye(turn: Turn) -> AsyncIterator[str | Transfer]:
            self.told.append(repr((turn.text, turn.history, turn.live)))
            yield "Goodbye."
            yield turn.transfer("+4930123", summary="wants a person")


class PatientAgent(Agent):
    """Talks until it is stopped."""

    def __init__(self) -> None:
        super().__init__("patient-agent", version="1.0.0", description="Talks.")
        self.stopped = asyncio.Event()

        @self.capability("tell-story", version="1.0.0", examples={"en": ["tell me a long story"]})
        async def tell(turn: Turn) -> AsyncIterator[str]:
            yield f"Before you heard {turn.heard.text if turn.heard else 'nothing'}. "
            try:
                await asyncio.Event().wait()
            finally:
                self.stopped.set()


async def test_one_session_has_many_agents_and_can_be_interrupted_and_taken_up_again(tmp_path: Path) -> None:
    patient = PatientAgent()
    async with whole_mesh(tmp_path, billing_agent(), patient, LastAgent()) as mesh:
        async with live_caller(mesh.edge) as caller:
            ready = await caller.start(conversation_id="call-1", locale="en")
            assert text_of(await caller.ask(BILL, "t1")) == "Your bill is 42 euros."
            heard = live_pb.Playback(state=live_pb.PLAYBACK_STATE_INTERRUPTED, turn_id="t1", heard_text="Your bill is")
            await caller.say(playback=heard)
            await caller.text("tell me a long story", "t2")
            told = await caller.hear_until("text_delta")
            assert text_of(told) == "Before you heard Your bill is. "
            assert {each.source.agent for each in told if each.source.agent} == {"patient-agent"}
            await caller.text(BILL, "t3")
            interrupted = (await caller.hear_until("turn_done"))[-1]
            assert (interrupted.turn_id, interrupted.turn_done.outcome) == ("t2", event_pb.OUTCOME_INTERRUPTED)
            await asyncio.wait_for(patient.stopped.wait(), LIMIT)
            await caller.hear_until("turn_done")
        async with live_caller(mesh.edge) as again:
            assert (await again.start(resume_token=ready.resume_token, last_sequence=caller.last)).resumed
            heard_now = await again.ask("goodbye then")
            assert heard_now[0].sequence == caller.last + 1
            kinds = [each.WhichOneof("event") for each in heard_now]
            assert kinds == ["accepted", "routed", "text_delta", "message", "transfer", "turn_done"]
            assert heard_now[-1].turn_done.outcome == event_pb.OUTCOME_TRANSFERRED
            await again.say(transfer_result=live_pb.TransferResult(outcome=live_pb.TRANSFER_OUTCOME_CONNECTED))
            assert (await again.hear()).session_ended.reason == live_pb.END_REASON_TRANSFERRED


async def test_a_session_goes_on_after_the_orchestrator_was_replaced(tmp_path: Path) -> None:
    with ExitStack() as processes:
        parts = Parts(processes, tmp_path)
        parts.start_all()
        edge, settings = parts.addresses["edge"], AgentSettings(mesh=parts.addresses["internal"])
        async with serve_agent(billing_agent(), settings) as served:
            await asyncio.wait_for(served.wait_registered(), LIMIT)
            async with live_caller(edge) as caller:
                ready = await caller.start(conversation_id="call-1")
                await caller.ask(BILL)
                orchestrator = parts.processes["orchestrator"]
                os.kill(orchestrator.pid, signal.SIGTERM)
                away = (await caller.hear()).go_away
                assert away.resume_token == ready.resume_token
                # The stream ends well, and without the end of the session.
                assert (await caller.rest(), await caller.ends()) == ([], grpc.StatusCode.OK)
            await asyncio.to_thread(orchestrator.process.wait, LIMIT)
            await asyncio.to_thread(parts.start, "orchestrator")
            async with AsyncExitStack() as streams:
                again = await _taken_up(streams, edge, ready.resume_token, caller.last)
                heard = await again.ask(BILL)
                assert heard[0].sequence == caller.last + 1
                assert text_of(heard) == "Your bill is 42 euros."
            turns = await _conversation(edge)
            assert turns.count("why is my bill") >= 2


async def _taken_up(streams: AsyncExitStack, edge: str, token: str, last: int) -> LiveCaller:
    found = []

    async def ready() -> bool:
        again = await streams.enter_async_context(live_caller(edge))
        try:
            resumed = (await again.start(resume_token=token, last_sequence=last)).resumed
        except (AssertionError, grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return False  # Envoy does not know yet that the orchestrator is back
        assert resumed
        found.append(again)
        return True

    await until(ready)
    return found[0]


async def test_a_card_number_is_found_nowhere_but_at_the_agent_that_asked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cards, last = CardAgent(), LastAgent()
    caplog.set_level(logging.DEBUG)
    async with run_mesh(MeshSettings(state=tmp_path, record_text=True)) as mesh, AsyncExitStack() as stack:
        for each in (cards, last, billing_agent()):
            settings = replace(agent_settings(mesh), record_text=True)
            served = await stack.enter_async_context(serve_agent(each, settings))
            await asyncio.wait_for(served.wait_registered(), LIMIT)
        async with live_caller(mesh.edge) as caller:
            await caller.start(conversation_id="call-1", locale="en")
            await caller.ask(PAY)
            await caller.keys(CARD)
            assert CARD in text_of(await caller.hear_until("turn_done"))
            await caller.keys(CARD)
            failed = (await caller.hear_until("turn_done"))[-1]
            assert failed.turn_done.outcome == event_pb.OUTCOME_FAILED
            await caller.keys(CARD)
            assert text_of(await caller.hear_until("turn_done")) == "Goodbye."
            await caller.ask("goodbye then")
        assert cards.numbers == [CARD] * 3
        assert len(last.told) == 2
        leaks = [*last.told, await _conversation(mesh.edge)]
        await until(lambda: b"pay-by-card" in _bytes_of(tmp_path))
    # After the end, so that what every part writes as it stops is there.
    assert CARD.encode() not in _bytes_of(tmp_path)
    assert not [each for each in leaks if CARD in each]
    assert CARD not in caplog.text
    assert b"goodbye then" in _bytes_of(tmp_path)  # what may be kept was, and in these files


def _bytes_of(folder: Path) -> bytes:
    return b"".join(each.read_bytes() for each in folder.rglob("*") if each.is_file())


async def _conversation(edge: str) -> str:
    async with grpc.aio.insecure_channel(edge) as channel:
        stub: ConversationServiceAsyncStub = conversation_service_pb2_grpc.ConversationServiceStub(channel)  # type: ignore[assignment]
        turns = await stub.ListTurns(conversation_service_pb2.ListTurnsRequest(conversation_id="call-1"))
        found = [str(turns)]
        for each in turns.turns:
            resumed = stub.ResumeTurn(
                conversation_service_pb2.ResumeTurnRequest(conversation_id="call-1", turn_id=each.turn_id)
            )
            found.extend([str(event) async for event in resumed])
        return "".join(found)
