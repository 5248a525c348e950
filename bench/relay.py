"""The alternative that the managed lane is measured against: decode, encode, yield, and nothing else."""

from __future__ import annotations

import argparse
import json
import signal
from typing import TYPE_CHECKING, Any

import grpc.aio
import uvloop
from lmos.agent.v1 import agent_service_pb2_grpc

from lmos_grpc.cli.running import stop_signals

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos.agent.v1 import agent_service_pb2
    from lmos.agent.v1.agent_service_pb2_grpc import AgentServiceAsyncStub


class Relay(agent_service_pb2_grpc.AgentServiceServicer):
    """Asks another service, and gives what it says."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        # The generated stub serves both kinds of channel; its type knows only one at a time.
        self._stub: AgentServiceAsyncStub = agent_service_pb2_grpc.AgentServiceStub(channel)  # type: ignore[assignment]

    async def Invoke(  # noqa: N802 - the name in the contract
        self,
        request: agent_service_pb2.InvokeRequest,
        context: grpc.aio.ServicerContext[Any, Any],  # Any: grpc-stubs has it so
    ) -> AsyncIterator[agent_service_pb2.InvokeResponse]:
        """Relays a turn."""
        del context
        async for response in self._stub.Invoke(request):
            yield response


async def serve(listen: str, target: str) -> None:
    """Serves until SIGTERM."""
    with stop_signals() as stop:
        async with grpc.aio.insecure_channel(target) as channel:
            server = grpc.aio.server()
            # At run time the generated base answers UNIMPLEMENTED for what is not there; its type says abstract.
            relay = Relay(channel)  # type: ignore[abstract]
            agent_service_pb2_grpc.add_AgentServiceServicer_to_server(relay, server)
            server.add_insecure_port(listen)
            await server.start()
            print(json.dumps({"event": "ready"}), flush=True)
            await stop.wait()
            await server.stop(0)


def main() -> None:
    """Runs the relay, on the event loop that the mesh has too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", required=True)
    parser.add_argument("--target", required=True)
    asked = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    uvloop.run(serve(asked.listen, asked.target))


if __name__ == "__main__":
    main()
