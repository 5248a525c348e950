"""Which leases run, and which ran out."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass
from enum import IntEnum

# Agents renew at a third of their TTL. Who is silent for 0.6 of it missed a renewal and most of a second one:
# when everybody is cut off at once, all are late by the time that the first of them is due.
_LATE_AFTER_TTLS = 0.6
_ENOUGH_ON_TIME = 0.85
_MAJORITY_ON_TIME = 0.5
_HELD_FOR_TTLS = 6
_FEW_LEASES = 5
_FEW_LATE = 3


class _Hold(IntEnum):
    """How far leases that are due are held."""

    NO = 0
    FOR_A_TIME = 1
    UNTIL_RENEWALS_COME = 2


@dataclass(slots=True)
class _Lease:
    ttl: float
    since: float
    wakeup: int

    @property
    def late_at(self) -> float:
        return self.since + _LATE_AFTER_TTLS * self.ttl

    @property
    def due_at(self) -> float:
        return self.since + self.ttl

    @property
    def held_until(self) -> float:
        return self.since + _HELD_FOR_TTLS * self.ttl


class LeaseTable:
    """Leases with their times to live; all times are seconds of one `LeaseClock`.

    A lease that is due runs out, unless too many are silent at once: then it is likelier that their renewals are
    lost on the way than that they all died (Eureka's self-preservation, changed so that small meshes stay clean).

    * Fewer than 5 leases, or fewer than 3 that are late: each runs out when it is due. One dead agent, or two,
      always go, however small the mesh is.
    * At least 85 % are on time: each runs out when it is due.
    * A majority is on time: who is silent is held for 6 TTLs, and then goes; the others show that we can be reached.
    * No majority is on time: nobody goes, because it may well be us who are cut off.

    When things get better, who is still silent gets another TTL: renewals do not come back all in one moment.
    Nothing scans all leases: a heap holds one wake-up per lease, and a renewal does not touch it.
    """

    def __init__(self) -> None:
        self._leases: dict[str, _Lease] = {}
        self._wakeups: list[tuple[float, int, str]] = []
        self._serial = itertools.count()
        self._late: set[str] = set()
        self._due: dict[str, None] = {}
        self._hold = _Hold.NO

    def __len__(self) -> int:
        return len(self._leases)

    def __contains__(self, instance_id: str) -> bool:
        return instance_id in self._leases

    @property
    def late(self) -> int:
        """How many leases missed their renewals, as of the last `expire`."""
        return len(self._late)

    @property
    def holding(self) -> bool:
        """Whether leases that are due are held because too many are silent at once, as of the last `expire`."""
        return self._hold is not _Hold.NO

    @property
    def next_wakeup(self) -> float | None:
        """When `expire` has something to do next, or None."""
        return self._wakeups[0][0] if self._wakeups else None

    def grant(self, instance_id: str, *, ttl: float, now: float) -> None:
        """Begins a lease; one of the same instance that runs is replaced."""
        self.drop(instance_id)
        self._leases[instance_id] = lease = _Lease(ttl, now, 0)
        self._wake(instance_id, lease, lease.late_at)

    def renew(self, instance_id: str, *, now: float) -> None:
        """Begins the time of a running lease anew."""
        lease = self._leases[instance_id]
        lease.since = now
        self._late.discard(instance_id)
        if instance_id in self._due:
            del self._due[instance_id]
            self._wake(instance_id, lease, lease.late_at)

    def drop(self, instance_id: str) -> None:
        """Ends a lease; one that does not run is no error."""
        self._leases.pop(instance_id, None)
        self._late.discard(instance_id)
        self._due.pop(instance_id, None)

    def expire(self, now: float) -> tuple[str, ...]:
        """Ends the leases that ran out by now, and gives their instances."""
        while self._wakeups and self._wakeups[0][0] <= now:
            _, serial, instance_id = heapq.heappop(self._wakeups)
            lease = self._leases.get(instance_id)
            if lease is not None and lease.wakeup == serial:
                self._look_at(instance_id, lease, now)
        before, self._hold = self._hold, self._wanted_hold()
        if self._hold < before:
            self._give_time(now)
        gone = self._run_out(now)
        for instance_id in gone:
            self.drop(instance_id)
        return gone

    def _wanted_hold(self) -> _Hold:
        late, total = len(self._late), len(self._leases)
        if total < _FEW_LEASES or late < _FEW_LATE or late <= (1 - _ENOUGH_ON_TIME) * total:
            return _Hold.NO
        return _Hold.FOR_A_TIME if late <= (1 - _MAJORITY_ON_TIME) * total else _Hold.UNTIL_RENEWALS_COME

    def _give_time(self, now: float) -> None:
        for instance_id in self._due:
            lease = self._leases[instance_id]
            lease.since = now
            self._wake(instance_id, lease, lease.due_at)
        self._due.clear()

    def _look_at(self, instance_id: str, lease: _Lease, now: float) -> None:
        if now < lease.late_at:
            self._wake(instance_id, lease, lease.late_at)
            return
        self._late.add(instance_id)
        if now < lease.due_at:
            self._wake(instance_id, lease, lease.due_at)
        else:
            self._due[instance_id] = None

    def _run_out(self, now: float) -> tuple[str, ...]:
        match self._hold:
            case _Hold.NO:
                return tuple(self._due)
            case _Hold.FOR_A_TIME:
                return tuple(each for each in self._due if self._leases[each].held_until <= now)
            case _Hold.UNTIL_RENEWALS_COME:
                return ()

    def _wake(self, instance_id: str, lease: _Lease, at: float) -> None:
        lease.wakeup = next(self._serial)
        heapq.heappush(self._wakeups, (at, lease.wakeup, instance_id))
