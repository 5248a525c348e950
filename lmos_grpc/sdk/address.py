"""Where the mesh reaches an agent."""

from __future__ import annotations

from lmos_grpc.errors import InvalidConfigurationError

_WILDCARDS = frozenset({"0.0.0.0", "[::]", "::", ""})  # noqa: S104 # what is refused here, not listened on


def advertised_address(bound: str, advertise: str) -> str:
    """The `host:port` that is told to discovery, from the address as bound and the wish of who runs the agent.

    Raises:
        InvalidConfigurationError: the agent listens on every address, and nobody said which of them to dial.
    """
    host, _, port = bound.rpartition(":")
    if not advertise and host in _WILDCARDS:
        raise InvalidConfigurationError(
            f"an agent that listens on {bound} has to say where the mesh reaches it: set `advertise` to its host name "
            "or address",
            address=bound,
        )
    if not advertise:
        return bound
    return advertise if _has_port(advertise) else f"{advertise}:{port}"


def _has_port(address: str) -> bool:
    host, _, port = address.rpartition(":")
    return port.isdigit() and bool(host) and (":" not in host or host.endswith("]"))
