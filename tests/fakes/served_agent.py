"""A sample agent, served for real on a loopback port and asked over gRPC."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from agents.telco_data import CustomerData
from lmos_grpc.clients.agent_client import AgentClient
from lmos_grpc.domain.event import Clarification, TextDelta, TurnDone
from lmos_grpc.domain.turn import ClarificationAnswer, Message, RouteHint, TurnRequest, User
from lmos_grpc.rpc import open_channel
from lmos_grpc.sdk import AgentSettings, serve_agent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from types import ModuleType

    import pytest

    from lmos_grpc.domain.event import AgentEvent, EventBody, Outcome
    from lmos_grpc.sdk import Agent, ModelSettings

TODAY = date(2025, 3, 14)

_LIMIT = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a turn."""

    events: tuple[AgentEvent, ...]

    @property
    def bodies(self) -> list[EventBody]:
        return [event.body for event in self.events]

    @property
    def text(self) -> str:
        return "".join(body.text for body in self.bodies if isinstance(body, TextDelta))

    @property
    def outcome(self) -> Outcome:
        done = self.bodies[-1]
        assert isinstance(done, TurnDone)
        return done.outcome

    @property
    def question(self) -> Clarification:
        [asked] = [body for body in self.bodies if isinstance(body, Clarification)]
        return asked


class Caller:
    """Asks an agent as a customer would, through the mesh or not."""

    def __init__(self, client: AgentClient) -> None:
        self._client = client

    async def ask(self, capability: str, text: str, *, customer: str = "C-1001", locale: str = "") -> Answer:
        """A turn of its own."""
        return await self._turn(TurnRequest(Message.from_user(text), hint=_to(capability), user=User(customer, locale)))

    async def reply(
        self, capability: str, question: Clarification | str, text: str, *, option: str = "", customer: str = "C-1001"
    ) -> Answer:
        """The turn that answers a question of the turn before."""
        question_id = question if isinstance(question, str) else question.id
        answer = ClarificationAnswer(question_id, option)
        return await self._turn(
            TurnRequest(Message.from_user(text), hint=_to(capability), user=User(customer), answer=answer)
        )

    async def _turn(self, turn: TurnRequest) -> Answer:
        return Answer(tuple([event async for event in self._client.invoke(turn, timeout=_LIMIT)]))


def _to(capability: str) -> RouteHint:
    return RouteHint(capability=capability)


@asynccontextmanager
async def served(agent: Agent, *, model: ModelSettings | None = None) -> AsyncIterator[Caller]:
    """Serves the agent without a mesh until the block ends and gives a caller of it."""
    async with (
        serve_agent(agent, AgentSettings(mesh=None, model=model)) as place,
        open_channel(place.address) as channel,
    ):
        yield Caller(AgentClient(channel))


def fresh_data(patch: pytest.MonkeyPatch, directory: Path, agent_module: ModuleType) -> CustomerData:
    """Gives an agent a data set of its own on 14 March 2025, and lets it speak without pauses."""
    data = CustomerData(directory, today=lambda: TODAY)
    patch.setattr(agent_module, "customers", data)
    patch.setattr("agents.telco_data.speech.WORD_PAUSE_SECONDS", 0)
    return data
