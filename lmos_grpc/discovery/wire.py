"""Protobuf to domain and back for what only discovery speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmos.discovery.v1 import discovery_service_pb2 as pb
from lmos.discovery.v1 import instance_pb2

from lmos_grpc.discovery.catalogue import Audience, Wanted
from lmos_grpc.discovery.registration import Registration
from lmos_grpc.domain.instance import DEFAULT_LEASE_TTL, SnapshotPart
from lmos_grpc.errors import InvalidCardError, InvalidRequestError
from lmos_grpc.wire.card import card_from_wire
from lmos_grpc.wire.instance import (
    agent_to_wire,
    instance_from_wire,
    instance_to_wire,
    state_from_wire,
    update_to_wire,
)
from lmos_grpc.wire.time import duration_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import timedelta

    from lmos_grpc.discovery.catalogue import Match
    from lmos_grpc.domain.instance import Agent, Instance, InstanceState, RegistryUpdate

# A card has to fit into a message beside others; clients take 5 MiB a message.
MAX_CARD_BYTES = 1024 * 1024
_MESSAGE_BYTES = 3 * 1024 * 1024

_DEFAULT_PAGE, _LARGEST_PAGE = 50, 1_000
_DEFAULT_MATCHES, _MOST_MATCHES = 10, 100
_LONGEST_TEXT = 2_000
_LONGEST_SECONDS = 10**9


def registration_from_wire(request: pb.RegisterRequest) -> Registration:
    """The registration, whose values are not yet checked.

    Raises:
        InvalidRequestError: the card is missing, or the TTL is no duration.
        InvalidCardError: the card is too large to be passed on.
    """
    if not request.HasField("card"):
        raise InvalidRequestError("card: is missing", field="card")
    if request.card.ByteSize() > MAX_CARD_BYTES:
        raise InvalidCardError(
            f"the card has {request.card.ByteSize()} bytes, allowed are {MAX_CARD_BYTES}: give fewer examples",
            fields="card",
        )
    return Registration(
        request.instance_id, request.address, card_from_wire(request.card), _ttl(request), request.epoch
    )


def new_state_from_wire(request: pb.UpdateStateRequest) -> InstanceState:
    """The state that is asked for.

    Raises:
        InvalidRequestError: it is not said, or not known.
    """
    state = state_from_wire(request.state)
    if state is None:
        raise InvalidRequestError("state: say INSTANCE_STATE_READY or INSTANCE_STATE_DRAINING", field="state")
    return state


def wanted_from_wire(request: pb.FindRequest) -> tuple[Wanted, int]:
    """What is sought, and how many answers at the most.

    Raises:
        InvalidRequestError: the text is too long, or the limit negative.
    """
    if len(request.text) > _LONGEST_TEXT:
        raise InvalidRequestError(
            f"text: has {len(request.text)} characters, allowed are {_LONGEST_TEXT}", field="text"
        )
    audience = Audience(request.tenant, request.channel, request.locale)
    wanted = Wanted(request.capability, request.version_range, request.text, audience)
    return wanted, _count("limit", request.limit, _DEFAULT_MATCHES, _MOST_MATCHES)


def page_to_wire(
    agents: Iterable[Agent], wanted_size: int, token_after: Callable[[Agent], str]
) -> pb.ListAgentsResponse:
    """A page: as many agents as are wanted, and fewer where they would not fit into a message (AIP-158).

    Raises:
        InvalidRequestError: the size is negative.
    """
    size = _count("page_size", wanted_size, _DEFAULT_PAGE, _LARGEST_PAGE)
    response, room, last = pb.ListAgentsResponse(), _MESSAGE_BYTES, None
    for agent in agents:
        message = agent_to_wire(agent)
        room -= message.ByteSize()
        if last is not None and (len(response.agents) >= size or room < 0):
            response.next_page_token = token_after(last)
            break
        response.agents.append(message)
        last = agent
    return response


def matches_to_wire(matches: Iterable[Match]) -> pb.FindResponse:
    """The matches, the first that fit into a message."""
    response, room = pb.FindResponse(), _MESSAGE_BYTES
    for each in matches:
        message = pb.Match(agent=agent_to_wire(each.agent), capability=each.capability.id, score=each.score)
        room -= message.ByteSize()
        if response.matches and room < 0:
            break
        response.matches.append(message)
    return response


def update_to_messages(update: RegistryUpdate) -> Iterator[pb.WatchResponse]:
    """The update as it travels: a part of a snapshot in as many messages as it needs to fit."""
    if not isinstance(update.body, SnapshotPart):
        yield update_to_wire(update)
        return
    runs = list(_runs(update.body.instances))
    for number, run in enumerate(runs):
        last = number == len(runs) - 1
        part = pb.Snapshot(instances=run, first=update.body.first and number == 0, last=update.body.last and last)
        # As with the parts themselves: before the last one there is nothing to go on from.
        token = update.resume_token if last else ""
        yield pb.WatchResponse(revision=update.revision, resume_token=token, snapshot=part)


def instance_to_bytes(instance: Instance) -> bytes:
    """The instance as it is stored."""
    return instance_to_wire(instance).SerializeToString()


def instance_from_bytes(record: bytes) -> Instance:
    """The instance as it was stored.

    Raises:
        google.protobuf.message.DecodeError: the record is damaged.
    """
    return instance_from_wire(instance_pb2.Instance.FromString(record))


def _runs(instances: Iterable[Instance]) -> Iterator[list[instance_pb2.Instance]]:
    run: list[instance_pb2.Instance] = []
    room = _MESSAGE_BYTES
    for instance in instances:
        message = instance_to_wire(instance)
        size = message.ByteSize()
        if run and size > room:
            yield run
            run, room = [], _MESSAGE_BYTES
        run.append(message)
        room -= size
    yield run


def _ttl(request: pb.RegisterRequest) -> timedelta:
    if abs(request.ttl.seconds) > _LONGEST_SECONDS:
        raise InvalidRequestError(f"ttl: {request.ttl.seconds} s is not between 1 s and 5 min", field="ttl")
    ttl = duration_of(request, "ttl")
    return DEFAULT_LEASE_TTL if ttl is None else ttl


def _count(name: str, wanted: int, default: int, most: int) -> int:
    if wanted < 0:
        raise InvalidRequestError(f"{name}: {wanted} is negative", field=name)
    return min(wanted or default, most)
