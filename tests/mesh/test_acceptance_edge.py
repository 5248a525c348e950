"""What a stranger with tools of their own finds at the edge of a whole mesh: buf curl, curl, a browser."""

from __future__ import annotations

import base64
import json
import struct
from typing import TYPE_CHECKING, Any

import grpc.aio
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from lmos.agent.v1 import agent_service_pb2

from tests.mesh.acceptance import AGENT_SERVICE, INVOKE, EndlessAgent, StepAgent, held, invocation, post
from tests.mesh.foreign_tool import output_of, running
from tests.mesh.whole_mesh import billing_agent, orders_agent, whole_mesh

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos_grpc.cli.mesh.mesh import RunningMesh
    from tests.mesh.foreign_tool import Running

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="module")]
PUBLIC_SERVICES = (
    AGENT_SERVICE,
    "lmos.conversation.v1.ConversationService",
    "lmos.discovery.v1.DiscoveryService",
    "lmos.orchestrator.v1.OrchestratorService",
)
GRPC = ("--http2-prior-knowledge", "--protocol", "grpc")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def counting() -> StepAgent:
    return StepAgent()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def endless() -> EndlessAgent:
    return EndlessAgent()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(
    tmp_path_factory: pytest.TempPathFactory, counting: StepAgent, endless: EndlessAgent
) -> AsyncIterator[RunningMesh]:
    state = tmp_path_factory.mktemp("edge")
    async with held(whole_mesh(state, billing_agent(), orders_agent(), counting, endless)) as running_mesh:
        yield running_mesh


async def test_buf_lists_the_methods_of_the_public_services(mesh: RunningMesh) -> None:
    listed = (await output_of("buf", "curl", *GRPC, "--list-methods", f"http://{mesh.edge}")).decode().split()
    assert {f"{AGENT_SERVICE}/Invoke", f"{AGENT_SERVICE}/Converse", f"{AGENT_SERVICE}/GetAgentCard"} <= set(listed)
    assert set(PUBLIC_SERVICES) <= {method.partition("/")[0] for method in listed}


async def test_every_public_service_says_that_it_serves(mesh: RunningMesh) -> None:
    async with grpc.aio.insecure_channel(mesh.edge) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        states = {
            name: (await health.Check(health_pb2.HealthCheckRequest(service=name), timeout=5)).status
            for name in ("", *PUBLIC_SERVICES)
        }
    assert set(states.values()) == {health_pb2.HealthCheckResponse.SERVING}


async def test_buf_shows_the_events_of_a_turn_one_by_one(mesh: RunningMesh, counting: StepAgent) -> None:
    body = json.dumps(invocation("3", agent="step-agent"))
    async with running("buf", "curl", *GRPC, "-d", body, f"http://{mesh.edge}{INVOKE}") as buf:
        events = [(await buf.json())["event"] for _ in range(2)]
        assert ["accepted" in events[0], "routed" in events[1]] == [True, True]
        for number in ("1 ", "2 ", "3 "):
            counting.steps.release()  # the agent waits for this, so no event can come early
            assert (await buf.json())["event"]["textDelta"] == {"text": number}
        assert "message" in (await buf.json())["event"]
        assert (await buf.json())["event"]["turnDone"]["outcome"] == "OUTCOME_COMPLETED"
        assert await buf.end() == (0, "")


async def test_curl_gets_the_events_of_a_turn_one_by_one(mesh: RunningMesh, counting: StepAgent) -> None:
    body = json.dumps(invocation("3", agent="step-agent"))
    header = "content-type: application/json"
    async with running("curl", "-sSN", "-H", header, "-d", body, f"http://{mesh.edge}{INVOKE}") as curl:
        events = [(await curl.server_sent_event())["event"] for _ in range(2)]
        assert ["accepted" in events[0], "routed" in events[1]] == [True, True]
        for number in ("1 ", "2 ", "3 "):
            counting.steps.release()
            assert (await curl.server_sent_event())["event"]["textDelta"] == {"text": number}
        assert "message" in (await curl.server_sent_event())["event"]
        last = (await curl.server_sent_event())["event"]
        assert last["turnDone"]["outcome"] == "OUTCOME_COMPLETED"
        assert int(last["sequence"]) == 7
        assert await curl.end() == (0, "")


async def test_curl_that_is_stopped_stops_the_agent(mesh: RunningMesh, endless: EndlessAgent) -> None:
    body = json.dumps(invocation("hello", agent="endless-agent"))
    header = "content-type: application/json"
    async with running("curl", "-sSN", "-H", header, "-d", body, f"http://{mesh.edge}{INVOKE}") as curl:
        while "textDelta" not in (await curl.server_sent_event())["event"]:
            pass
    await endless.next_end()


async def test_buf_holds_a_dialogue_of_two_turns_with_two_agents(mesh: RunningMesh) -> None:
    async with running("buf", "curl", *GRPC, "-d", "@-", f"http://{mesh.edge}/{AGENT_SERVICE}/Converse") as buf:
        buf.write(json.dumps({"sequence": 1, "start": {"conversationId": "call-1", "locale": "en"}}))
        ready = (await buf.json())["event"]
        assert ready["sessionReady"]["conversationId"] == "call-1"
        first = await said_to(buf, 2, "why is my bill so high")
        second = await said_to(buf, 3, "where is my parcel")
        buf.end_input()
        assert "sessionEnded" in (await buf.json())["event"]
        assert await buf.end() == (0, "")
    assert text_of(first) == "Your bill is 42 euros."
    assert [each["clarification"]["question"] for each in second if "clarification" in each] == ["Which one?"]
    numbers = [int(each["sequence"]) for each in (ready, *first, *second)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len({each["turnId"] for each in first}) == len({each["turnId"] for each in second}) == 1


async def said_to(buf: Running, number: int, text: str) -> list[dict[str, Any]]:
    """Says something in a session; gives the events of its turn."""
    buf.write(json.dumps({"sequence": number, "userText": {"text": text, "isFinal": True}}))
    events = [(await buf.json())["event"]]
    while "turnDone" not in events[-1]:
        events.append((await buf.json())["event"])
    return events


def text_of(events: list[dict[str, Any]]) -> str:
    return "".join(each["textDelta"]["text"] for each in events if "textDelta" in each)


@pytest.mark.parametrize("kind", ["application/grpc-web+proto", "application/grpc-web-text+proto"])
async def test_a_turn_over_grpc_web_brings_all_its_events(mesh: RunningMesh, kind: str) -> None:
    request = agent_service_pb2.InvokeRequest(conversation_id="web")
    request.message.parts.add(text="why is my bill so high")
    message = request.SerializeToString()
    frame, text = struct.pack(">BI", 0, len(message)) + message, "text" in kind
    reply = await post(mesh.edge, INVOKE, base64.b64encode(frame) if text else frame, f"accept: {kind}", kind=kind)
    body = reply.body
    if text:  # each piece has padding of its own
        body = b"".join(base64.b64decode(body[at : at + 4]) for at in range(0, len(body), 4))
    *messages, (flag, trailers) = frames(body)
    events = [agent_service_pb2.InvokeResponse.FromString(data).event for _, data in messages]
    assert (reply.status, reply.content_type, flag) == (200, kind, 0x80)
    assert b"grpc-status:0" in trailers
    assert "".join(each.text_delta.text for each in events) == "Your bill is 42 euros."
    assert [each.WhichOneof("event") for each in events][-1] == "turn_done"


def frames(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    while data:
        flag, size = struct.unpack(">BI", data[:5])
        found.append((flag, data[5 : 5 + size]))
        data = data[5 + size :]
    return found


async def test_a_route_can_be_asked_for_in_json(mesh: RunningMesh) -> None:
    body = json.dumps({"turn": invocation("where is my parcel")}).encode()
    reply = await post(mesh.edge, "/lmos.orchestrator.v1.OrchestratorService/ExplainRoute", body)
    assert reply.status == 200
    assert [each["agent"] for each in reply.json["decision"]["targets"]] == ["orders-agent"]
