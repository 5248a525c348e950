"""Who holds a port: read from /proc, so that no other program is needed."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

_LISTEN = "0A"


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there; port 0 always is."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def holder_of(port: int, proc: Path = Path("/proc")) -> str:
    """The process that listens on the port, as `envoy (pid 4711)`; empty where it cannot be seen."""
    sockets = _listening_sockets(port, proc)
    for folder in proc.glob("[0-9]*"):
        with suppress(OSError):  # gone, or another user's
            if any(_target(each) in sockets for each in (folder / "fd").iterdir()):
                return f"{(folder / 'comm').read_text().strip()} (pid {folder.name})"
    return ""


def _listening_sockets(port: int, proc: Path) -> set[str]:
    found: set[str] = set()
    for name in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (proc / "net" / name).read_text().splitlines()[1:]:
                fields = line.split()
                local, state, inode = fields[1], fields[3], fields[9]
                if state == _LISTEN and int(local.rpartition(":")[2], 16) == port:
                    found.add(f"socket:[{inode}]")
    return found


def _target(link: Path) -> str:
    try:
        return os.readlink(link)  # noqa: PTH115 - Path.readlink would make a path of `socket:[1]`
    except OSError:
        return ""
