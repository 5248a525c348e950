"""The live view: what is known of the registry right now, fed by a watch and read without asking anybody."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import defaultdict
from typing import TYPE_CHECKING, Protocol

from lmos_grpc.domain.instance import Agent, InstancePut, InstanceRemoved, SnapshotPart
from lmos_grpc.errors import LmosError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from lmos_grpc.domain.card import AgentKey
    from lmos_grpc.domain.instance import Instance, RegistryUpdate

_LOG = logging.getLogger(__name__)
_FIRST_BACKOFF_SECONDS = 0.1
_LONGEST_BACKOFF_SECONDS = 2.0


class RegistryFeed(Protocol):
    """Where a live view gets its updates from: the registry in this process, or discovery over gRPC."""

    def watch(self, resume_token: str) -> AsyncIterator[RegistryUpdate]:
        """Streams a snapshot (or what came after the token) and then every change.

        Raises:
            LmosError: the feed broke; watch again with the last token.
        """


class LiveView:
    """Agents and instances as the last update left them. Not thread-safe: one event loop reads and feeds it."""

    def __init__(self) -> None:
        self._instances: dict[str, Instance] = {}
        self._agents: dict[AgentKey, Agent] = {}
        self._by_name: dict[str, dict[AgentKey, Agent]] = defaultdict(dict)
        self._snapshot: dict[str, Instance] | None = None
        self._listeners: list[Callable[[frozenset[AgentKey]], None]] = []
        self._synced = asyncio.Event()
        self.revision = 0

    @property
    def synced(self) -> bool:
        """Whether a whole snapshot was seen; until then the mesh is starting."""
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        """Returns once a whole snapshot was seen."""
        await self._synced.wait()

    @property
    def agents(self) -> Mapping[AgentKey, Agent]:
        """All agents with at least one live instance. Read it, do not keep it."""
        return self._agents

    def agents_named(self, name: str) -> Mapping[AgentKey, Agent]:
        """The versions and subsets of one agent."""
        return self._by_name.get(name, {})

    def instance(self, instance_id: str) -> Instance | None:
        """The instance of that id, or None."""
        return self._instances.get(instance_id)

    def subscribe(self, listener: Callable[[frozenset[AgentKey]], None]) -> Callable[[], None]:
        """Calls the listener with the keys that changed, at once and on the loop. Returns how to end that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def apply(self, update: RegistryUpdate) -> None:
        """Takes in one update of the watch."""
        self.revision = update.revision
        match update.body:
            case SnapshotPart() as part:
                self._take_part(part)
            case InstancePut(instance):
                self._notify(self._put(instance))
            case InstanceRemoved(instance_id):
                self._notify(self._remove(instance_id))

    def _take_part(self, part: SnapshotPart) -> None:
        if part.first or self._snapshot is None:
            self._snapshot = {}
        self._snapshot.update((each.instance_id, each) for each in part.instances)
        if not part.last:
            return
        fresh, self._snapshot = self._snapshot, None
        changed = {key for gone in self._instances.keys() - fresh.keys() for key in self._remove(gone)}
        for instance in fresh.values():
            changed |= self._put(instance)
        self._synced.set()
        self._notify(changed)

    def _put(self, instance: Instance) -> set[AgentKey]:
        before = self._instances.get(instance.instance_id)
        if before == instance:
            return set()
        changed = self._remove(instance.instance_id) if before and before.key != instance.key else set()
        self._instances[instance.instance_id] = instance
        known = self._agents.get(instance.key)
        others = tuple(each for each in known.instances if each.instance_id != instance.instance_id) if known else ()
        self._set(instance.key, (*others, instance))
        return changed | {instance.key}

    def _remove(self, instance_id: str) -> set[AgentKey]:
        gone = self._instances.pop(instance_id, None)
        if gone is None:
            return set()
        rest = tuple(each for each in self._agents[gone.key].instances if each.instance_id != instance_id)
        self._set(gone.key, rest)
        return {gone.key}

    def _set(self, key: AgentKey, instances: tuple[Instance, ...]) -> None:
        if not instances:
            del self._agents[key]
            del self._by_name[key.name][key]
            if not self._by_name[key.name]:
                del self._by_name[key.name]
            return
        newest = max(instances, key=lambda each: (each.registered_at, each.instance_id))
        agent = Agent(newest.card, tuple(sorted(instances, key=lambda each: each.instance_id)))
        self._agents[key] = self._by_name[key.name][key] = agent

    def _notify(self, changed: set[AgentKey]) -> None:
        if changed:
            for listener in tuple(self._listeners):
                listener(frozenset(changed))


async def keep_in_step(view: LiveView, feed: RegistryFeed, *, jitter: Callable[[], float] = random.random) -> None:
    """Feeds the view for ever: watches, and after a break watches again from where it was.

    While discovery is away the view keeps what it knew, so that turns go on.
    """
    token, failures = "", 0
    while True:
        try:
            async for update in feed.watch(token):
                view.apply(update)
                token, failures = update.resume_token, 0
        except LmosError as error:
            failures += 1
            if failures == 1:
                _LOG.warning("lost the watch on discovery, keeping revision %d: %s", view.revision, error)
        backoff = min(_FIRST_BACKOFF_SECONDS * 2 ** min(failures, 10), _LONGEST_BACKOFF_SECONDS)
        await asyncio.sleep(backoff * (0.5 + jitter() / 2))
