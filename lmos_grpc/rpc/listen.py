"""The rule on listening: what is reachable from outside this machine is encrypted, or the operator has said so."""

from __future__ import annotations

import ipaddress

from lmos_grpc.errors import InvalidConfigurationError


def require_safe_address(address: str, *, insecure_ok: bool) -> None:
    """Checks an address to listen on.

    Raises:
        InvalidConfigurationError: it is not `host:port`, or it is beyond loopback and nobody said that this is meant.
    """
    host, separator, port = address.rpartition(":")
    if not separator or not host or not port.isdigit():
        raise InvalidConfigurationError(f"cannot listen on {address!r}: give host:port, such as 127.0.0.1:8080")
    if not insecure_ok and not is_loopback(host):
        raise InvalidConfigurationError(
            f"refusing to listen on {address} without TLS: it is reachable from other machines. "
            "Listen on 127.0.0.1, or say --insecure-listen if the network is trusted.",
            address=address,
        )


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, and nobody else can reach it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
