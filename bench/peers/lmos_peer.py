"""This mesh as one of the peers: eight agents in Python behind Envoy and orchestrator, and a caller in Python."""

from __future__ import annotations

from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import TYPE_CHECKING

from bench.peers.peer_load import AGENTS, EVENT, arguments, run, run_load, serve_until_end
from lmos_grpc import Agent, AgentSettings, MeshClient, Strategy, StrategyKind, TextDelta, serve_agent

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator

    from bench.peers.peer_load import Ask
    from lmos_grpc import Turn


def _agent(number: int) -> Agent:
    agent = Agent(f"peer-{number}", version="1.0.0", description="Answers the benchmark.")

    @agent.capability("peer", version="1.0.0", examples={"en": ["answer the benchmark"]})
    async def peer(turn: Turn) -> AsyncIterator[str]:
        for _ in range(int(turn.text)):
            yield EVENT

    return agent


async def _serve(mesh: str) -> None:
    async with AsyncExitStack() as stack:
        for number in range(AGENTS):
            served = await stack.enter_async_context(serve_agent(_agent(number), AgentSettings(mesh=mesh)))
            await served.wait_registered()
        await serve_until_end([])


@asynccontextmanager
async def _caller(edge: str) -> AsyncIterator[Ask]:
    async with MeshClient(edge) as mesh:

        async def ask(_caller: int, agent: int | None, events: int) -> AsyncIterator[None]:
            strategy = Strategy(StrategyKind.ALL, max_branches=AGENTS) if agent is None else Strategy()
            name = "" if agent is None else f"peer-{agent}"
            turn = mesh.invoke(str(events), agent=name, capability="peer", strategy=strategy)
            async with aclosing(turn) as answer:
                async for event in answer:
                    if isinstance(event.body, TextDelta):
                        yield

        yield ask


async def _main(asked: argparse.Namespace) -> None:
    if asked.role == "agents":
        await _serve(asked.addresses)
    else:
        await run_load(asked, _caller(asked.addresses))


if __name__ == "__main__":
    run(_main(arguments()))
