"""All checks, in the order in which they are worth reading."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmos_grpc.cli.doctor import machine_checks as machine
from lmos_grpc.cli.doctor.mesh_checks import check_mesh, check_skew
from lmos_grpc.cli.doctor.rules_check import check_rules
from lmos_grpc.cli.mesh.whereabouts import find_mesh

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmos_grpc.cli.doctor.finding import Finding
    from lmos_grpc.cli.settings import Settings


async def examine(settings: Settings, environment: Mapping[str, str]) -> tuple[Finding, ...]:
    """Runs every check."""
    edge = find_mesh(settings).edge
    ours, mesh = await check_mesh(edge)
    ports = (("edge", settings.mesh.edge), ("internal", settings.mesh.internal), ("metrics", settings.mesh.metrics))
    return (
        machine.check_versions(),
        await machine.check_envoy(),
        machine.check_loopback(),
        *(machine.check_port(name, address, ours=ours) for name, address in ports),
        machine.check_state(settings.mesh.state),
        await machine.check_clock(),
        *await check_skew(edge),
        machine.check_environment(environment),
        mesh,
        *check_rules(settings),
    )
