"""The pictures and the page of the benchmark."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET  # what is parsed is our own

import pytest

from bench.__main__ import _arguments
from bench.bar_chart import Bar, BarChart, BarGroup
from bench.figure import Figure
from bench.part_result import PartResult, RecordedPart
from bench.report import page, record
from bench.table import Table

if TYPE_CHECKING:
    from pathlib import Path

_SVG = "{http://www.w3.org/2000/svg}"
_CHART = BarChart(
    "speed",
    'Speed of "a" & <b>',
    (BarGroup("1 caller", (Bar("direct", Figure(100, 90, 120)), Bar("managed <x>", Figure(50, 40, 60)))),),
)


def recorded(name: str = "paths", **figures: float | None) -> RecordedPart:
    result = PartResult(name, "About.", (Table("T", ("a",), (("1",),)),), (_CHART,), figures, ("A note.",))
    return RecordedPart(result, "2030-01-01", "python -m bench", {"Go": "go1.30"}, 12.5)


def test_a_chart_is_well_formed_and_its_bars_are_to_scale() -> None:
    root = ET.fromstring(_CHART.svg())  # noqa: S314 - our own
    widths = [float(each.attrib["width"]) for each in root.iter(f"{_SVG}rect")][1:]
    assert widths[0] == pytest.approx(2 * widths[1], abs=0.2)
    texts = {each.text for each in root.iter(f"{_SVG}text")}
    assert {'Speed of "a" & <b>', "managed <x>", "1 caller", "100", "50.0"} <= texts


def test_a_name_has_one_colour_in_every_group() -> None:
    figure = Figure(1, 1, 1)
    groups = (BarGroup("1", (Bar("a", figure), Bar("b", figure))), BarGroup("2", (Bar("b", figure),)))
    root = ET.fromstring(BarChart("c", "t", groups).svg())  # noqa: S314 - our own
    first, second, again = [each.attrib["fill"] for each in root.iter(f"{_SVG}rect")][1:]
    assert second == again != first


def test_a_chart_without_bars_can_be_drawn() -> None:
    ET.fromstring(BarChart("c", "t", (BarGroup("1", ()),)).svg())  # noqa: S314 - our own


def test_a_part_is_read_back_as_it_was_recorded() -> None:
    part = recorded(managed_over_relay=3.2, express_over_static=None)
    assert RecordedPart.from_json(part.to_json()) == part


def test_the_page_has_the_parts_in_their_order_below_the_targets() -> None:
    text = page([recorded("growth"), recorded("paths", managed_over_relay=1.5)])
    assert text.index("**Targets**") < text.index("## paths") < text.index("## growth")
    assert "| missed by 1.50 |" in text
    assert "![Speed of" in text
    assert "python -m bench" in text


def test_a_part_that_runs_alone_leaves_the_others_on_the_page(tmp_path: Path) -> None:
    record(recorded("paths"), tmp_path)
    record(recorded("growth"), tmp_path)
    text = (tmp_path / "RESULTS.md").read_text("utf-8")
    assert "## paths" in text
    assert "## growth" in text
    assert (tmp_path / "results" / "speed.svg").read_text("utf-8") == _CHART.svg()


def test_the_name_of_a_lane_leads_to_the_part_that_measures_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["bench", "--only", "express,managed,fan-out"])
    assert _arguments().only == "paths,fan-out"


def test_a_part_that_is_not_there_is_told_with_those_that_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bench", "--only", "expres"])
    with pytest.raises(SystemExit):
        _arguments()
    assert "there is no part expres; there are paths" in capsys.readouterr().err
