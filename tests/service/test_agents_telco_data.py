"""The customer data: built for the day, changed only in its own copy, and spoken of in two languages."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest

from agents.telco_data import (
    CustomerData,
    choice_of,
    customer_data,
    language_of,
    list_in,
    money_in,
    said_yes,
    spoken,
)

ROOT = Path(__file__).resolve().parents[2]


def on(directory: Path, day: date) -> CustomerData:
    return CustomerData(directory, today=lambda: day)


@pytest.mark.parametrize("day", [date(2024, 2, 29), date(2025, 1, 1), date(2031, 12, 31)])
def test_the_data_are_told_relative_to_the_day(tmp_path: Path, day: date) -> None:
    data = on(tmp_path, day)
    newest, before, *_ = data.invoices(data.customer("C-1001"))
    assert newest.month == day.replace(day=1)
    assert 28 <= (newest.month - before.month).days <= 31
    assert all((visit.visits_on - day).days in (1, 2, 3) for visit in data.free_visits())


def test_a_change_stays_for_its_day_and_is_gone_on_the_next(tmp_path: Path) -> None:
    today, tomorrow = on(tmp_path, date(2025, 3, 14)), on(tmp_path, date(2025, 3, 15))
    contract = today.contracts(today.customer("C-1001"))[1]
    today.cancel(contract)
    again = on(tmp_path, date(2025, 3, 14))
    assert again.contracts(again.customer("C-1001"))[1].cancelled_on == date(2025, 3, 14)
    assert tomorrow.contracts(tomorrow.customer("C-1001"))[1].cancelled_on is None


def test_a_contract_is_cancelled_once(tmp_path: Path) -> None:
    data = on(tmp_path, date(2025, 3, 14))
    contract = data.contracts(data.customer("C-1003"))[0]
    data.cancel(contract)
    assert data.contracts(data.customer("C-1003"))[0] == contract


def test_two_customers_never_get_one_visit(tmp_path: Path) -> None:
    data = on(tmp_path, date(2025, 3, 14))
    visit = data.free_visits()[0]
    assert data.book(visit, data.customer("C-1001"))
    assert not data.book(visit, data.customer("C-1002"))


def test_agents_that_build_at_once_share_one_copy(tmp_path: Path) -> None:
    def cancel(index: int) -> None:
        data = on(tmp_path, date(2025, 3, 14))
        data.cancel(data.contracts(data.customer("C-1001"))[index])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(cancel, (0, 1)))
    data = on(tmp_path, date(2025, 3, 14))
    assert all(each.cancelled_on for each in data.contracts(data.customer("C-1001")))
    assert [path.name for path in tmp_path.iterdir()] == ["customers-2025-03-14.sqlite"]


def test_the_directory_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TELCO_DATA", str(tmp_path / "desk"))
    customer_data().customer("C-1001")
    assert len(list((tmp_path / "desk").iterdir())) == 1


def test_without_a_name_the_copy_goes_with_its_process(tmp_path: Path) -> None:
    code = "from agents.telco_data import customer_data; print(customer_data().customer('C-1002').name)"
    environment = {key: value for key, value in os.environ.items() if key != "TELCO_DATA"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**environment, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == "James Carter\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "locale", "language"),
    [
        ("why is my bill so high", "", "en"),
        ("why is my bill so high", "de", "en"),
        ("Warum ist meine Rechnung so hoch", "en-GB", "de"),
        ("C-1001", "de-AT", "de"),
        ("C-1001", "fr", "en"),
        ("", "", "en"),
    ],
)
def test_the_words_decide_the_language_before_the_locale(text: str, locale: str, language: str) -> None:
    assert language_of(text, locale) == language


def test_money_is_written_as_each_language_writes_it() -> None:
    assert (money_in("en", 108186), money_in("de", 108186)) == ("€1,081.86", "1.081,86 €")
    assert (money_in("en", -1000), money_in("de", -1000)) == ("-€10.00", "-10,00 €")


def test_lists_end_in_a_conjunction() -> None:
    assert [list_in("en", each) for each in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
    assert list_in("de", ["a", "b"]) == "a und b"


@pytest.mark.parametrize("text", ["One.", "a  b\n\n- c\n- d\n", " lead", ""])
async def test_an_answer_in_pieces_is_the_answer(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("agents.telco_data.speech.WORD_PAUSE_SECONDS", 0)
    pieces = [piece async for piece in spoken(text)]
    assert "".join(pieces) == text
    assert all(pieces)


@pytest.mark.parametrize(
    ("text", "meaning"), [("Yes!", True), ("ja, bitte", True), ("No.", False), ("nein", False), ("maybe", None)]
)
def test_yes_and_no_are_heard(text: str, meaning: bool | None) -> None:  # noqa: FBT001 # a table's column
    assert said_yes(text) is meaning


@pytest.mark.parametrize(
    ("option", "text", "chosen"),
    [
        ("b", "", "b"),
        ("", "2", "b"),
        ("", "Tuesday", "b"),
        ("", "on tuesday please", "b"),
        ("", "3", None),
        ("", "", None),
        ("", "Monday or Tuesday", None),
        ("x", "", None),
    ],
)
def test_an_option_is_chosen_by_id_place_or_words(option: str, text: str, chosen: str | None) -> None:
    assert choice_of(option, text, {"a": "Monday", "b": "Tuesday"}) == chosen
