"""What callers from outside can do on the edge: gRPC, gRPC-Web, JSON with server-sent events; and what they cannot."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from lmos.agent.v1 import agent_service_pb2, message_pb2

from tests.mesh.conftest import answer, bare, failure, turn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.mesh.conftest import Mesh

INVOKE = "/lmos.agent.v1.AgentService/Invoke"
ORIGIN = "https://shop.example"
REQUEST = agent_service_pb2.InvokeRequest(message=message_pb2.Message(parts=[message_pb2.Part(text="hello")]))
JSON_REQUEST = json.dumps({"message": {"parts": [{"text": "hello"}]}})


class Reply:
    """An HTTP reply whose body is read as it comes."""

    def __init__(self, status: int, headers: dict[str, str], body: asyncio.StreamReader) -> None:
        self.status = status
        self.headers = headers
        self._body = body

    async def chunk(self) -> bytes:
        """The next chunk of a chunked body; empty at its end."""
        async with asyncio.timeout(5):
            size = int(await self._body.readline(), 16)
            data = await self._body.readexactly(size)
            await self._body.readexactly(2)
            return data

    async def whole(self) -> bytes:
        """All of the body."""
        async with asyncio.timeout(5):
            if "content-length" in self.headers:
                return await self._body.readexactly(int(self.headers["content-length"]))
            return b"".join([chunk async for chunk in self.chunks()])

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body, chunk by chunk."""
        while chunk := await self.chunk():
            yield chunk


@asynccontextmanager
async def http(mesh: Mesh, method: str, path: str, body: bytes | str = b"", **headers: str) -> AsyncIterator[Reply]:
    """An HTTP/1.1 request to the edge, as curl or a browser sends it. Underscores in header names stand for dashes."""
    raw = body.encode() if isinstance(body, str) else body
    lines = {"host": "edge", "content-length": str(len(raw)), "content-type": "application/json"}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    reader, writer = await asyncio.open_connection("127.0.0.1", mesh.envoy.edge_port)
    try:
        writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + raw)
        async with asyncio.timeout(5):
            received = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        pairs = [line.partition(": ")[::2] for line in received[1:] if line]
        yield Reply(int(received[0].split()[1]), dict(pairs), reader)
    finally:
        writer.close()
        with suppress(ConnectionError):  # the edge hangs up on who sends on and on
            await writer.wait_closed()


async def test_a_caller_cannot_set_headers_that_are_the_meshs_own(mesh: Mesh) -> None:
    forged = (
        ("x-lmos-route", "billing/1.0.0/stable"),
        ("x-lmos-visited", "billing"),
        ("x-lmos-conversation", "c"),
        ("x-lmos-anything", "x"),
        ("lmos-kept-tenant", "forged"),
        ("x-envoy-retry-on", "5xx"),
        ("x-envoy-upstream-rq-timeout-ms", "1"),
    )
    assert await answer(turn(mesh.edge, "hello", *forged)) == "orchestrator"
    (seen,) = mesh.orchestrator.calls
    assert {name for name in seen if name.startswith(("x-lmos-", "lmos-", "x-envoy-"))} <= {"x-envoy-external-address"}


async def test_a_caller_can_say_for_whom_the_call_is(mesh: Mesh) -> None:
    said = {"x-lmos-tenant": "de", "x-lmos-channel": "ivr", "x-lmos-subset": "canary", "authorization": "Bearer x"}
    await answer(turn(mesh.edge, "hello", *said.items()))
    (seen,) = mesh.orchestrator.calls
    assert said.items() <= seen.items()


async def test_the_events_of_a_turn_come_one_by_one_as_server_sent_events(mesh: Mesh) -> None:
    body = json.dumps({"message": {"parts": [{"text": "count 3"}]}})
    async with http(mesh, "POST", INVOKE, body) as reply:
        assert (reply.status, reply.headers["content-type"]) == (200, "text/event-stream")
        assert "accepted" in _event(await reply.chunk())
        for number in ("1", "2", "3"):
            mesh.orchestrator.steps.release()  # the agent waits for this, so no event can come early
            assert _event(await reply.chunk())["textDelta"] == {"text": number}
        rest = b"".join([chunk async for chunk in reply.chunks()])
        assert b"turnDone" in rest


async def test_a_unary_call_in_json_gets_json(mesh: Mesh) -> None:
    async with http(mesh, "POST", "/lmos.discovery.v1.DiscoveryService/ListAgents", "{}") as reply:
        assert reply.headers["content-type"] == "application/json"
        assert json.loads(await reply.whole())["nextPageToken"] == "more"


async def test_an_error_before_the_first_event_is_an_http_error_in_json(mesh: Mesh) -> None:
    body = json.dumps({"message": {"parts": [{"text": "fail early"}]}})
    async with http(mesh, "POST", INVOKE, body) as reply:
        assert reply.status == 503
        assert json.loads(await reply.whole()) == {"code": 14, "message": "not now"}


async def test_envoys_own_errors_reach_callers_in_json_with_their_reason(mesh: Mesh) -> None:
    await mesh.stop_orchestrator()
    async with http(mesh, "POST", INVOKE, JSON_REQUEST) as reply:
        error = json.loads(await reply.whole())
    assert (reply.status, reply.headers["x-lmos-error-reason"]) == (503, "UNREACHABLE")
    assert (error["code"], error["details"][0]["reason"]) == (14, "UNREACHABLE")
    assert "orchestrator" in error["message"]


@pytest.mark.parametrize("body", ["{bad", '{"message": 5}', "[]", '"'])
async def test_what_is_no_json_of_the_request_is_told_in_json(mesh: Mesh, body: str) -> None:
    async with http(mesh, "POST", INVOKE, body) as reply:
        error = json.loads(await reply.whole())
    assert (reply.status, reply.headers["content-type"]) == (400, "application/json")
    assert (error["code"], error["details"][0]["reason"]) == (3, "INVALID_REQUEST")
    assert "not the JSON" in error["message"]


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD"])
async def test_only_post_is_taken_and_the_rest_is_told_so(mesh: Mesh, method: str) -> None:
    async with http(mesh, method, INVOKE) as reply:
        assert (reply.status, reply.headers["allow"]) == (405, "POST")
        assert method == "HEAD" or json.loads(await reply.whole())["code"] == 12


@pytest.mark.parametrize("kind", ["application/json", ""])
async def test_a_method_that_is_not_there_is_told_in_json(mesh: Mesh, kind: str) -> None:
    async with http(mesh, "POST", "/lmos.agent.v1.AgentService/Nothing", "{}", content_type=kind) as reply:
        assert (reply.status, json.loads(await reply.whole())["code"]) == (404, 12)


@pytest.mark.parametrize(
    "method",
    [
        *(f"discovery.v1.DiscoveryService/{each}" for each in ("Register", "Renew", "Deregister", "UpdateState")),
        "conversation.v1.ConversationService/RecordTurn",
        "conversation.v1.ConversationService/GetRoutingState",
    ],
)
async def test_nobody_registers_an_agent_or_records_a_turn_at_the_edge(mesh: Mesh, method: str) -> None:
    path = f"/lmos.{method}"
    code, _, message = await failure(bare(mesh.edge, path))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert "internal listener" in message
    async with http(mesh, "POST", path, "{}") as reply:
        assert (reply.status, json.loads(await reply.whole())["code"]) == (403, 7)


async def test_a_path_that_is_not_ours_is_told_in_json(mesh: Mesh) -> None:
    async with http(mesh, "GET", "/nothing") as reply:
        assert (reply.status, json.loads(await reply.whole())["code"]) == (404, 12)


@pytest.mark.parametrize("kind", ["application/grpc-web+proto", "application/grpc-web-text+proto"])
async def test_a_browser_can_call_with_grpc_web(mesh: Mesh, kind: str) -> None:
    frame = _frame(REQUEST.SerializeToString())
    text = "text" in kind
    body = base64.b64encode(frame) if text else frame
    async with http(mesh, "POST", INVOKE, body, content_type=kind, accept=kind, origin=ORIGIN) as reply:
        raw = b"".join([chunk async for chunk in reply.chunks()])
    assert (reply.status, reply.headers["access-control-allow-origin"]) == (200, ORIGIN)
    if text:  # each piece has padding of its own
        raw = b"".join(base64.b64decode(raw[at : at + 4]) for at in range(0, len(raw), 4))
    *messages, (flag, trailers) = _frames(raw)
    events = [agent_service_pb2.InvokeResponse.FromString(data).event for _, data in messages]
    assert "".join(event.text_delta.text for event in events) == "orchestrator"
    assert flag == 0x80
    assert b"grpc-status:0" in trailers


async def test_envoys_own_errors_reach_callers_in_grpc_web(mesh: Mesh) -> None:
    await mesh.stop_orchestrator()
    frame = _frame(REQUEST.SerializeToString())
    async with http(mesh, "POST", INVOKE, frame, content_type="application/grpc-web+proto", origin=ORIGIN) as reply:
        assert reply.headers["grpc-status"] == "14"
        assert "lmos-grpc-status" not in reply.headers
        assert reply.headers["x-lmos-error-reason"] == "UNREACHABLE"
        assert "x-lmos-error-reason" in reply.headers["access-control-expose-headers"]


async def test_a_browser_may_ask_first(mesh: Mesh) -> None:
    asked = {"origin": ORIGIN, "access_control_request_method": "POST", "access_control_request_headers": "x-grpc-web"}
    async with http(mesh, "OPTIONS", INVOKE, **asked) as reply:
        assert (reply.status, reply.headers["access-control-allow-origin"]) == (200, ORIGIN)
        assert "x-grpc-web" in reply.headers["access-control-allow-headers"]
        assert "POST" in reply.headers["access-control-allow-methods"]


@pytest.mark.parametrize(
    ("origin", "let_in"),
    [
        (ORIGIN, True),
        ("http://localhost:3000", True),
        ("http://127.0.0.1", True),
        ("https://evil.example", False),
        ("http://localhost.evil.example", False),
    ],
)
async def test_pages_of_other_origins_than_those_that_are_let_in_may_not_read_an_answer(
    mesh: Mesh, origin: str, *, let_in: bool
) -> None:
    body = json.dumps({"message": {"parts": [{"text": "hello"}]}}).encode()
    async with http(mesh, "POST", INVOKE, body, origin=origin) as reply:
        assert reply.headers.get("access-control-allow-origin") == (origin if let_in else None)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", INVOKE, 405), ("POST", "/nothing", 404), ("POST", "/lmos.discovery.v1.DiscoveryService/Register", 403)],
)
async def test_a_page_can_read_what_the_edge_refuses_by_itself(mesh: Mesh, method: str, path: str, status: int) -> None:
    async with http(mesh, method, path, "{}", origin=ORIGIN) as reply:
        assert (reply.status, reply.headers["access-control-allow-origin"]) == (status, ORIGIN)
        assert "code" in json.loads(await reply.whole())


async def test_reflection_and_health_answer_on_the_edge(mesh: Mesh) -> None:
    reflect: Any = reflection_pb2_grpc.ServerReflectionStub(mesh.edge)
    asked = [reflection_pb2.ServerReflectionRequest(list_services="")]
    listed = [response async for response in reflect.ServerReflectionInfo(iter(asked), timeout=5)]
    names = {service.name for service in listed[0].list_services_response.service}
    assert "lmos.agent.v1.AgentService" in names
    health: Any = health_pb2_grpc.HealthStub(mesh.edge)
    assert (await health.Check(health_pb2.HealthCheckRequest(), timeout=5)).status == 1


async def test_a_message_of_five_megabytes_is_refused_by_the_server_and_not_by_envoy(mesh: Mesh) -> None:
    code, _, message = await failure(turn(mesh.edge, "x" * 5_000_000))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in message


@pytest.mark.parametrize("size", [5_300_000, 12_000_000])
@pytest.mark.parametrize("kind", ["application/grpc-web+proto", "application/grpc-web-text+proto"])
async def test_a_request_that_no_server_would_take_is_refused_by_name_in_grpc_web(
    mesh: Mesh, kind: str, size: int
) -> None:
    frame = _frame(b"x" * size)
    body = base64.b64encode(frame) if "text" in kind else frame
    async with http(mesh, "POST", INVOKE, body, content_type=kind, accept=kind, origin=ORIGIN) as reply:
        assert (reply.headers["grpc-status"], reply.headers["x-lmos-error-reason"]) == ("8", "MESSAGE_TOO_LARGE")
        assert reply.headers["grpc-status-details-bin"]
        assert "send large content by reference" in unquote(reply.headers["grpc-message"])


async def test_a_message_of_nearly_four_megabytes_passes(mesh: Mesh) -> None:
    assert await answer(turn(mesh.edge, "x" * 4_000_000)) == "orchestrator"


def _event(chunk: bytes) -> dict[str, Any]:
    assert chunk.startswith(b"data: ")
    assert chunk.endswith(b"\n\n")
    event: dict[str, Any] = json.loads(chunk.removeprefix(b"data: "))["event"]
    return event


def _frame(message: bytes) -> bytes:
    return struct.pack(">BI", 0, len(message)) + message


def _frames(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    while data:
        flag, size = struct.unpack(">BI", data[:5])
        found.append((flag, data[5 : 5 + size]))
        data = data[5 + size :]
    return found
