"""One delta stream as a state machine: what one Envoy asked for, what it holds, what it refused.

The protocol is https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#incremental-xds, with subscriptions by
name only. A response carries one resource, so that a refusal names its culprit.

What does not exist is answered with a stand-in. A removal would do by the protocol, but Envoy (1.40) asks for a name
only once: every later call to it would wait for the on-demand timeout (https://github.com/envoyproxy/envoy/pull/44742).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from lmos_grpc.control_plane.envoy_messages import DeltaResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lmos_grpc.control_plane.envoy_messages import DeltaRequest, Resource

    Lookup = Callable[[str], Resource | None]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Envoy would not take a resource (a NACK)."""

    name: str
    version: str
    message: str


class Subscription:
    """Takes requests in and gives the responses that are due. Work is proportional to what changed.

    `stand_in` gives the resource to send for a name that does not exist; None where the name can be none of ours,
    which is then answered with a removal. So are the oldest above `most_stand_ins`: each costs Envoy some 45 KB.
    """

    def __init__(self, stand_in: Lookup, *, most_stand_ins: int = 500) -> None:
        self._stand_in = stand_in
        self._most_stand_ins = most_stand_ins
        self._stood_in_for: dict[str, None] = {}
        self._wanted: set[str] = set()
        # What Envoy holds once it has read all that was sent, and what it is known to have taken; both by version.
        self._sent: dict[str, str] = {}
        self._taken: dict[str, str] = {}
        self._refused: set[tuple[str, str]] = set()
        self._in_flight: dict[str, Resource] = {}
        # Names to look at again; True: an answer is owed, even if it says nothing new.
        self._due: dict[str, bool] = {}
        self._last_nonce = 0

    def receive(self, request: DeltaRequest) -> Refusal | None:
        """Takes a request in: subscriptions, and the ACK or NACK of a response."""
        refusal = self._settle(request.nonce, request.error)
        if request.unsubscribe:
            self._unsubscribe(frozenset(request.unsubscribe))
        # On a new stream Envoy tells what it holds from the one before.
        for name, version in request.initial_versions.items():
            self._sent[name] = self._taken[name] = version
        for name in request.subscribe:
            self._wanted.add(name)
            held_before = name in request.initial_versions
            if not held_before:
                self._sent.pop(name, None)
                self._taken.pop(name, None)
            self._due[name] = not held_before
        return refusal

    def mark(self, names: Iterable[str]) -> None:
        """Notes that these may have changed."""
        for name in names:
            if name in self._wanted:
                self._due.setdefault(name, False)

    def responses(self, lookup: Lookup) -> tuple[DeltaResponse, ...]:
        """What is due, removals first. The caller sends all of it, in this order."""
        due, self._due = self._due, {}
        gone: list[str] = []
        news: dict[str, Resource] = {}
        for name, owed in due.items():
            live = lookup(name)
            if live is not None and self._is_refused(live) and not owed:
                continue  # what Envoy took before stays
            resource = self._answer(name, live)
            if resource is not None and resource.version != self._sent.get(name):
                news[name] = resource
            elif resource is None and (owed or name in self._sent):
                gone.append(name)
        for name in self._surplus():
            news.pop(name, None)
            gone.append(name)
        self._drop(frozenset(gone))
        removal = (DeltaResponse(self._nonce(), removed=tuple(gone)),) if gone else ()
        return (*removal, *map(self._send, news.values()))

    def _answer(self, name: str, live: Resource | None) -> Resource | None:
        self._stood_in_for.pop(name, None)
        if live is not None and not self._is_refused(live):
            return live
        resource = self._stand_in(name)
        if resource is None or self._is_refused(resource):
            return None
        self._stood_in_for[name] = None
        return resource

    def _surplus(self) -> tuple[str, ...]:
        return tuple(islice(self._stood_in_for, max(0, len(self._stood_in_for) - self._most_stand_ins)))

    def _is_refused(self, resource: Resource) -> bool:
        return (resource.name, resource.version) in self._refused

    def _send(self, resource: Resource) -> DeltaResponse:
        nonce = self._nonce()
        self._sent[resource.name] = resource.version
        self._in_flight[nonce] = resource
        return DeltaResponse(nonce, resource)

    def _settle(self, nonce: str, error: str) -> Refusal | None:
        resource = self._in_flight.pop(nonce, None)
        if resource is None:
            return None
        if not error:
            self._taken[resource.name] = resource.version
            return None
        self._refused.add((resource.name, resource.version))
        self._roll_back(resource)
        return Refusal(resource.name, resource.version, error)

    def _roll_back(self, resource: Resource) -> None:
        if self._sent.get(resource.name) != resource.version:
            return
        before = self._taken.get(resource.name)
        if before is not None:
            self._sent[resource.name] = before
            return
        # A call may be waiting for it.
        del self._sent[resource.name]
        self._due[resource.name] = True

    def _drop(self, names: frozenset[str]) -> None:
        for name in names:
            self._sent.pop(name, None)
            self._taken.pop(name, None)
            self._stood_in_for.pop(name, None)
        # An ACK that is still on its way is for what Envoy will have dropped by then.
        self._in_flight = {nonce: each for nonce, each in self._in_flight.items() if each.name not in names}

    def _unsubscribe(self, names: frozenset[str]) -> None:
        self._wanted -= names
        self._drop(names)
        for name in names:
            self._due.pop(name, None)
        self._refused = {(name, version) for name, version in self._refused if name not in names}

    def _nonce(self) -> str:
        self._last_nonce += 1
        return str(self._last_nonce)
