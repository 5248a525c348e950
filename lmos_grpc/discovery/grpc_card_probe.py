"""Asks an agent for its card over gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmos_grpc.clients.agent_client import AgentClient
from lmos_grpc.rpc import open_channel

if TYPE_CHECKING:
    from datetime import timedelta

    from lmos_grpc.domain.card import AgentCard


class GrpcCardProbe:
    """A `CardProbe` that opens a channel for each question: most addresses are asked once."""

    async def card_at(self, address: str, *, timeout: timedelta) -> AgentCard:
        """See `CardProbe`."""
        async with open_channel(address) as channel:
            return await AgentClient(channel).get_card(timeout=timeout)
