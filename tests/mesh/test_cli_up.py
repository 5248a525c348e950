from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lmos_grpc.cli.app import run_command
from lmos_grpc.cli.command.chat import converse
from lmos_grpc.cli.exit_code import ExitCode
from lmos_grpc.cli.settings import MeshSection, Settings
from lmos_grpc.domain.turn import RouteHint
from tests.mesh.lmos_process import AGENT, alive, children, lmos, mesh_up
from tests.mesh.whole_mesh import output_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.mesh
_LIMIT_SECONDS = 20


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with mesh_up(tmp_path_factory.mktemp("up")) as (_, ready):
        yield ready


def chat(mesh: dict[str, Any], *lines: str | Callable[[], str], hint: RouteHint | None = None) -> str:
    said, waiting = io.StringIO(), iter(lines)

    def read(_prompt: str) -> str:
        line = next(waiting, None)
        if line is None:
            raise EOFError
        return line if isinstance(line, str) else line()

    settings = Settings(mesh=MeshSection(edge=mesh["edge"], internal=mesh["internal"], state=Path(mesh["state"])))
    assert (
        converse(settings, output_to(said), read=read, conversation_id="c-chat", hint=hint or RouteHint())
        is ExitCode.OK
    )
    return said.getvalue()


def test_chat_keeps_the_conversation(mesh: dict[str, Any]) -> None:
    assert chat(mesh, "hello there", "", "/quit", "never read").count("Hello from c-chat.") == 1


def test_what_the_options_of_a_chat_want_of_the_routing_holds_for_every_turn(mesh: dict[str, Any]) -> None:
    hint = RouteHint("desk-agent", "greet")
    said = chat(mesh, "hello there", "/why", "hello there", "/why", hint=hint)
    assert said.count("the caller named the agent 'desk-agent'") == 4


def test_chat_takes_the_number_of_an_option_as_the_answer(mesh: dict[str, Any]) -> None:
    said = chat(mesh, "let me choose", "2")
    assert "  1. Red\n  2. Blue\n" in said
    assert "You chose b." in said


def test_chat_shows_why_and_the_trace_of_the_last_turn(mesh: dict[str, Any]) -> None:
    said = chat(mesh, "hello there", "/why", "/trace", "/help")
    assert "AGENT" in said
    assert "desk-agent/greet" in said
    assert "/new another conversation" in said


def test_in_chat_a_refused_turn_is_an_error_and_the_conversation_goes_on(mesh: dict[str, Any]) -> None:
    said = chat(mesh, "x" * 5_000_000, "hello there")
    assert "error: " in said
    assert "Hello from c-chat." in said


def test_ctrl_c_in_chat_cancels_the_turn_and_not_the_program(mesh: dict[str, Any]) -> None:
    def interrupt_soon() -> str:
        threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        return "count for ever"

    said = chat(mesh, interrupt_soon, "hello there")
    assert "1 2 3 " in said
    assert said.index("cancelled") < said.index("Hello from c-chat.")


def test_ask_is_interrupted_with_130(mesh: dict[str, Any]) -> None:
    with lmos("ask", "--json", "--edge", mesh["edge"], "--state", mesh["state"], "count for ever") as running:
        running.wait_for(lambda event: "textDelta" in event)
        assert running.interrupt() == ExitCode.INTERRUPTED


def test_a_deadline_that_passes_is_told_and_has_an_exit_code(
    mesh: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--edge", mesh["edge"], "--state", mesh["state"], "--timeout", "300ms"]
    assert run_command(["ask", *options, "count for ever"]) == ExitCode.MESH
    assert "error: DEADLINE_EXCEEDED" in capsys.readouterr().err


def test_commands_find_a_mesh_by_its_state_directory(mesh: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["ask", "--state", mesh["state"], "hello there"]) == ExitCode.OK
    captured = capsys.readouterr()
    assert captured.out.startswith("Hello from c-")
    assert "\x1b" not in captured.out + captured.err
    assert run_command(["agents", "--state", mesh["state"]]) == ExitCode.OK
    assert "desk-agent" in capsys.readouterr().out
    assert run_command(["trace", "--state", mesh["state"]]) == ExitCode.OK
    assert "lmos ask" in capsys.readouterr().out


def test_an_agent_that_runs_by_itself_says_where_it_is_and_drains(mesh: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "desk.py").write_text(AGENT.replace("desk-agent", "second-agent"), "utf-8")
    command = [
        sys.executable,
        "-m",
        "lmos_grpc.cli",
        "agent",
        "run",
        str(tmp_path / "desk.py"),
        "--state",
        mesh["state"],
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as agent:
        assert agent.stdout
        lines = [agent.stdout.readline().strip() for _ in range(3)]
        agent.send_signal(signal.SIGINT)
        rest = agent.stdout.read()
    assert lines[0].startswith("second-agent 1.0.0 serves at 127.0.0.1:")
    assert lines[1:] == [f"registering with the mesh at {mesh['internal']} …", "registered; Ctrl-C drains"]
    assert rest == "draining\n"
    assert agent.returncode == ExitCode.OK


def test_a_long_text_is_read_from_standard_input(
    mesh: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("hello there"))
    assert run_command(["ask", "--state", mesh["state"], "-"]) == ExitCode.OK
    assert capsys.readouterr().out.startswith("Hello from c-")


def test_an_empty_message_is_refused_by_the_mesh(mesh: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["ask", "--state", mesh["state"], "  "]) == ExitCode.MESH
    assert capsys.readouterr().err.startswith("error: ")


def test_all_public_services_answer_reflection_on_the_edge(mesh: dict[str, Any]) -> None:
    buf = Path(sys.executable).with_name("buf")
    options = ["--http2-prior-knowledge", "--protocol", "grpc", "--list-services", f"http://{mesh['edge']}"]
    listed = subprocess.run([buf, "curl", *options], capture_output=True, text=True, check=True, timeout=_LIMIT_SECONDS)
    assert set(listed.stdout.split()) >= {
        "grpc.health.v1.Health",
        "lmos.agent.v1.AgentService",
        "lmos.conversation.v1.ConversationService",
        "lmos.discovery.v1.DiscoveryService",
        "lmos.orchestrator.v1.OrchestratorService",
    }


def test_ctrl_c_drains_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with mesh_up(tmp_path) as (running, _):
        started = children(running.pid)
        assert len(started) == 2  # Envoy and the agent
        assert running.interrupt() == ExitCode.OK
        # The agent said goodbye before its edge went away.
        running.wait_for(lambda line: line["event"] == "agent" and line["ready"] == 0)
        assert not any(map(alive, started))
    assert not (tmp_path / "state" / "running.json").exists()


def test_agents_and_envoy_end_when_the_mesh_that_started_them_is_killed(tmp_path: Path) -> None:
    with mesh_up(tmp_path) as (running, _):
        started = children(running.pid)
        assert sorted(map(_is_python, started)) == [False, True]  # Envoy and the agent
        running.process.kill()
        running.process.wait()
        try:
            for each in started:
                _wait_until_gone(each)
        finally:
            for each in filter(alive, started):
                os.kill(each, signal.SIGKILL)


def test_an_agent_that_dies_is_told_and_started_again(tmp_path: Path) -> None:
    with mesh_up(tmp_path) as (running, _):
        agents = [each for each in children(running.pid) if _is_python(each)]
        os.kill(agents[0], signal.SIGKILL)
        told = running.wait_for(lambda line: line["event"] == "note" and line["text"].startswith("!"))
        assert told["text"] == "! desk ended by itself with code -9; starting it again in 1 s"
        # The lease of the one that died may run out before the new one comes, or after.
        running.wait_for(lambda line: line["event"] == "agent" and line["ready"] == 2)


def test_an_agent_that_does_not_load_is_told_with_its_last_words(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("raise RuntimeError('no data')\n", "utf-8")
    free = ("--edge", "127.0.0.1:0", "--internal", "127.0.0.1:0", "--metrics", "127.0.0.1:0")
    with lmos("up", "--json", "--state", str(tmp_path / "state"), *free, "--agents", str(broken)) as running:
        told = running.wait_for(lambda line: line["event"] == "note" and line["text"].startswith("!"))
    assert "RuntimeError: no data" in told["text"]


def test_two_meshes_do_not_share_a_state_directory(mesh: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    free = ["--edge", "127.0.0.1:0", "--internal", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--no-agents"]
    assert run_command(["up", "--state", mesh["state"], *free]) == ExitCode.ENVIRONMENT
    assert "error: " in capsys.readouterr().err


def _is_python(pid: int) -> bool:
    return "python" in Path(f"/proc/{pid}/exe").resolve().name


def _wait_until_gone(pid: int) -> None:
    until = time.monotonic() + _LIMIT_SECONDS
    while alive(pid):
        assert time.monotonic() < until, f"process {pid} is still there"
        threading.Event().wait(0.05)
