"""Instances, leases and registry updates on the wire."""

from __future__ import annotations

from dataclasses import replace

from lmos.discovery.v1 import discovery_service_pb2 as service_pb
from lmos.discovery.v1 import instance_pb2 as pb

from lmos_grpc.domain.instance import (
    DEFAULT_LEASE_TTL,
    EPOCH_START,
    Agent,
    Heartbeat,
    Instance,
    InstancePut,
    InstanceRemoved,
    InstanceState,
    Lease,
    Load,
    RegistryUpdate,
    RemovalReason,
    SnapshotPart,
)
from lmos_grpc.wire.card import card_from_wire, card_to_wire
from lmos_grpc.wire.time import duration_of, moment_of, to_duration, to_timestamp

_STATES = {
    InstanceState.READY: pb.INSTANCE_STATE_READY,
    InstanceState.DRAINING: pb.INSTANCE_STATE_DRAINING,
}
_STATES_BACK = {wire: state for state, wire in _STATES.items()}
_REASONS = {
    RemovalReason.DEREGISTERED: service_pb.REMOVAL_REASON_DEREGISTERED,
    RemovalReason.EXPIRED: service_pb.REMOVAL_REASON_EXPIRED,
}
_REASONS_BACK = {wire: reason for reason, wire in _REASONS.items()}


def lease_to_wire(lease: Lease) -> pb.Lease:
    """The lease as it travels."""
    return pb.Lease(instance_id=lease.instance_id, epoch=lease.epoch, ttl=to_duration(lease.ttl))


def lease_from_wire(message: pb.Lease) -> Lease:
    """The lease."""
    return Lease(message.instance_id, message.epoch, duration_of(message, "ttl") or DEFAULT_LEASE_TTL)


def load_to_wire(load: Load) -> pb.Load:
    """The load as it travels."""
    return pb.Load(active_turns=load.active_turns, capacity=load.capacity)


def load_from_wire(message: pb.Load) -> Load:
    """The load."""
    return Load(message.active_turns, message.capacity)


def state_to_wire(state: InstanceState) -> pb.InstanceState.ValueType:
    """The state as it travels."""
    return _STATES[state]


def state_from_wire(value: pb.InstanceState.ValueType) -> InstanceState | None:
    """The state, or None where it is not said or not known."""
    return _STATES_BACK.get(value)


def instance_to_wire(instance: Instance) -> pb.Instance:
    """The instance as it travels."""
    return pb.Instance(
        instance_id=instance.instance_id,
        address=instance.address,
        card=card_to_wire(instance.card),
        state=_STATES[instance.state],
        lease=lease_to_wire(instance.lease),
        load=load_to_wire(instance.load),
        register_time=to_timestamp(instance.registered_at),
    )


def instance_from_wire(message: pb.Instance) -> Instance:
    """The instance."""
    return Instance(
        instance_id=message.instance_id,
        address=message.address,
        card=card_from_wire(message.card),
        state=_STATES_BACK.get(message.state, InstanceState.READY),
        lease=lease_from_wire(message.lease),
        load=load_from_wire(message.load),
        registered_at=moment_of(message, "register_time") or EPOCH_START,
    )


def agent_to_wire(agent: Agent) -> pb.Agent:
    """The agent with its instances as it travels. A card that is the agent's own is not repeated."""
    message = pb.Agent(card=card_to_wire(agent.card), instances=[instance_to_wire(each) for each in agent.instances])
    for each in message.instances:
        if each.card == message.card:
            each.ClearField("card")
    return message


def agent_from_wire(message: pb.Agent) -> Agent:
    """The agent with its instances."""
    card = card_from_wire(message.card)
    instances = ((each, instance_from_wire(each)) for each in message.instances)
    return Agent(card, tuple(one if each.HasField("card") else replace(one, card=card) for each, one in instances))


def update_to_wire(update: RegistryUpdate) -> service_pb.WatchResponse:
    """The registry update as it travels."""
    response = service_pb.WatchResponse(revision=update.revision, resume_token=update.resume_token)
    match update.body:
        case SnapshotPart(instances, first, last):
            response.snapshot.CopyFrom(
                service_pb.Snapshot(instances=[instance_to_wire(each) for each in instances], first=first, last=last)
            )
        case InstancePut(instance):
            response.change.put.CopyFrom(instance_to_wire(instance))
        case InstanceRemoved(instance_id, reason):
            response.change.removed_instance_id = instance_id
            response.change.removal_reason = _REASONS[reason]
        case Heartbeat():
            response.heartbeat.SetInParent()
    return response


def update_from_wire(message: service_pb.WatchResponse) -> RegistryUpdate:
    """The registry update; what is not known counts as a heartbeat."""
    return RegistryUpdate(message.revision, message.resume_token, _body(message))


def _body(message: service_pb.WatchResponse) -> SnapshotPart | InstancePut | InstanceRemoved | Heartbeat:
    if message.HasField("snapshot"):
        part = message.snapshot
        return SnapshotPart(tuple(instance_from_wire(each) for each in part.instances), part.first, part.last)
    match message.change.WhichOneof("kind") if message.HasField("change") else None:
        case "put":
            return InstancePut(instance_from_wire(message.change.put))
        case "removed_instance_id":
            reason = _REASONS_BACK.get(message.change.removal_reason, RemovalReason.DEREGISTERED)
            return InstanceRemoved(message.change.removed_instance_id, reason)
        case _:
            return Heartbeat()
