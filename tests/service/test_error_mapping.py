"""Errors over real gRPC: they arrive as what they were, whatever their size."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmos_grpc.clients.agent_client import AgentClient
from lmos_grpc.domain.turn import Message, TurnRequest
from lmos_grpc.errors import InvalidRequestError, LmosError, QuotaExceededError, UnknownAgentError
from lmos_grpc.rpc import calling, open_channel
from lmos_grpc.rpc.error_mapping import shortened
from tests.fakes.scripted_agent import ScriptedAgent, serve_scripted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import grpc.aio


@asynccontextmanager
async def refused_with(error: LmosError) -> AsyncIterator[AgentClient]:
    async with serve_scripted(ScriptedAgent(refusal=error)) as address, open_channel(address) as channel:
        yield AgentClient(channel)


async def received(error: LmosError) -> LmosError:
    async with refused_with(error) as client:
        with pytest.raises(LmosError) as caught:
            await anext(client.invoke(TurnRequest(Message.from_user("hi"))))
    return caught.value


async def test_an_error_arrives_as_the_class_that_it_was() -> None:
    error = await received(UnknownAgentError("there is no agent 'x'", agent="x"))
    assert isinstance(error, UnknownAgentError)
    assert error.metadata == {"agent": "x"}


@pytest.mark.parametrize("text", ["a" * 100_000, "ü" * 100_000, "日本" * 50_000, "%" * 100_000])
async def test_an_error_whose_message_is_too_long_for_a_header_arrives_shortened(text: str) -> None:
    error = await received(QuotaExceededError(text, tenant=text))
    assert isinstance(error, QuotaExceededError)
    assert error.message.endswith("...")
    assert text.startswith(error.message.removesuffix("..."))


@given(st.text(max_size=300), st.integers(10, 200))
def test_shortening_keeps_to_the_limit_and_only_cuts_the_end(text: str, limit: int) -> None:
    short = shortened(text, limit)
    assert len(quote(short, safe=" ")) <= max(limit, len(quote(text, safe=" "))) or short == text
    assert text.startswith(short.removesuffix("...") if short != text else text)


async def test_a_request_that_cannot_be_read_is_an_error_of_ours_and_fills_no_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serve_scripted(ScriptedAgent()) as address, open_channel(address) as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            "/lmos.agent.v1.AgentService/GetAgentCard"
        )
        with pytest.raises(InvalidRequestError, match="no message of the type"), calling():
            await call(b"\xff\xff\xff", timeout=5)
    assert not caplog.records
