"""The clusters that the live view amounts to, built when they are asked for and kept while they stay the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmos_grpc.control_plane.cluster import cluster_resource, endpoints_of
from lmos_grpc.domain.card import AgentKey

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmos_grpc.control_plane.cluster import Endpoints
    from lmos_grpc.control_plane.envoy_messages import Resource
    from lmos_grpc.domain.instance import Agent

    BuildCluster = Callable[[str, Endpoints], Resource]


class Snapshot:
    """Cluster by name. A renewal or a new load figure changes no endpoint and so builds nothing."""

    def __init__(self, agents: Mapping[AgentKey, Agent], build: BuildCluster = cluster_resource) -> None:
        self._agents = agents
        self._build = build
        self._built: dict[str, tuple[Endpoints, Resource]] = {}

    def resource(self, name: str) -> Resource | None:
        """The cluster of that name, or None where no such agent is live."""
        key = AgentKey.from_route(name)
        agent = self._agents.get(key) if key else None
        if agent is None:
            self._built.pop(name, None)
            return None
        endpoints = endpoints_of(agent)
        known = self._built.get(name)
        if known is None or known[0] != endpoints:
            known = self._built[name] = (endpoints, self._build(name, endpoints))
        return known[1]
