"""A server in Python that does nothing but speak: ready-made messages of the contract, over either transport."""

from __future__ import annotations

import argparse
import json
import re
import signal
from typing import TYPE_CHECKING, Any

import grpc
import uvloop
from lmos.agent.v1 import agent_event_pb2, agent_service_pb2

from lmos_grpc.cli.running import stop_signals
from lmos_grpc.rpc.transport import Transport, choose_transport, make_server

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOKENS = re.compile(rb"tokens=(\d+)")
_WORD = "0123456789abcdef "  # as long as the compiled agent's


def _messages(tokens: int) -> Iterator[bytes]:
    event = agent_event_pb2.AgentEvent
    yield _said(event(sequence=1, turn_id="turn", accepted=agent_event_pb2.Accepted(conversation_id="c")))
    token = _said(event(sequence=2, turn_id="turn", text_delta=agent_event_pb2.TextDelta(text=_WORD)))
    for _ in range(tokens):
        yield token
    done = agent_event_pb2.TurnDone(outcome=agent_event_pb2.OUTCOME_COMPLETED)
    yield _said(event(sequence=3, turn_id="turn", turn_done=done))


def _said(event: agent_event_pb2.AgentEvent) -> bytes:
    return agent_service_pb2.InvokeResponse(event=event).SerializeToString()


# Any: the context is of either transport.
async def _write(request: bytes, context: Any) -> None:
    for message in _messages(_asked(request)):
        await context.write(message)


async def _push(request: bytes, context: Any) -> None:
    outlet = context.outlet()
    for message in _messages(_asked(request)):
        outlet.put(message)
        if outlet.full:
            await outlet.room()


def _asked(request: bytes) -> int:
    found = _TOKENS.search(request)
    return int(found[1]) if found else 1


async def serve(transport: Transport, *, push: bool) -> None:
    """Serves until SIGTERM."""
    choose_transport(transport)
    with stop_signals() as stop:
        server = make_server(())
        handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "Invoke": grpc.unary_stream_rpc_method_handler(_push if push else _write)
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("lmos.agent.v1.AgentService", handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        print(json.dumps({"event": "ready", "address": f"127.0.0.1:{port}"}), flush=True)
        await stop.wait()
        await server.stop(0)


def main() -> None:
    """Runs the server, on the event loop that the mesh has too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transport", type=Transport, required=True)
    parser.add_argument("--push", action="store_true")
    asked = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    uvloop.run(serve(asked.transport, push=asked.push))


if __name__ == "__main__":
    main()
