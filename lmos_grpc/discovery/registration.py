"""What an instance says when it registers, and the rules that it has to keep."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos_grpc.domain.card import card_violations
from lmos_grpc.domain.instance import DEFAULT_LEASE_TTL, Instance, Lease
from lmos_grpc.errors import InvalidCardError, InvalidRequestError

if TYPE_CHECKING:
    from datetime import datetime

    from lmos_grpc.domain.card import AgentCard

SHORTEST_TTL = timedelta(seconds=1)
LONGEST_TTL = timedelta(minutes=5)
# Epochs are small numbers that count up; who claims a huge one would leave no room above it.
MAX_EPOCH = 2**53

_INSTANCE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_HOST_NAME = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([-A-Za-z0-9_]*[A-Za-z0-9_])?)*"
)
_MAX_PORT = 65_535
_VIOLATIONS_TOLD = 3
_SENTENCE = 200


@dataclass(frozen=True, slots=True)
class Registration:
    """An instance that asks for a lease. `epoch` is that of the lease it held before, 0 for none."""

    instance_id: str
    address: str
    card: AgentCard
    ttl: timedelta = DEFAULT_LEASE_TTL
    epoch: int = 0

    def instance(self, *, epoch: int, registered_at: datetime) -> Instance:
        """The instance that it becomes under a new epoch."""
        lease = Lease(self.instance_id, epoch, self.ttl)
        return Instance(self.instance_id, self.address, self.card, lease, registered_at=registered_at)


def check_registration(registration: Registration) -> None:
    """Checks everything that can be checked without asking anybody.

    Raises:
        InvalidRequestError: instance id, address, TTL or epoch break a rule.
        InvalidCardError: the card breaks rules; `fields` in the metadata names them.
    """
    check_instance_id(registration.instance_id)
    check_address(registration.address)
    if not SHORTEST_TTL <= registration.ttl <= LONGEST_TTL:
        raise InvalidRequestError(
            f"ttl: {registration.ttl.total_seconds():g} s is not between 1 s and 5 min", field="ttl"
        )
    if not 0 <= registration.epoch < MAX_EPOCH:
        raise InvalidRequestError(f"epoch: {registration.epoch} was never given; leave it 0", field="epoch")
    check_card(registration.card)


def check_instance_id(instance_id: str) -> None:
    """Checks the syntax of an instance id.

    Raises:
        InvalidRequestError: it is not 1 to 128 of the characters allowed.
    """
    if not _INSTANCE_ID.fullmatch(instance_id):
        raise InvalidRequestError(
            f"instance_id: {excerpt(instance_id)} is not 1 to 128 characters of [A-Za-z0-9._-]", field="instance_id"
        )


def check_address(address: str) -> None:
    """Checks that an address is `host:port` with a host that others can dial.

    Raises:
        InvalidRequestError: it is not.
    """
    host, _, port = address.rpartition(":")
    if not (port.isascii() and port.isdigit() and len(port) <= len(str(_MAX_PORT)) and 0 < int(port) <= _MAX_PORT):
        problem = "is not host:port, such as 10.0.0.7:9000"
    elif not _is_host(host):
        problem = "has no host name or IP address before its port (an IPv6 address stands in brackets)"
    elif _is_wildcard(host):
        problem = "is an address to listen on; give one that others can dial"
    else:
        return
    raise InvalidRequestError(f"address: {excerpt(address)} {problem}", field="address")


def check_card(card: AgentCard) -> None:
    """Checks a card against the rules of the contract.

    Raises:
        InvalidCardError: it breaks some; the first stand in the message, the fields of all in the metadata.
    """
    violations = card_violations(card)
    if not violations:
        return
    told = "; ".join(_plain(each, _SENTENCE) for each in violations[:_VIOLATIONS_TOLD])
    more = len(violations) - _VIOLATIONS_TOLD
    fields = dict.fromkeys(each.partition(": ")[0] for each in violations)
    raise InvalidCardError(
        f"the card of {excerpt(card.name)} is not valid: {told}" + (f"; and {more} more" if more > 0 else ""),
        agent=_plain(card.name, 63),
        fields=_plain(",".join(fields), 256),
    )


def excerpt(text: str, limit: int = 64) -> str:
    """The beginning of what a caller wrote, quoted and in ASCII: error texts travel as headers, which are small."""
    return ascii(text[:limit] + ("…" if len(text) > limit else "")).replace("\\u2026", "...")


def _plain(text: str, limit: int) -> str:
    return text[:limit].encode("ascii", "backslashreplace").decode()[:limit]


def _is_host(host: str) -> bool:
    if host.startswith("[") and host.endswith("]"):
        return _ip(host[1:-1], 6)
    return _ip(host, 4) or (_HOST_NAME.fullmatch(host) is not None and not host.rpartition(".")[2].isdigit())


def _ip(text: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(text).version == version
    except ValueError:
        return False


def _is_wildcard(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_unspecified
    except ValueError:
        return False
