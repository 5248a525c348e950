"""The last changes of the registry, numbered without a gap, for watchers to read at their own pace."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lmos_grpc.domain.instance import RegistryUpdate

if TYPE_CHECKING:
    from lmos_grpc.domain.instance import InstancePut, InstanceRemoved

DEFAULT_CAPACITY = 10_000
_MAX_REVISION_DIGITS = 19


class ChangeLog:
    """Changes after `revision`, the last `capacity` of them.

    Watchers keep a position in this one log instead of a queue each, so a slow one costs no memory.
    """

    def __init__(self, registry_id: str, revision: int, *, capacity: int = DEFAULT_CAPACITY) -> None:
        self._registry_id = registry_id
        self._capacity = capacity
        self._updates: dict[int, RegistryUpdate] = {}
        self._news = asyncio.Event()
        self.revision = revision

    def append(self, body: InstancePut | InstanceRemoved) -> RegistryUpdate:
        """Numbers a change, keeps it, and wakes whoever waits."""
        self.revision += 1
        update = RegistryUpdate(self.revision, self.token(self.revision), body)
        self._updates[self.revision] = update
        self._updates.pop(self.revision - self._capacity, None)
        self.wake()
        return update

    def after(self, revision: int) -> RegistryUpdate | None:
        """The change that follows a revision, or None where there is none yet."""
        return self._updates.get(revision + 1)

    def token(self, revision: int) -> str:
        """The resume token that continues after a revision."""
        return f"{self._registry_id}:{revision}"

    def position(self, resume_token: str) -> int | None:
        """The revision that a token continues after; None where only a snapshot helps.

        That is so for a token that is not ours, older than the log, or ahead of it.
        """
        registry_id, _, text = resume_token.rpartition(":")
        if registry_id != self._registry_id or not _is_number(text):
            return None
        revision = int(text)
        return revision if self.revision - len(self._updates) <= revision <= self.revision else None

    def wake(self) -> None:
        """Wakes whoever waits, news or not."""
        self._news.set()
        self._news = asyncio.Event()

    async def wait(self) -> None:
        """Returns at the next change, or when it is woken."""
        await self._news.wait()


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MAX_REVISION_DIGITS
