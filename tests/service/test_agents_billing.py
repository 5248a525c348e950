"""Billing explains invoices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agents.billing import agent as billing
from lmos_grpc.domain.event import Outcome, Status, TextDelta
from tests.fakes.served_agent import fresh_data, served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.fakes.served_agent import Caller


@pytest.fixture
async def desk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Caller]:
    fresh_data(monkeypatch, tmp_path, billing)
    async with served(billing.agent) as caller:
        yield caller


async def test_a_bill_is_explained_against_last_months_line_by_line(desk: Caller) -> None:
    answer = await desk.ask("explain-bill", "why is my bill so high this month?")
    assert answer.text == (
        "Your March invoice is €81.86, which is €26.96 more than in February (€54.90). This is what changed:\n"
        "- Welcome discount on Fibre 250: -€10.00 (ended)\n"
        "- Three day passes for data in Switzerland: €11.97 (new)\n"
        "- One film from the video store: €4.99 (new)\n"
        "Everything else stayed the same."
    )
    assert answer.outcome is Outcome.COMPLETED


async def test_it_tells_what_it_does_and_then_speaks_word_by_word(desk: Caller) -> None:
    bodies = (await desk.ask("explain-bill", "why is my bill so high?")).bodies
    assert bodies[1] == Status("Reading your invoices", 0.2)
    assert sum(isinstance(body, TextDelta) for body in bodies) > 30


async def test_a_german_customer_is_answered_in_german(desk: Caller) -> None:
    answer = await desk.ask("explain-bill", "Warum ist meine Rechnung diesen Monat so hoch?")
    assert answer.text.startswith(
        "Ihre Rechnung für März beträgt 81,86 €, das sind 26,96 € mehr als im Februar (54,90 €)."
    )
    assert "- Drei Tagespässe für Daten in der Schweiz: 11,97 € (neu)\n" in answer.text


async def test_where_the_words_do_not_tell_the_locale_decides(desk: Caller) -> None:
    assert (await desk.ask("explain-bill", "81,86 €?", locale="de-DE")).text.startswith("Ihre Rechnung für März")


async def test_a_cheaper_bill_is_explained_as_well(desk: Caller) -> None:
    answer = await desk.ask("explain-bill", "explain my bill", customer="C-1002")
    assert "which is €39.90 less than in February (€74.85)" in answer.text


async def test_a_bill_that_did_not_change_is_told_to_be_the_same(desk: Caller) -> None:
    answer = await desk.ask("explain-bill", "explain my bill", customer="C-1003")
    assert answer.text == "Your March invoice is €99.90, which is the same as in February (€99.90)."


@pytest.mark.parametrize("customer", ["", "C-9999"])
async def test_a_customer_that_is_not_known_is_told_whose_data_these_are(desk: Caller, customer: str) -> None:
    answer = await desk.ask("explain-bill", "explain my bill", customer=customer)
    assert answer.text.startswith(
        "I do not know your customer number, so this is our demo customer, Anna Becker (C-1001). Your March invoice"
    )


async def test_invoices_are_listed_with_what_became_of_them(desk: Caller) -> None:
    answer = await desk.ask("list-invoices", "show me my invoices")
    assert answer.text == (
        "Your latest invoices:\n"
        "- R-3003, March 2025: €81.86, will be collected from your account on 15 March 2025\n"
        "- R-3002, February 2025: €54.90, paid on 15 February 2025\n"
        "- R-3001, January 2025: €54.90, paid on 15 January 2025"
    )


async def test_an_overdue_invoice_is_told(desk: Caller) -> None:
    answer = await desk.ask("payment-status", "do I owe you anything?", customer="C-1002")
    assert answer.text == (
        "There is €109.80 open: R-3005 (€34.95, due on 15 March 2025) "
        "and R-3004 (€74.85, overdue since 15 February 2025)."
    )


async def test_once_the_money_is_collected_everything_is_paid(
    desk: Caller, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = fresh_data(monkeypatch, tmp_path, billing)
    later = data.today().replace(day=20)
    data.today = lambda: later
    answer = await desk.ask("payment-status", "ist meine Rechnung bezahlt?")
    assert answer.text == "Es ist alles bezahlt. Die letzte Zahlung über 81,86 € kam am 15. März 2025 an."
