"""`python -m bench.talking_agent MESH`: talks as a model does, 200 ms to the first token and 20 ms to each other."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING

from lmos_grpc import Agent, AgentSettings, serve_agent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos_grpc import Turn

_FIRST_TOKEN_SECONDS = 0.2
_TOKEN_SECONDS = 0.02
_ANSWER = (
    "I have looked at your contract and at your last three bills. Everything on them is as it should be, and there is "
    "nothing that you have to do. If you want to, I can send all of them to you once more."
)

agent = Agent("talking-agent", version="1.0.0", description="Talks at the speed of a language model.")


@agent.capability(
    "talk",
    version="1.0.0",
    description="Talks about bills.",
    examples={"en": ["why is my bill so high", "please explain my contract", "is my bill paid", "check my line"]},
)
async def talk(_turn: Turn) -> AsyncIterator[str]:
    """The answer, a word at a time."""
    await asyncio.sleep(_FIRST_TOKEN_SECONDS)
    for word in _ANSWER.split(" "):
        yield f"{word} "
        await asyncio.sleep(_TOKEN_SECONDS)


async def _serve(mesh: str) -> None:
    async with serve_agent(agent, AgentSettings(mesh=mesh)) as served:
        await served.wait_registered()
        print(json.dumps({"event": "registered"}), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
