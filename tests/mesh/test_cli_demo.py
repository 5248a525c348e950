from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lmos_grpc.cli.exit_code import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.mesh
_LIMIT_SECONDS = 100


def demo(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lmos_grpc.cli", "demo", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_SECONDS, check=False)


def test_the_demo_shows_answers_reasons_and_one_whole_trace_and_all_is_as_expected() -> None:
    played = demo()
    assert played.returncode == ExitCode.OK, played.stdout + played.stderr
    assert "customer: Why is my bill so high this month?" in played.stdout
    assert "why: classified → billing-agent/explain-bill" in played.stdout
    assert "the caller hung up; fault-agent stopped" in played.stdout
    assert "■ One whole trace: Two wishes at once, to two agents at once" in played.stdout
    assert "parent missing" not in played.stdout
    assert "requests went as expected." in played.stdout
    assert "\x1b" not in played.stdout + played.stderr


def test_an_answer_that_is_not_as_expected_fails_the_demo(tmp_path: Path) -> None:
    file = tmp_path / "requests.yaml"
    file.write_text(
        "requests:\n"
        "  - {title: One, text: 'Where is my parcel?', expect_agents: [billing-agent], expect_outcome: COMPLETED}\n"
        "  - {title: Two, text: 'Where is my parcel?', expect_agents: [orders-agent], expect_outcome: COMPLETED}\n"
    )
    played = demo("--json", "--requests", str(file))
    results = [json.loads(line) for line in played.stdout.splitlines()]
    assert played.returncode == ExitCode.FAILURE
    assert [each["asExpected"] for each in results] == [False, True]
    assert results[0]["complaint"] == "answered by orders-agent, expected billing-agent"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("requests:\n  - {title: One, text: x, expect_agents: [], expect_outcome: COMPLETED, user_id: 1}\n", "user_id"),
        ("requests:\n  - {title: One, text: x, expect_agents: [], expect_outcome: DONE}\n", "'DONE'"),
        ("requests:\n  - {title: One, text: x, expect_agents: a, expect_outcome: FAILED}\n", "no list"),
        ("nothing: true\n", "holds no demo"),
    ],
)
def test_a_wrong_file_of_requests_is_a_usage_error(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "requests.yaml"
    file.write_text(text)
    played = demo("--requests", str(file))
    assert played.returncode == ExitCode.USAGE
    assert played.stderr.startswith("error: ")
    assert message in played.stderr
