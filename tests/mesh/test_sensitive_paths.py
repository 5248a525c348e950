"""Canary digits through every path of a mesh: only the agent that asked for them has them at the end."""

from __future__ import annotations

import asyncio
import logging
import signal
import urllib.request
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import grpc.aio
import pytest
from lmos.agent.v1 import agent_service_pb2 as service_pb
from lmos.agent.v1 import decision_pb2, message_pb2
from lmos.agent.v1 import live_session_pb2 as live_pb
from lmos.conversation.v1 import conversation_service_pb2, conversation_service_pb2_grpc

from lmos_grpc import Agent, AgentSettings, KeysPressed, UserText, serve_agent
from lmos_grpc.cli.mesh.mesh import run_mesh
from lmos_grpc.cli.mesh.mesh_settings import MeshSettings
from lmos_grpc.cli.mesh.whereabouts import TRACES
from lmos_grpc.cli.view.trace_view import trace_json
from lmos_grpc.routing import ExpressLane, RoutingSettings
from lmos_grpc.traces import open_span_reader
from tests.fakes.live_caller import LIMIT, live_caller, text_of
from tests.mesh.test_cli_serve import Parts
from tests.mesh.whole_mesh import agent_settings, billing_agent, orders_agent, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from lmos.conversation.v1.conversation_service_pb2_grpc import ConversationServiceAsyncStub

    from lmos_grpc import CallerInput, EventBody, Turn
    from lmos_grpc.cli.mesh.mesh import RunningMesh

pytestmark = pytest.mark.mesh
PAY = "i want to pay by card"
CARD = "4929813276540081"
MAY_BE_KEPT = "goodbye then"


class Till(Agent):
    """Asks for card numbers and repeats them wherever it can; in a listening form it hears them key by key."""

    def __init__(self, *, hands_over: bool = True, listens: bool = False, records_turns: bool = False) -> None:
        super().__init__(
            "till-agent",
            version="1.0.0",
            description="Takes payments.",
            may_hand_over=hands_over,
            listens=listens,
            records_turns=records_turns,
        )
        self.heard: list[CallerInput] = []
        self.numbers: list[str] = []

        @self.capability("pay-by-card", version="1.0.0", examples={"en": [PAY, "pay with my credit card"]})
        async def pay(turn: Turn) -> AsyncIterator[str | EventBody]:
            async for given in turn.inputs():
                self.heard.append(given)
                match given:
                    case KeysPressed(digits, complete=True) | UserText(digits, sensitive=True, is_final=True):
                        self.numbers.append(digits)
                        yield turn.filler(f"Checking {digits}")
                        yield turn.status(f"card {digits}")
                        yield turn.tool_call("charge", arguments={"card": digits}, result={"card": digits})
                        yield turn.custom("com.example.card", {"card": digits})
                        yield f"Charged {digits}."
                        if len(self.numbers) == 2:
                            raise ValueError(digits)
                        if len(self.numbers) == 3 and hands_over:
                            yield turn.expect_speech()
                            yield turn.hand_over(capability="say-goodbye", reason=digits, summary=f"paid by {digits}")
                    case UserText(is_final=True):
                        yield turn.ask_digits(length=16, sensitive=True)
                        yield "Your card number, please."


class Goodbye(Agent):
    """Remembers all that it was told."""

    def __init__(self) -> None:
        super().__init__("last-agent", version="1.0.0", description="Says goodbye.", listens=True)
        self.told: list[object] = []

        @self.capability("say-goodbye", version="1.0.0", examples={"en": [MAY_BE_KEPT, "see you"]})
        async def goodbye(turn: Turn) -> AsyncIterator[str]:
            async for given in turn.inputs():
                self.told += [given, turn.text, turn.history, turn.live, turn.user]
                yield "Goodbye."


@pytest.mark.parametrize("listens", [False, True])
async def test_canary_digits_are_in_no_log_trace_metric_store_history_summary_or_other_agent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, listens: bool
) -> None:
    till, last, found = Till(listens=listens), Goodbye(), []
    caplog.set_level(logging.DEBUG)
    async with _mesh(tmp_path, till, last, billing_agent()) as mesh, live_caller(mesh.edge) as caller:
        await caller.start(conversation_id="call-1", locale="en")
        await caller.ask(PAY)
        for number in range(3):
            for key in CARD:
                await caller.say(dtmf=live_pb.Dtmf(digits=key))
            await caller.say(user_text=live_pb.UserText(text=CARD))
            await caller.keys(CARD, f"secret-{number}")
            heard = await caller.hear_until("turn_done")
            assert CARD in text_of(heard)
            played = live_pb.PLAYBACK_STATE_INTERRUPTED
            await caller.say(
                playback=live_pb.Playback(state=played, turn_id=f"secret-{number}", heard_text=f"Charged {CARD}")
            )
        await caller.ask(MAY_BE_KEPT)
        assert till.numbers == [CARD] * 3
        assert len(last.told) == 10
        found += [repr(last.told), await _conversation(mesh), await _metrics(mesh), await _shown_traces(mesh)]
        await until(lambda: b"pay-by-card" in _files(tmp_path))
    _assert_nowhere(tmp_path, caplog, *found)
    if listens:
        pressed = [each.digits for each in till.heard if isinstance(each, KeysPressed) and not each.complete]
        assert "".join(pressed).startswith(CARD)
        assert all(each.sensitive for each in till.heard if isinstance(each, KeysPressed))


async def test_canary_digits_go_to_one_branch_where_the_caller_asks_for_all(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    till, orders = Till(), orders_agent()
    caplog.set_level(logging.DEBUG)
    async with _mesh(tmp_path, till, orders, billing_agent()) as mesh, live_caller(mesh.edge) as caller:
        await caller.start(conversation_id="call-1", locale="en")
        text = f"why is my bill so high and where is my parcel and {PAY} {CARD}"
        request = service_pb.InvokeRequest(
            message=message_pb2.Message(parts=[message_pb2.Part(text=text)]),
            route_hint=decision_pb2.RouteHint(strategy=decision_pb2.Strategy(kind=decision_pb2.STRATEGY_KIND_ALL)),
            sensitive=True,
        )
        await caller.say(turn=request)
        heard = await caller.hear_until("turn_done")
        (routed,) = [each.routed.decision for each in heard if each.WhichOneof("event") == "routed"]
        assert len(routed.targets) <= 1
        assert not heard[-1].turn_done.branches
        found = [await _conversation(mesh), await _metrics(mesh)]
        await caller.ask(MAY_BE_KEPT)
    _assert_nowhere(tmp_path, caplog, *found)


async def test_canary_digits_stay_with_the_agent_on_the_express_lane(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    till = Till(hands_over=False, records_turns=True)
    caplog.set_level(logging.DEBUG)
    async with _mesh(tmp_path, till, express=ExpressLane.ON) as mesh:
        async with live_caller(mesh.edge, agent="till-agent") as caller:
            await caller.start(conversation_id="call-1", locale="en", agent="till-agent")
            await caller.ask(PAY, "t1")
            assert await caller.lane() == "express"
            for number in range(3):
                await caller.keys(CARD, f"secret-{number}")
                await caller.hear_until("turn_done")
            await caller.text(f"my card is {CARD}", "secret-3", sensitive=True)
            await caller.hear_until("turn_done")
        assert till.numbers == [*[CARD] * 3, f"my card is {CARD}"]
        kept = await _conversation(mesh)
        assert "secret-0" in kept
        assert PAY in kept
        found = [kept, await _metrics(mesh), await _shown_traces(mesh)]
    _assert_nowhere(tmp_path, caplog, *found, may_be_kept=PAY)


async def test_canary_digits_are_in_no_file_of_a_process_that_gives_its_sessions_away(tmp_path: Path) -> None:
    till = Till()
    with ExitStack() as processes:
        parts = Parts(processes, tmp_path)
        parts.start_all()
        async with AsyncExitStack() as stack:
            served = await stack.enter_async_context(serve_agent(till, AgentSettings(mesh=parts.addresses["internal"])))
            await asyncio.wait_for(served.wait_registered(), LIMIT)
            caller = await stack.enter_async_context(live_caller(parts.addresses["edge"]))
            await caller.start(conversation_id="call-1", locale="en")
            await caller.ask(PAY)
            await caller.keys(CARD, "secret-0")
            assert CARD in text_of(await caller.hear_until("turn_done"))
            orchestrator = parts.processes["orchestrator"]
            orchestrator.process.send_signal(signal.SIGTERM)
            await caller.hear_until("go_away")
            assert await caller.ends() is grpc.StatusCode.OK
            await asyncio.to_thread(orchestrator.process.wait, LIMIT)
    assert (tmp_path / "orchestrator" / "sessions.sqlite").exists()
    assert b"call-1" in (tmp_path / "orchestrator" / "sessions.sqlite").read_bytes()
    assert CARD.encode() not in _files(tmp_path)


@asynccontextmanager
async def _mesh(state: Path, *agents: Agent, express: ExpressLane = ExpressLane.OFF) -> AsyncIterator[RunningMesh]:
    """A mesh that records all text that it may."""
    settings = MeshSettings(state=state, record_text=True, routing=RoutingSettings(express=express))
    async with run_mesh(settings) as mesh, AsyncExitStack() as stack:
        for each in agents:
            mine = replace(agent_settings(mesh), record_text=True)
            served = await stack.enter_async_context(serve_agent(each, mine))
            await asyncio.wait_for(served.wait_registered(), LIMIT)
        yield mesh


def _assert_nowhere(state: Path, caplog: pytest.LogCaptureFixture, *found: str, may_be_kept: str = MAY_BE_KEPT) -> None:
    # After the end of the mesh, so that what every part writes as it stops is there.
    assert CARD.encode() not in _files(state)
    assert may_be_kept.encode() in _files(state)  # what may be kept was, and in these files
    assert CARD not in caplog.text
    assert not [each for each in found if CARD in each]
    assert all(found)


def _files(folder: Path) -> bytes:
    return b"".join(each.read_bytes() for each in folder.rglob("*") if each.is_file())


async def _conversation(mesh: RunningMesh) -> str:
    async with grpc.aio.insecure_channel(mesh.edge) as channel:
        stub: ConversationServiceAsyncStub = conversation_service_pb2_grpc.ConversationServiceStub(channel)  # type: ignore[assignment]
        asked = conversation_service_pb2.GetConversationRequest(conversation_id="call-1")
        turns = await stub.ListTurns(conversation_service_pb2.ListTurnsRequest(conversation_id="call-1"))
        found = [str(await stub.GetConversation(asked)), str(turns)]
        for each in turns.turns:
            resume = conversation_service_pb2.ResumeTurnRequest(conversation_id="call-1", turn_id=each.turn_id)
            found.extend([str(event) async for event in stub.ResumeTurn(resume)])
        return "".join(found)


async def _metrics(mesh: RunningMesh) -> str:
    with await asyncio.to_thread(urllib.request.urlopen, f"http://{mesh.metrics}/metrics") as response:
        return str(response.read().decode())


async def _shown_traces(mesh: RunningMesh) -> str:
    """All that `lmos trace` shows."""

    def shown() -> str:
        with open_span_reader(mesh.state / TRACES) as reader:
            found = [reader.get_trace(each.trace_id) for each in reader.list_traces(100)]
        return "".join(str(trace_json(each)) for each in found if each)

    await until(lambda: "pay-by-card" in shown())
    return shown()
