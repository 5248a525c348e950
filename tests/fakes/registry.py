"""A registry in a few lines: instances put into a live view by hand."""

from __future__ import annotations

from datetime import timedelta

from lmos_grpc.clients.live_view import LiveView
from lmos_grpc.domain.card import AgentCard, Capability
from lmos_grpc.domain.instance import (
    Instance,
    InstancePut,
    InstanceRemoved,
    InstanceState,
    Lease,
    RegistryUpdate,
    RemovalReason,
    SnapshotPart,
)

READY, DRAINING = InstanceState.READY, InstanceState.DRAINING


def instance(
    name: str, address: str, *, instance_id: str = "", version: str = "1.0.0", state: InstanceState = READY
) -> Instance:
    """An instance of an agent with one capability; its id is its address unless said otherwise."""
    card = AgentCard(name, version, capabilities=(Capability("answer", "1.0.0"),), converses=True)
    instance_id = instance_id or f"{name}@{address}"
    return Instance(instance_id, address, card, Lease(instance_id, 1, timedelta(seconds=10)), state)


class FakeRegistry:
    """Feeds a live view. It starts in step; `synced=False` leaves the snapshot for later."""

    def __init__(self, *instances: Instance, synced: bool = True) -> None:
        self.view = LiveView()
        self._revision = 0
        if synced:
            self.sync(*instances)

    def sync(self, *instances: Instance) -> None:
        """Tells the view all there is."""
        self._tell(SnapshotPart(instances, first=True, last=True))

    def put(self, *instances: Instance) -> None:
        """Registers instances, or changes them."""
        for each in instances:
            self._tell(InstancePut(each))

    def remove(self, *instances: Instance) -> None:
        """Ends the leases of instances."""
        for each in instances:
            self._tell(InstanceRemoved(each.instance_id, RemovalReason.DEREGISTERED))

    def _tell(self, body: SnapshotPart | InstancePut | InstanceRemoved) -> None:
        self._revision += 1
        self.view.apply(RegistryUpdate(self._revision, str(self._revision), body))
