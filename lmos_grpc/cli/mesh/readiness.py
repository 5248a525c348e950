"""Waiting until the agents of a mesh can be asked."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from lmos_grpc.domain.instance import InstanceState
from lmos_grpc.errors import EnvironmentFaultError

if TYPE_CHECKING:
    from datetime import timedelta

    from lmos_grpc.cli.mesh.mesh import RunningMesh

_LOOK_AGAIN_SECONDS = 0.2


async def wait_for_agents(mesh: RunningMesh, limit: timedelta) -> None:
    """Returns once as many instances are ready as the mesh started processes.

    Raises:
        EnvironmentFaultError: one of them ended, or they are not all there within the limit.
    """
    changed = asyncio.Event()
    unsubscribe = mesh.view.subscribe(lambda _keys: changed.set())
    try:
        async with asyncio.timeout(limit.total_seconds()):
            while _missing(mesh):
                changed.clear()
                # A process that ends changes nothing in the view; so look again now and then.
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_AGAIN_SECONDS):
                        await changed.wait()
    except TimeoutError:
        raise EnvironmentFaultError(
            f"{_missing(mesh)} of {len(mesh.agents)} agents are not ready after {limit.total_seconds():g} s; "
            "--verbose shows their logs"
        ) from None
    finally:
        unsubscribe()


def _missing(mesh: RunningMesh) -> int:
    for each in mesh.agents:
        if each.last_code is not None:
            why = " / ".join(each.last_lines)
            raise EnvironmentFaultError(
                f"the agent {each.command.name} ended with code {each.last_code} before it was ready: {why}",
                agent=each.command.name,
            )
    instances = (each for agent in mesh.view.agents.values() for each in agent.instances)
    return max(0, len(mesh.agents) - sum(each.state is InstanceState.READY for each in instances))
