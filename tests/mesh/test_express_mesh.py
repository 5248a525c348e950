"""The express lane of a whole mesh, as `lmos up --express` opens it: what callers, agents and traces see of it."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import statistics
import struct
import time
import urllib.request
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

import grpc.aio
import pytest
import pytest_asyncio
from lmos.agent.v1 import agent_event_pb2, agent_service_pb2, agent_service_pb2_grpc, decision_pb2
from lmos.conversation.v1 import conversation_service_pb2, conversation_service_pb2_grpc
from lmos.orchestrator.v1 import orchestrator_service_pb2, orchestrator_service_pb2_grpc
from opentelemetry.trace import format_trace_id

from lmos_grpc import Agent, MeshClient
from lmos_grpc.cli.command.ask import Question, ask_mesh
from lmos_grpc.cli.exit_code import ExitCode
from lmos_grpc.domain.turn import RouteHint
from lmos_grpc.routing import ExpressLane
from lmos_grpc.telemetry import start_tracing
from tests.mesh.acceptance import (
    INVOKE,
    EndlessAgent,
    StepAgent,
    held,
    invocation,
    post,
    served_by,
    way_to,
    whole_trace,
)
from tests.mesh.foreign_tool import running
from tests.mesh.whole_mesh import (
    LIMIT,
    billing_agent,
    orders_agent,
    output_to,
    settings_for,
    until,
    whole_mesh,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from lmos.agent.v1.agent_service_pb2_grpc import AgentServiceAsyncStub
    from lmos.conversation.v1.conversation_service_pb2_grpc import ConversationServiceAsyncStub
    from lmos.orchestrator.v1.orchestrator_service_pb2_grpc import OrchestratorServiceAsyncStub

    from lmos_grpc import Handover, Turn
    from lmos_grpc.cli.mesh.mesh import RunningMesh

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="module")]
BILL = "why is my bill so high"
CANCELS = 40
Kinds = list[str | None]


class FrontAgent(Agent):
    """Passes its turns on, and counts those of its other capability."""

    def __init__(self) -> None:
        super().__init__("front-agent", version="1.0.0", description="Passes on.", may_hand_over=True)

        @self.capability("pass-on", version="1.0.0")
        async def pass_on(turn: Turn) -> AsyncIterator[Handover]:
            yield turn.hand_over(capability="explain-bill", reason="a bill")


class TwoCapabilities(Agent):
    """Says which of its capabilities was asked."""

    def __init__(self) -> None:
        super().__init__("double-agent", version="1.0.0", description="Does two things.")
        self.turns = 0

        @self.capability("mow-lawn", version="1.0.0", examples={"en": ["please mow my lawn"]})
        async def mow(_turn: Turn) -> AsyncIterator[str]:
            self.turns += 1
            yield "mown"

        @self.capability("wash-car", version="1.0.0", examples={"en": ["please wash my car"]})
        async def wash(_turn: Turn) -> AsyncIterator[str]:
            self.turns += 1
            yield "washed"


class DiaryAgent(Agent):
    """Tells the mesh of its turns itself."""

    def __init__(self) -> None:
        super().__init__("diary-agent", version="1.0.0", description="Keeps a diary.", records_turns=True)
        self.history: tuple[str, ...] = ()

        @self.capability("write-diary", version="1.0.0", examples={"en": ["dear diary"]})
        async def write(turn: Turn) -> AsyncIterator[str]:
            self.history = tuple(each.text for each in turn.history)
            yield "Dear "
            yield "diary."
            if "break" in turn.text:
                raise LookupError


class Cast:
    """The agents of these tests."""

    def __init__(self) -> None:
        self.counting = StepAgent()
        self.endless = EndlessAgent()
        self.double = TwoCapabilities()
        self.diary = DiaryAgent()

    @property
    def all(self) -> tuple[Agent, ...]:
        return (billing_agent(), orders_agent(), FrontAgent(), self.counting, self.endless, self.double, self.diary)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cast() -> Cast:
    return Cast()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory, cast: Cast) -> AsyncIterator[RunningMesh]:
    async with held(whole_mesh(tmp_path_factory.mktemp("express"), *cast.all, express=ExpressLane.ON)) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def edge(mesh: RunningMesh) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(mesh.edge) as channel:
        yield channel


def request(text: str, conversation: str, turn: str = "t", **hint: Any) -> agent_service_pb2.InvokeRequest:
    asked = agent_service_pb2.InvokeRequest(
        conversation_id=conversation, turn_id=turn, route_hint=decision_pb2.RouteHint(**hint)
    )
    asked.message.parts.add(text=text)
    return asked


def invoke(edge: grpc.aio.Channel, asked: agent_service_pb2.InvokeRequest) -> grpc.aio.UnaryStreamCall[Any, Any]:
    stub: AgentServiceAsyncStub = agent_service_pb2_grpc.AgentServiceStub(edge)  # type: ignore[assignment]
    return stub.Invoke(asked, timeout=LIMIT.total_seconds())


async def told(call: grpc.aio.UnaryStreamCall[Any, Any]) -> tuple[str, Kinds, str]:
    """The route that Envoy tells of (empty on the managed lane), the kinds of the events, and the text."""
    events = [response.event async for response in call]
    headers = dict(await call.initial_metadata())
    assert ("x-lmos-lane" in headers) == ("x-lmos-route" in headers)
    text = "".join(event.text_delta.text for event in events)
    return str(headers.get("x-lmos-route", "")), [event.WhichOneof("event") for event in events], text


async def figures(mesh: RunningMesh) -> str:
    with await asyncio.to_thread(urllib.request.urlopen, f"http://{mesh.metrics}/metrics") as response:
        text: str = response.read().decode()
        return text


async def test_an_adequate_turn_never_meets_the_orchestrator(mesh: RunningMesh, edge: grpc.aio.Channel) -> None:
    before = [line for line in (await figures(mesh)).splitlines() if line.startswith("lmos_turns_total")]
    route, kinds, text = await told(invoke(edge, request(BILL, "adequate")))
    assert (route, text) == ("billing-agent/1.2.0/stable", "Your bill is 42 euros.")
    assert kinds == ["accepted", "text_delta", "text_delta", "message", "turn_done"]
    after = await figures(mesh)
    assert [line for line in after.splitlines() if line.startswith("lmos_turns_total")] == before
    assert 'lmos_routing_decision_seconds_count{lane="express",mode="classified"}' in after


@pytest.mark.parametrize(("text", "said"), [("please mow my lawn", "mown"), ("please wash my car", "washed")])
async def test_the_agent_learns_which_capability_was_chosen(edge: grpc.aio.Channel, text: str, said: str) -> None:
    assert await told(invoke(edge, request(text, f"learn-{said}"))) == (
        "double-agent/1.0.0/stable",
        ["accepted", "text_delta", "message", "turn_done"],
        said,
    )


async def test_events_come_one_by_one(edge: grpc.aio.Channel, cast: Cast) -> None:
    events = aiter(invoke(edge, request("3", "steps", agent="step-agent")))
    assert (await anext(events)).event.WhichOneof("event") == "accepted"
    for number in ("1 ", "2 ", "3 "):
        cast.counting.steps.release()  # the agent waits for this, so no event can come early
        assert (await anext(events)).event.text_delta.text == number
    assert [each.event.WhichOneof("event") async for each in events] == ["message", "turn_done"]


async def test_server_sent_events_come_over_the_express_lane_one_by_one(mesh: RunningMesh, cast: Cast) -> None:
    body = json.dumps(invocation("2", agent="step-agent", conversationId="sse", turnId="t"))
    header = "content-type: application/json"
    async with running("curl", "-sSN", "-H", header, "-d", body, f"http://{mesh.edge}{INVOKE}") as curl:
        assert "accepted" in (await curl.server_sent_event())["event"]
        for number in ("1 ", "2 "):
            cast.counting.steps.release()
            assert (await curl.server_sent_event())["event"]["textDelta"] == {"text": number}  # and no `routed`
        assert "message" in (await curl.server_sent_event())["event"]
        assert "turnDone" in (await curl.server_sent_event())["event"]
        assert await curl.end() == (0, "")


@pytest.mark.parametrize("kind", ["application/grpc-web+proto", "application/grpc-web-text+proto"])
async def test_grpc_web_comes_over_the_express_lane(mesh: RunningMesh, kind: str) -> None:
    message = request(BILL, f"web-{kind}").SerializeToString()
    frame, text = struct.pack(">BI", 0, len(message)) + message, "text" in kind
    reply = await post(mesh.edge, INVOKE, base64.b64encode(frame) if text else frame, f"accept: {kind}", kind=kind)
    body = reply.body
    if text:  # each piece has padding of its own
        body = b"".join(base64.b64decode(body[at : at + 4]) for at in range(0, len(body), 4))
    kinds = []
    while not body[0] & 0x80:
        size = int.from_bytes(body[1:5])
        event = agent_service_pb2.InvokeResponse.FromString(body[5 : 5 + size]).event
        kinds.append(event.WhichOneof("event"))
        body = body[5 + size :]
    assert kinds == ["accepted", "text_delta", "text_delta", "message", "turn_done"]
    assert b"grpc-status:0" in body


async def test_an_error_before_the_first_event_is_an_error_in_json_as_on_the_managed_lane(mesh: RunningMesh) -> None:
    replies = [
        await post(
            mesh.edge,
            INVOKE,
            json.dumps(invocation(BILL, agent="nobody", conversationId="refused", turnId=turn)).encode(),
        )
        for turn in ("t", "")
    ]
    assert [each.status for each in replies] == [404, 404]
    assert replies[0].json["details"] == replies[1].json["details"]


async def test_a_caller_may_refuse_the_lane_and_is_told_why_it_has_the_managed_one(edge: grpc.aio.Channel) -> None:
    call = invoke(edge, request(BILL, "refused-lane", lane=decision_pb2.LANE_MANAGED))
    decisions = [each.event.routed.decision async for each in call if each.event.WhichOneof("event") == "routed"]
    assert [each.lane for each in decisions] == [decision_pb2.LANE_MANAGED]
    assert decisions[0].reason.endswith("; managed lane: the caller wants it")
    assert "x-lmos-lane" not in dict(await call.initial_metadata())


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (request("pass it on", "front", capability="pass-on", lane=decision_pb2.LANE_EXPRESS), "may hand over"),
        (request(f"{BILL}, and where is my parcel?", "two", lane=decision_pb2.LANE_EXPRESS), "several agents"),
        (request("blue cheese on the moon", "moon", lane=decision_pb2.LANE_EXPRESS), "answers itself"),
    ],
    ids=["handover", "two agents", "nobody"],
)
async def test_a_turn_that_needs_the_mesh_gets_the_managed_lane_even_if_the_express_one_is_asked_for(
    edge: grpc.aio.Channel, asked: agent_service_pb2.InvokeRequest, why: str
) -> None:
    call = invoke(edge, asked)
    first, *_ = [each.event.routed.decision async for each in call if each.event.HasField("routed")]
    assert first.lane == decision_pb2.LANE_MANAGED
    assert why in first.reason


async def test_who_asks_from_the_command_line_is_told_why_on_the_express_lane_too(mesh: RunningMesh) -> None:
    said = io.StringIO()
    question = Question("please mow my lawn", RouteHint())
    assert await ask_mesh(settings_for(mesh), output_to(said), question, why=True) is ExitCode.OK
    assert "double-agent 1.0.0 (mow-lawn) · completed" in said.getvalue()
    assert "why: classified → double-agent/mow-lawn: 'mow-lawn' of double-agent scored" in said.getvalue()
    assert "express lane: one agent, and nothing to do with its stream" in said.getvalue()
    assert "· express lane\n" in said.getvalue()


async def test_a_route_is_explained_with_its_lane(edge: grpc.aio.Channel) -> None:
    stub: OrchestratorServiceAsyncStub = orchestrator_service_pb2_grpc.OrchestratorServiceStub(edge)  # type: ignore[assignment]

    async def explained(**hint: Any) -> decision_pb2.Decision:
        turn = request(BILL, "", "", **hint)
        asked = orchestrator_service_pb2.ExplainRouteRequest(turn=turn)
        return (await stub.ExplainRoute(asked, timeout=5)).decision

    adequate, refused = await explained(), await explained(capability="pass-on")
    assert (adequate.lane, refused.lane) == (decision_pb2.LANE_EXPRESS, decision_pb2.LANE_MANAGED)
    assert adequate.reason.endswith("; express lane: one agent, and nothing to do with its stream")
    assert refused.reason.endswith("; managed lane: front-agent may hand over")


async def test_a_turn_that_is_sent_twice_runs_once(edge: grpc.aio.Channel, cast: Cast) -> None:
    before = cast.double.turns
    asked = request("please mow my lawn", "twice")
    first, second = await told(invoke(edge, asked)), await told(invoke(edge, asked))
    assert first == second
    assert first[0] == "double-agent/1.0.0/stable"
    assert cast.double.turns == before + 1
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await told(invoke(edge, request("please wash my car", "twice")))
    assert refused.value.code() is grpc.StatusCode.ABORTED


async def test_a_turn_that_ran_on_the_managed_lane_is_not_run_again_on_the_express_one(
    edge: grpc.aio.Channel, cast: Cast
) -> None:
    before = cast.double.turns
    asked = request("mow", "moved", capability="mow-lawn", lane=decision_pb2.LANE_MANAGED)
    first, again = await told(invoke(edge, asked)), await told(invoke(edge, asked))
    assert first == again
    # The hint is part of the request: with another one it is another turn, and refused as such.
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await told(invoke(edge, request("mow", "moved", capability="mow-lawn")))
    assert refused.value.code() is grpc.StatusCode.ABORTED
    assert cast.double.turns == before + 1


async def test_a_follow_up_stays_with_the_agent_of_the_express_turn_before_on_either_lane(
    mesh: RunningMesh, edge: grpc.aio.Channel
) -> None:
    await told(invoke(edge, request(BILL, "sticky", "t1")))
    route, _, _ = await told(invoke(edge, request("and why?", "sticky", "t2", lane=decision_pb2.LANE_EXPRESS)))
    assert route == "billing-agent/1.2.0/stable"
    conversations: ConversationServiceAsyncStub = conversation_service_pb2_grpc.ConversationServiceStub(edge)  # type: ignore[assignment]
    listing = conversation_service_pb2.ListTurnsRequest(conversation_id="sticky")

    async def both_recorded() -> bool:
        try:
            turns = (await conversations.ListTurns(listing, timeout=5)).turns
        except grpc.aio.AioRpcError:
            return False
        # Nobody in the mesh saw the answer, and the log does not say more.
        assert {each.outcome for each in turns} <= {agent_event_pb2.OUTCOME_UNSEEN}
        return len(turns) == 2

    await until(both_recorded)
    call = invoke(edge, request("and why?", "sticky", "t3"))  # without its history, so on the managed lane
    routed = [each.event.routed.decision async for each in call if each.event.HasField("routed")]
    assert [each.agent for each in routed[0].targets] == ["billing-agent"]
    assert "the history, which the caller did not send" in routed[0].reason
    assert mesh.view.agents


async def test_an_agent_that_records_its_turns_has_told_the_mesh_before_its_caller_sees_the_end(
    edge: grpc.aio.Channel, cast: Cast
) -> None:
    conversations: ConversationServiceAsyncStub = conversation_service_pb2_grpc.ConversationServiceStub(edge)  # type: ignore[assignment]
    listing = conversation_service_pb2.ListTurnsRequest(conversation_id="diary")
    for turn, said, outcome in (
        ("t1", "hello", agent_event_pb2.OUTCOME_COMPLETED),
        ("t2", "break", agent_event_pb2.OUTCOME_FAILED),
    ):
        asked = request(said, "diary", turn, agent="diary-agent", lane=decision_pb2.LANE_EXPRESS)
        assert (await told(invoke(edge, asked)))[0] == "diary-agent/1.0.0/stable"
        *_, last = (await conversations.ListTurns(listing, timeout=5)).turns
        assert (last.turn_id, last.outcome, last.request.parts[0].text) == (turn, outcome, said)
        assert [each.parts[0].text for each in last.responses] == ["Dear diary."]
    await told(invoke(edge, request("and now?", "diary", "t3")))  # without its history, so on the managed lane
    assert cast.diary.history == ("hello", "Dear diary.", "break", "Dear diary.")


async def test_a_question_that_the_mesh_did_not_see_is_answered_where_it_was_asked(edge: grpc.aio.Channel) -> None:
    route, kinds, _ = await told(invoke(edge, request("where is my parcel", "question", "t1")))
    assert (route, "clarification" in kinds) == ("orders-agent/2.0.0/stable", True)
    answering = request("that one", "question", "t2")
    answering.answer.clarification_id, answering.answer.option_id = "which", "router"
    assert (await told(invoke(edge, answering)))[2] == "The router comes tomorrow."


async def test_cancelling_reaches_the_agent_within_a_tenth_of_a_second(
    edge: grpc.aio.Channel, cast: Cast, record_property: Callable[[str, object], None]
) -> None:
    took = []
    for number in range(CANCELS):
        call = invoke(edge, request("hello", f"cancel-{number}", agent="endless-agent"))
        async for response in call:
            if response.event.WhichOneof("event") == "text_delta":
                break
        left = time.perf_counter()
        call.cancel()
        took.append(await cast.endless.next_end() - left)
    record_property("cancel_ms", [round(each * 1_000, 1) for each in took])
    assert statistics.median(took) < 0.1  # the machine has other work, too


async def test_the_callers_deadline_is_the_agents(edge: grpc.aio.Channel, cast: Cast) -> None:
    stub: AgentServiceAsyncStub = agent_service_pb2_grpc.AgentServiceStub(edge)  # type: ignore[assignment]
    began = time.perf_counter()
    # The agent tells that its time is up, less a margin, and the caller may just hear it.
    with suppress(grpc.aio.AioRpcError):
        _, kinds, _ = await told(stub.Invoke(request("hello", "late", agent="endless-agent"), timeout=1))
        assert kinds[-2:] == ["error", "turn_done"]
    assert 0.5 < await cast.endless.next_end() - began < 1.5


async def test_an_express_turn_is_one_whole_trace_with_the_decision_on_the_edges_span(mesh: RunningMesh) -> None:
    async with start_tracing("caller", endpoint=mesh.otlp, instance_id="caller-1") as tracing:
        with tracing.tracer.start_as_current_span("a customer asks") as root:
            async with MeshClient(mesh.edge, tracer=tracing.tracer) as client:
                assert await client.ask(BILL, conversation_id="traced") == "Your bill is 42 euros."
    trace_id = format_trace_id(root.get_span_context().trace_id)
    trace = await whole_trace(mesh.state, trace_id, "caller", "lmos-edge", "billing-agent", "async express egress")
    assert {span.service for span in trace.spans} == {"caller", "lmos-edge", "billing-agent"}
    [asked] = served_by(trace, "billing-agent")
    assert way_to(trace, asked) == ["caller", "lmos-edge", "billing-agent"]
    [decided] = served_by(trace, "lmos-edge")
    told = {name.removeprefix("lmos.route."): value for name, value in decided.attributes.items() if "lmos." in name}
    assert 0 < float(str(told.pop("top_score"))) <= 1
    assert told == {
        "lane": "express",
        "mode": "classified",
        "targets": "billing-agent/1.2.0/stable",
        "capabilities": "explain-bill",
    }


async def test_a_cancelled_express_turn_is_a_whole_trace_too(mesh: RunningMesh, cast: Cast) -> None:
    async with start_tracing("caller", endpoint=mesh.otlp, instance_id="caller-2") as tracing:
        with tracing.tracer.start_as_current_span("a customer hangs up") as root:
            async with MeshClient(mesh.edge, tracer=tracing.tracer) as client:
                turn = client.invoke("hello", agent="endless-agent", conversation_id="hang-up")
                async with aclosing(turn) as events:
                    await anext(events)
                    await anext(events)
        await cast.endless.next_end()
    trace = await whole_trace(
        mesh.state,
        format_trace_id(root.get_span_context().trace_id),
        *("caller", "lmos-edge", "endless-agent"),
    )
    [call] = served_by(trace, "endless-agent")
    assert call.attributes["rpc.response.status_code"] == "CANCELLED"
