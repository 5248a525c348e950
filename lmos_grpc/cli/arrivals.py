"""Agents as they come, change and go: a line for each."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lmos_grpc.cli.view.agent_view import key_text
from lmos_grpc.cli.view.figures import counted
from lmos_grpc.domain.instance import InstanceState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lmos_grpc.clients.live_view import LiveView
    from lmos_grpc.domain.card import AgentKey
    from lmos_grpc.domain.instance import Agent

_NOTHING = (0, 0)


@dataclass(frozen=True, slots=True)
class Arrival:
    """One change of one agent: how many instances take turns, and how many drain."""

    key: AgentKey
    before: tuple[int, int]
    ready: int
    draining: int
    capabilities: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The change in one line."""
        name, instances = key_text(self.key), counted(self.ready, "instance")
        if (self.ready, self.draining) == _NOTHING:
            return f"- {name} is gone"
        if self.before == _NOTHING:
            return f"+ {name} is here: {', '.join(self.capabilities)}"
        if self.draining > self.before[1]:
            return f"~ {name} drains: {instances} left"
        return f"~ {name}: {instances}"

    @property
    def json(self) -> dict[str, object]:
        """The change as JSON."""
        key = {"agent": self.key.name, "version": self.key.version, "subset": self.key.subset}
        return {**key, "ready": self.ready, "draining": self.draining, "capabilities": list(self.capabilities)}


class Arrivals:
    """Tells of every change of a live view; what does not change how many instances there are is left out."""

    def __init__(self, view: LiveView, tell: Callable[[Arrival], None]) -> None:
        self._view = view
        self._tell = tell
        self._counts: dict[AgentKey, tuple[int, int]] = {}

    @contextmanager
    def announced(self) -> Iterator[None]:
        """Tells of what is there, and of every change until the block ends."""
        self._changed(frozenset(self._view.agents))
        unsubscribe = self._view.subscribe(self._changed)
        try:
            yield
        finally:
            unsubscribe()

    def _changed(self, keys: frozenset[AgentKey]) -> None:
        for key in sorted(keys, key=lambda each: each.route):
            agent = self._view.agents.get(key)
            before, after = self._counts.get(key, _NOTHING), _counts(agent)
            if before == after:
                continue
            self._counts[key] = after
            capabilities = tuple(each.id for each in agent.card.capabilities) if agent else ()
            self._tell(Arrival(key, before, *after, capabilities))


def _counts(agent: Agent | None) -> tuple[int, int]:
    if agent is None:
        return _NOTHING
    ready = sum(each.state is InstanceState.READY for each in agent.instances)
    return ready, len(agent.instances) - ready
