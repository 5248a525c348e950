"""Addresses as Envoy writes them."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_HIGHEST_PORT = 65_535


def split_address(address: str) -> tuple[str, int] | None:
    """Host and port of `host:port` or `[v6]:port`; None where it is no address."""
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) <= _HIGHEST_PORT:
        return None
    return host, int(port)


def lb_endpoint(host: str, port: int, *, draining: bool = False) -> dict[str, object]:
    """An endpoint of a cluster (envoy.config.endpoint.v3.LbEndpoint)."""
    address = {"socket_address": {"address": host, "port_value": port}}
    health = {"health_status": "DRAINING"} if draining else {}
    return {"endpoint": {"address": address}, **health}


def resolution(hosts: Iterable[str]) -> str:
    """The kind of cluster that can hold these hosts: with fixed IP addresses, or with names to be resolved."""
    return "STATIC" if all(is_ip(host) for host in hosts) else "STRICT_DNS"


def is_ip(host: str) -> bool:
    """Whether the host is an IP address and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
