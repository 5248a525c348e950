from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.part_result import PartResult, RecordedPart
from bench.regression import compare
from bench.report import record

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
RATIO, DELAY = "paths.managed_over_relay", "paths.cancel_p99_ms"


def verdicts(before: Mapping[str, float | None], now: Mapping[str, float | None]) -> dict[str, str]:
    return {each.target.key: each.verdict(0.3) for each in compare(before, now)}


def test_more_is_better_where_the_target_is_a_lower_limit() -> None:
    assert verdicts({RATIO: 1.0}, {RATIO: 2.0})[RATIO] == "better"
    assert verdicts({RATIO: 2.0}, {RATIO: 1.0})[RATIO] == "WORSE"


def test_less_is_better_where_the_target_is_an_upper_limit() -> None:
    assert verdicts({DELAY: 10.0}, {DELAY: 3.0})[DELAY] == "better"
    assert verdicts({DELAY: 3.0}, {DELAY: 10.0})[DELAY] == "WORSE"


def test_what_moves_within_the_noise_is_the_same() -> None:
    assert verdicts({RATIO: 1.0}, {RATIO: 0.8})[RATIO] == "same"


def test_a_figure_that_one_run_lacks_is_not_compared() -> None:
    assert verdicts({RATIO: 1.0}, {RATIO: None})[RATIO] == "not to compare"
    assert verdicts({}, {RATIO: 1.0})[RATIO] == "not to compare"


def test_the_command_fails_where_a_figure_got_worse(tmp_path: Path) -> None:
    baseline = tmp_path / "baseline.json"
    command = (sys.executable, "-m", "bench.regression", "--out", str(tmp_path), "--baseline", str(baseline))
    _write(tmp_path, 3.0)
    assert subprocess.run((*command, "--set"), cwd=ROOT, check=False).returncode == 0
    assert subprocess.run(command, cwd=ROOT, check=False, capture_output=True).returncode == 0
    _write(tmp_path, 1.0)
    worse = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert worse.returncode == 1
    assert "| 3.00 | 1.00 | -67% | WORSE |" in worse.stdout


def test_without_a_baseline_the_command_says_how_to_make_one(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "bench.regression", "--baseline", str(tmp_path / "none.json"))
    ended = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "--set" in ended.stderr


def _write(folder: Path, managed_over_relay: float) -> None:
    part = PartResult("paths", "about", (), key_figures={"managed_over_relay": managed_over_relay})
    record(RecordedPart(part, "2026-01-01 00:00 UTC", "command", {}, 1.0), folder)
