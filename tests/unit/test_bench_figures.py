"""The figures, tables and verdicts of the benchmark."""

from __future__ import annotations

import pytest

from bench.comparison import TURNS, comparison_table, cpu_of, cpu_of_python, failures, figure_of
from bench.figure import Figure, difference, plain, ratio, shown
from bench.load_run import LoadRun, Quantiles
from bench.scale import FULL, SMOKE
from bench.table import Table
from bench.targets import TARGETS, Target, verdicts


def run_of(*, turns: int = 10, tokens: int = 1_000, failed: int = 0, **cpu: float) -> LoadRun:
    times = Quantiles(turns, 1, 2, 3)
    return LoadRun(2, turns, tokens, tokens, times, times, times, {"refused": failed} if failed else {}, "", cpu)


def test_a_figure_is_the_median_of_its_rounds_with_the_lowest_and_the_highest() -> None:
    assert Figure.of([3, 1, 2]) == Figure(2, 1, 3)
    assert Figure.of([4, 1]) == Figure(2.5, 1, 4)
    assert Figure.of([]) is None


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0.00"), (0.125, "0.12"), (12.34, "12.3"), (1234.5, "1,234"), (-250, "-250")]
)
def test_a_number_has_three_digits_that_count(number: float, text: str) -> None:
    assert plain(number) == text


def test_the_spread_is_shown_only_where_there_is_one() -> None:
    assert shown(Figure(2, 1, 3)) == "2.00 (1.00 to 3.00)"
    assert shown(Figure(2, 2, 2)) == "2.00"
    assert shown(None) == "-"


def test_what_was_not_measured_has_no_ratio_and_no_difference() -> None:
    one, none = Figure(6, 1, 9), Figure(0, 0, 0)
    assert (ratio(one, Figure(2, 1, 3)), difference(one, Figure(2, 1, 3))) == (3, 4)
    assert ratio(one, none) is None
    assert ratio(None, one) is None
    assert difference(one, None) is None


def test_a_table_is_markdown_in_which_cells_cannot_break_out() -> None:
    table = Table("Title", ("a", "b"), (("1|2", "3\n4"),))
    assert str(table) == "**Title**\n\n| a | b |\n|---|---|\n| 1\\|2 | 3 4 |"


@pytest.mark.parametrize(
    ("measured", "said"), [(None, "not measured"), (3.0, "reached"), (4, "reached"), (2.5, "missed by 0.50 x")]
)
def test_a_target_that_wants_much_is_reached_from_below(measured: float | None, said: str) -> None:
    assert Target("", "", 3, " x").verdict(measured) == said


@pytest.mark.parametrize(("measured", "said"), [(10.0, "reached"), (12, "missed by 2.00 ms")])
def test_a_target_that_wants_little_is_reached_from_above(measured: float, said: str) -> None:
    assert Target("", "", 10, " ms", at_least=False).verdict(measured) == said


def test_every_target_has_its_line_whatever_was_measured() -> None:
    table = verdicts({"paths.managed_over_relay": 3.5})
    assert len(table.rows) == len(TARGETS)
    assert {row[3] for row in table.rows} == {"reached", "not measured"}
    assert [row[2] for row in table.rows if row[3] == "reached"] == ["3.50"]


def test_cpu_is_told_for_a_thousand_tokens_and_by_process() -> None:
    cell = {"managed": [run_of(tokens=2_000, envoy=0.1, orchestrator=0.3, traces=0.1)], "direct": [run_of(agent=1)]}
    assert figure_of(cell, "managed", cpu_of("envoy")) == Figure(50, 50, 50)
    assert figure_of(cell, "direct", cpu_of("envoy")) is None
    python = cpu_of_python({"managed": ("orchestrator", "traces"), "direct": ()})
    assert figure_of(cell, "managed", python) == Figure(200, 200, 200)
    assert figure_of(cell, "direct", python) is None


def test_cpu_without_tokens_is_no_figure() -> None:
    assert run_of(tokens=0, envoy=1).cpu_ms_per_1000_tokens("envoy") is None


def test_a_comparison_has_a_row_for_each_size_and_arm() -> None:
    cells = {"1": {"direct": [run_of(turns=20), run_of(turns=40)], "managed": [run_of(turns=2)]}}
    table = comparison_table("Turns", "callers", cells, (TURNS,))
    assert table.head == ("callers", "path", "turns/s")
    assert table.rows == (("1", "direct", "15.0 (10.0 to 20.0)"), ("1", "managed", "1.00"))


def test_failed_turns_are_told_by_arm_and_cause() -> None:
    found = failures([{"managed": [run_of(failed=2), run_of(failed=1)], "direct": [run_of()]}])
    assert found == ("3 turns failed, managed: refused",)


def test_the_short_run_measures_every_kind_of_thing_that_the_full_run_does() -> None:
    for name in FULL.__slots__:
        assert getattr(SMOKE, name), name
