"""Checks of the mesh that runs, where one does: does it answer, does its clock agree with ours, who is there."""

from __future__ import annotations

import asyncio
import http.client
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from lmos_grpc.cli.doctor.finding import ok, warning
from lmos_grpc.cli.view.figures import span_text
from lmos_grpc.clients.agent_client import AgentClient
from lmos_grpc.clients.discovery_client import DiscoveryClient
from lmos_grpc.errors import LmosError
from lmos_grpc.rpc import open_channel

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmos_grpc.cli.doctor.finding import Finding

_LIMIT = timedelta(seconds=2)
# The header has whole seconds.
_SKEW_TOLERANCE = timedelta(seconds=2)


async def check_mesh(edge: str) -> tuple[bool, Finding]:
    """Whether a mesh answers at the edge, and what it says; that none runs is no fault."""
    async with open_channel(edge) as channel:
        try:
            card = await AgentClient(channel).get_card(timeout=_LIMIT)
            agents = await DiscoveryClient(channel, timeout=_LIMIT).list_agents()
        except LmosError:
            return False, warning("mesh", f"no mesh answers at {edge}", "start one with `lmos up`")
    instances = sum(len(each.instances) for each in agents)
    found = f"{card.name} {card.version} answers at {edge}; {len(agents)} agents, {instances} instances"
    if not agents:
        return True, warning("mesh", found, "start an agent with `lmos agent run PATH`")
    return True, ok("mesh", found)


async def check_skew(edge: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> tuple[Finding, ...]:
    """Whether the clock of the mesh agrees with ours, by the date of an answer; nothing where there is no answer."""
    theirs = await asyncio.to_thread(_date_at, edge)
    if theirs is None:
        return ()
    skew = abs(now() - theirs)
    if skew > _SKEW_TOLERANCE:
        remedy = "synchronise both clocks with NTP; until then spans of one trace do not line up"
        return (warning("clock skew", f"the mesh's clock is {span_text(skew)} from ours", remedy),)
    return (ok("clock skew", "the mesh's clock agrees with ours"),)


def _date_at(edge: str) -> datetime | None:
    connection = http.client.HTTPConnection(edge, timeout=_LIMIT.total_seconds())
    try:
        connection.request("GET", "/")
        said = connection.getresponse().getheader("date")
        return parsedate_to_datetime(said) if said else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
