from __future__ import annotations

import io
from datetime import timedelta
from typing import TYPE_CHECKING

import click
import pytest

from lmos_grpc.cli.app import lmos, run_command
from lmos_grpc.cli.duration_option import to_timedelta
from lmos_grpc.cli.exit_code import ExitCode, exit_code_of
from lmos_grpc.errors import (
    EnvironmentFaultError,
    InvalidConfigurationError,
    UnknownAgentError,
    UnreachableError,
    ungrouped,
)

if TYPE_CHECKING:
    from pathlib import Path


def commands(group: click.Group, context: click.Context, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found.append((*path, name))
        if isinstance(command, click.Group):
            found += commands(command, context, (*path, name))
    return found


ALL = commands(lmos, click.Context(lmos))


@pytest.mark.parametrize("path", [(), *ALL], ids=" ".join)
def test_every_command_has_help_with_an_example(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command([*path, "--help"]) == ExitCode.OK
    said = capsys.readouterr().out
    assert "Example:" in said
    # On a line of its own, as it is to be typed.
    assert any(line.startswith(f"    lmos {' '.join(path)}".rstrip()) for line in said.splitlines())
    assert "\\b" not in said


def test_the_exit_codes_stand_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    run_command(["--help"])
    said = capsys.readouterr().out
    assert all(f"{code.value:>3}  " in said for code in ExitCode)


def test_an_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["aks"]) == ExitCode.USAGE
    assert "No such command 'aks'" in capsys.readouterr().err


def test_a_wrong_configuration_is_one_line_and_no_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "lmos.yaml"
    file.write_text("mesh:\n  prot: 1\n", "utf-8")
    assert run_command(["agents", "--config", str(file)]) == ExitCode.USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"error: {file}:2: unknown key 'prot'")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("command", [["ask", "hello"], ["route", "hello"], ["agents"], ["agents", "watch"]])
def test_where_no_mesh_answers_it_says_so_and_how_to_start_one(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Port 1 is reserved and nobody listens there.
    code = run_command([*command, "--edge", "127.0.0.1:1", "--state", str(tmp_path)])
    assert code == ExitCode.ENVIRONMENT
    assert "error: no mesh answers at 127.0.0.1:1: start one with `lmos up`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--strategy", "quorum"], "say how many answers are needed, quorum:1 to quorum:32"),
        (["--strategy", "some"], "'some' is no strategy; say one of one, all, first, quorum:N, best"),
        (["--strategy", "quorum:33"], "quorum:1 to quorum:32"),
        (["--strategy", "all", "--hedge", "1s"], "Invalid value for --hedge: hedge_delay is for one, first, quorum"),
        (["--hedge", "0"], "'0' is no span of time above zero"),
        (["--branch-budget", "soon"], "'soon' is no span of time above zero"),
        (["--turn-budget", "0s"], "'0s' is no span of time above zero"),
        (["--strategy", "quorum:3", "--max-branches", "2"], "Invalid value for --strategy: quorum is 3"),
        (["--max-branches", "0"], "Invalid value for --max-branches: max_branches is 0, allowed are 1 to 32"),
    ],
)
@pytest.mark.parametrize("command", [["ask", "hello"], ["route", "hello"], ["chat"]])
def test_a_strategy_that_cannot_be_is_a_usage_error(
    command: list[str], given: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command([*command, *given]) == ExitCode.USAGE
    assert says in " ".join(capsys.readouterr().err.split())


def test_without_traces_it_says_how_to_make_some(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["trace", "--state", str(tmp_path)]) == ExitCode.ENVIRONMENT
    assert "Start one with `lmos up`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ask", "hi", "--answer", "yes"], "QUESTION/OPTION"),
        (["ask", "hi", "--edge", "here"], "HOST:PORT"),
        (["agents", "--edge", "127.0.0.1:99999"], "HOST:PORT"),
        (["agent", "run", "nobody.py", "--alone"], "no such file"),
    ],
)
def test_a_wrong_argument_is_a_usage_error(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(arguments) == ExitCode.USAGE
    assert message in capsys.readouterr().err


def test_a_tenant_that_no_header_can_carry_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["ask", "hi", "--tenant", "Ä", "--edge", "127.0.0.1:1"]) == ExitCode.MESH
    assert "x-lmos-tenant is 'Ä'" in capsys.readouterr().err


def test_a_chat_without_a_mesh_says_how_to_start_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("hello\n"))
    run_command(["chat", "--edge", "127.0.0.1:1"])
    assert "start one with `lmos up`" in capsys.readouterr().err


def test_each_kind_of_error_has_its_exit_code() -> None:
    assert exit_code_of(InvalidConfigurationError("")) == ExitCode.USAGE
    assert exit_code_of(EnvironmentFaultError("")) == ExitCode.ENVIRONMENT
    assert exit_code_of(UnreachableError("")) == ExitCode.ENVIRONMENT
    assert exit_code_of(UnknownAgentError("")) == ExitCode.MESH


def test_spans_of_time_are_read() -> None:
    spans = [to_timedelta(None, None, each) for each in ("500ms", "30s", "2m", "1.5")]
    assert spans == [
        timedelta(milliseconds=500),
        timedelta(seconds=30),
        timedelta(minutes=2),
        timedelta(seconds=1.5),
    ]
    for wrong in ("0", "-1s", "soon", ""):
        with pytest.raises(click.BadParameter, match="no span of time"):
            to_timedelta(None, None, wrong)


def test_a_failure_of_ours_comes_out_of_the_groups_around_it() -> None:
    error = UnknownAgentError("gone")
    with pytest.raises(UnknownAgentError, match="gone"), ungrouped():
        raise BaseExceptionGroup("", [ExceptionGroup("", [error]), error])


def test_a_defect_stays_in_its_group() -> None:
    with pytest.raises(ExceptionGroup), ungrouped():
        raise ExceptionGroup("", [UnknownAgentError("gone"), ValueError("defect")])
