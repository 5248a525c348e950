"""Who may act on an instance: epochs keep a former holder of its lease away from the present one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmos_grpc.domain.instance import InstanceState
from lmos_grpc.errors import DuplicateInstanceError, LeaseNotFoundError, StaleEpochError

if TYPE_CHECKING:
    from lmos_grpc.discovery.registration import Registration
    from lmos_grpc.domain.instance import Instance


def is_held(known: Instance | None, registration: Registration) -> bool:
    """Whether the live instance is the very one that registers."""
    return (
        known is not None
        and registration.epoch in {0, known.lease.epoch}
        and known.state is InstanceState.READY
        and (known.address, known.lease.ttl) == (registration.address, registration.ttl)
        and known.card == registration.card
    )


def check_free(known: Instance | None, registration: Registration) -> None:
    """Checks that the live instance of the same id, if there is one, does not stand in the way of a registration.

    An epoch above that of the live lease is the later holder's, of which this registry lost the record: it wins.

    Raises:
        StaleEpochError: the epoch is older than that of the live lease.
        DuplicateInstanceError: the instance is live at another address.
    """
    if known is None or registration.epoch > known.lease.epoch:
        return
    if 0 < registration.epoch < known.lease.epoch:
        raise _stale(known, registration.epoch)
    if known.address != registration.address:
        raise DuplicateInstanceError(
            f"instance {known.instance_id} is live at {known.address}; deregister that one, wait until its lease "
            f"runs out, or register {registration.address} under another instance id",
            instance_id=known.instance_id,
            address=known.address,
        )


def current(known: Instance | None, instance_id: str, epoch: int) -> Instance:
    """The live instance, if the epoch is that of its lease.

    Raises:
        LeaseNotFoundError: the lease is not live.
        StaleEpochError: a newer registration of the instance took over.
    """
    if known is None or epoch > known.lease.epoch:
        raise LeaseNotFoundError(
            f"no live lease of instance {instance_id} with epoch {epoch}: it ran out, was dropped, or discovery "
            "lost it; register again",
            instance_id=instance_id,
        )
    if epoch < known.lease.epoch:
        raise _stale(known, epoch)
    return known


def _stale(known: Instance, epoch: int) -> StaleEpochError:
    return StaleEpochError(
        f"epoch {epoch} of instance {known.instance_id} is over: epoch {known.lease.epoch} at {known.address} took "
        "over; stop, or register under another instance id",
        instance_id=known.instance_id,
        epoch=str(known.lease.epoch),
    )
