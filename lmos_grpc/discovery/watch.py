"""One reader of the registry: a snapshot, then every change."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos_grpc.domain.instance import Heartbeat, RegistryUpdate, SnapshotPart
from lmos_grpc.errors import ShuttingDownError, WatchTooSlowError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lmos_grpc.discovery.change_log import ChangeLog
    from lmos_grpc.domain.instance import Instance

_PART_SIZE = 500


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """`heartbeat` is the longest silence; a watcher more than `max_lag` changes behind is cut off."""

    heartbeat: timedelta = timedelta(seconds=10)
    max_lag: int = 5_000


class Watch:
    """An async iterator of registry updates that begins with a snapshot, or after the resume token.

    It says at once where it stands: by the snapshot, by changes, or by a heartbeat.

    Raises (from `anext`):
        WatchTooSlowError: the reader fell too far behind; `resume_token` in its metadata continues without a gap.
        ShuttingDownError: the watch was ended on this side.
    """

    def __init__(
        self,
        log: ChangeLog,
        instances: Callable[[], tuple[Instance, ...]],
        resume_token: str,
        settings: WatchSettings,
    ) -> None:
        self._log = log
        self._settings = settings
        self._began_at = log.revision
        position = log.position(resume_token)
        self._revision = log.revision if position is None else position
        self._parts = deque(_parts(instances()) if position is None else ())
        self._greeted = position is None
        self._ended = False

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> RegistryUpdate:
        if self._parts:
            return self._next_part()
        while (update := self._next_change()) is None:
            if not self._greeted or not await self._news():
                self._greeted = True
                return self._update(Heartbeat())
        self._greeted = True
        return update

    def end(self) -> None:
        """Ends the watch from this side; the reader gets what was begun of a snapshot, and then the error."""
        self._ended = True
        self._log.wake()

    def _next_part(self) -> RegistryUpdate:
        part = self._parts.popleft()
        # Half a snapshot is nothing to go on from: until its last part the token asks for a whole one.
        return self._update(part) if part.last else RegistryUpdate(self._revision, "", part)

    def _next_change(self) -> RegistryUpdate | None:
        if self._ended:
            raise ShuttingDownError("discovery is shutting down; watch again with the last resume token")
        update = self._log.after(self._revision)
        if self._is_too_slow() or (update is None and self._revision < self._log.revision):
            raise WatchTooSlowError(
                f"the watcher is {self._log.revision - self._revision} changes behind, {self._settings.max_lag} are "
                "allowed; read faster, and watch again with the resume token",
                resume_token=self._log.token(self._revision),
            )
        if update is not None:
            self._revision = update.revision
        return update

    def _is_too_slow(self) -> bool:
        # What was missed before the watch began is no sign of slowness, or who was cut off would be so for ever.
        return self._log.revision - max(self._revision, self._began_at) > self._settings.max_lag

    async def _news(self) -> bool:
        try:
            async with asyncio.timeout(self._settings.heartbeat.total_seconds()):
                await self._log.wait()
        except TimeoutError:
            return False
        return True

    def _update(self, body: SnapshotPart | Heartbeat) -> RegistryUpdate:
        return RegistryUpdate(self._revision, self._log.token(self._revision), body)


def _parts(instances: tuple[Instance, ...]) -> Iterator[SnapshotPart]:
    for start in range(0, max(len(instances), 1), _PART_SIZE):
        end = start + _PART_SIZE
        yield SnapshotPart(instances[start:end], first=start == 0, last=end >= len(instances))
