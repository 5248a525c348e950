"""Contracts cancels only what it asked about, and leaves faults to others."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from agents.contracts import agent as contracts
from lmos_grpc.domain.event import Handover, Outcome
from tests.fakes.served_agent import TODAY, fresh_data, served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from agents.telco_data import CustomerData
    from tests.fakes.served_agent import Caller


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CustomerData:
    return fresh_data(monkeypatch, tmp_path, contracts)


@pytest.fixture
async def desk(data: CustomerData) -> AsyncIterator[Caller]:
    del data
    async with served(contracts.agent) as caller:
        yield caller


def cancelled_ones(data: CustomerData, customer: str = "C-1001") -> dict[str, date | None]:
    every = data.contracts(data.customer(customer))
    return {each.id: each.ends_on for each in every if each.cancelled_on == TODAY}


async def test_contracts_are_shown_with_their_terms(desk: Caller) -> None:
    answer = await desk.ask("show-contract", "what contract do I have?")
    assert answer.text == (
        "These are your contracts:\n"
        "- K-2001, Fibre 250, 0221 555 0142: 250 Mbit/s down, 100 up, €44.95 a month. "
        "Minimum term until 1 February 2026, 30 days' notice.\n"
        "- K-2002, Mobile M, 0151 555 0142: 40 GB of data, unlimited calls, €19.95 a month. "
        "Minimum term until 1 September 2024, 30 days' notice."
    )


async def test_a_contract_that_is_named_is_shown_alone(desk: Caller) -> None:
    answer = await desk.ask("show-contract", "wie lange läuft mein Mobilfunkvertrag noch?")
    assert "K-2002" in answer.text
    assert "K-2001" not in answer.text


async def test_tariffs_of_the_kind_asked_for_are_compared_and_the_own_is_marked(desk: Caller) -> None:
    answer = await desk.ask("compare-tariffs", "which fibre plans do you offer?")
    assert answer.text == (
        "These are our tariffs:\n"
        "- Fibre 100: 100 Mbit/s down, 50 up, €34.95 a month\n"
        "- Fibre 250 (yours): 250 Mbit/s down, 100 up, €44.95 a month\n"
        "- Fibre 1000: 1,000 Mbit/s down, 500 up, €69.95 a month"
    )


async def test_a_cancellation_is_asked_about_first(desk: Caller, data: CustomerData) -> None:
    answer = await desk.ask("cancel-contract", "I want to cancel my mobile contract")
    assert answer.outcome is Outcome.INPUT_REQUIRED
    assert answer.question.question == "Shall I really cancel Mobile M, 0151 555 0142 as of 13 April 2025?"
    assert {each.id: each.label for each in answer.question.options} == {"yes": "Yes, cancel it", "no": "No, keep it"}
    assert cancelled_ones(data) == {}


@pytest.mark.parametrize(("text", "option"), [("Yes, cancel it", "yes"), ("yes please", ""), ("ok", "yes")])
async def test_a_yes_cancels_and_writes_it_down(desk: Caller, data: CustomerData, text: str, option: str) -> None:
    asked = await desk.ask("cancel-contract", "I want to cancel my mobile contract")
    answer = await desk.reply("cancel-contract", asked.question, text, option=option)
    assert answer.outcome is Outcome.COMPLETED
    assert answer.text.startswith("Done: Mobile M, 0151 555 0142 is cancelled as of 13 April 2025.")
    assert cancelled_ones(data) == {"K-2002": date(2025, 4, 13)}


async def test_a_minimum_term_is_kept(desk: Caller, data: CustomerData) -> None:
    asked = await desk.ask("cancel-contract", "Bitte kündigen Sie meinen Internetvertrag")
    assert asked.question.question == "Soll ich Fibre 250, 0221 555 0142 wirklich zum 1. Februar 2026 kündigen?"
    answer = await desk.reply("cancel-contract", asked.question, "Ja, bitte")
    assert answer.text.startswith("Erledigt: Fibre 250, 0221 555 0142 ist zum 1. Februar 2026 gekündigt.")
    assert cancelled_ones(data) == {"K-2001": date(2026, 2, 1)}


@pytest.mark.parametrize(("text", "option"), [("No, keep it", "no"), ("no, I changed my mind", "")])
async def test_a_no_changes_nothing(desk: Caller, data: CustomerData, text: str, option: str) -> None:
    asked = await desk.ask("cancel-contract", "I want to cancel my mobile contract")
    answer = await desk.reply("cancel-contract", asked.question, text, option=option)
    assert answer.text == "Good, I changed nothing: Mobile M, 0151 555 0142 goes on."
    assert cancelled_ones(data) == {}


@pytest.mark.parametrize("text", ["hm", "yes and no", "why?"])
async def test_what_is_neither_yes_nor_no_is_asked_again(desk: Caller, data: CustomerData, text: str) -> None:
    asked = await desk.ask("cancel-contract", "I want to cancel my mobile contract")
    answer = await desk.reply("cancel-contract", asked.question, text)
    assert answer.question == asked.question
    assert cancelled_ones(data) == {}


async def test_a_bare_yes_without_a_question_cancels_nothing(desk: Caller, data: CustomerData) -> None:
    answer = await desk.ask("cancel-contract", "yes")
    assert answer.outcome is Outcome.INPUT_REQUIRED
    assert cancelled_ones(data) == {}


@pytest.mark.parametrize(("said", "option"), [("the mobile one", ""), ("2", ""), ("", "K-2002")])
async def test_with_two_contracts_the_right_one_is_asked_for(
    desk: Caller, data: CustomerData, said: str, option: str
) -> None:
    which = await desk.ask("cancel-contract", "I want to cancel")
    assert [each.id for each in which.question.options] == ["K-2001", "K-2002"]
    sure = await desk.reply("cancel-contract", which.question, said, option=option)
    assert "Mobile M" in sure.question.question
    await desk.reply("cancel-contract", sure.question, "yes")
    assert list(cancelled_ones(data)) == ["K-2002"]


async def test_what_is_cancelled_already_is_told(desk: Caller) -> None:
    answer = await desk.ask("cancel-contract", "cancel my internet contract", customer="C-1003")
    assert answer.text == "Fibre 1000, 040 555 0119 is cancelled already and ends on 1 April 2025."


async def test_nobody_cancels_the_contract_of_another_customer(desk: Caller, data: CustomerData) -> None:
    answer = await desk.reply("cancel-contract", "cancel:en:K-2002", "yes", option="yes", customer="C-1002")
    assert answer.text == "I find no contract of yours that I could cancel."
    assert cancelled_ones(data) == {}


@pytest.mark.parametrize(
    ("capability", "text"),
    [
        ("cancel-contract", "I want to cancel because my internet is always down"),
        ("cancel-contract", "Ich will kündigen, ständig fällt das Internet aus"),
        ("show-contract", "my contract says 250 but the internet keeps dropping"),
    ],
)
async def test_a_fault_is_handed_over_to_fault_repair(
    desk: Caller, data: CustomerData, capability: str, text: str
) -> None:
    answer = await desk.ask(capability, text)
    assert answer.outcome is Outcome.HANDED_OVER
    [wish] = [body for body in answer.bodies if isinstance(body, Handover)]
    assert wish.capability == "check-line"
    assert text in wish.summary
    assert cancelled_ones(data) == {}


async def test_who_insists_can_cancel_in_spite_of_a_fault(desk: Caller) -> None:
    answer = await desk.ask("cancel-contract", "my internet is always down, cancel it anyway")
    assert answer.outcome is Outcome.INPUT_REQUIRED
    assert "Fibre 250" in answer.question.question


async def test_a_choice_that_was_not_offered_is_asked_again(desk: Caller) -> None:
    which = await desk.ask("cancel-contract", "Ich möchte kündigen")
    again = await desk.reply("cancel-contract", which.question, "K-2003")
    assert again.question == which.question
    assert again.question.question == "Welchen Vertrag möchten Sie kündigen?"
