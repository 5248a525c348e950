"""Fault repair measures lines and books technicians."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agents.fault_repair import agent as fault_repair
from lmos_grpc.domain.event import Outcome, Status, ToolCall, ToolCallState
from tests.fakes.served_agent import fresh_data, served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from agents.telco_data import CustomerData
    from tests.fakes.served_agent import Caller


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CustomerData:
    monkeypatch.setattr(fault_repair, "MEASURING_PAUSE_SECONDS", 0)
    return fresh_data(monkeypatch, tmp_path, fault_repair)


@pytest.fixture
async def desk(data: CustomerData) -> AsyncIterator[Caller]:
    del data
    async with served(fault_repair.agent) as caller:
        yield caller


async def test_a_line_check_tells_how_far_it_is(desk: Caller) -> None:
    bodies = (await desk.ask("check-line", "my internet is down")).bodies
    progress = [body.progress for body in bodies if isinstance(body, Status)]
    assert progress == [0.0, 0.25, 0.5, 0.75]


async def test_the_measurement_is_one_tool_call_that_starts_and_completes(desk: Caller) -> None:
    bodies = (await desk.ask("check-line", "my internet is down")).bodies
    started, completed = (body for body in bodies if isinstance(body, ToolCall))
    assert (started.name, started.state, started.arguments) == (
        "measure_line",
        ToolCallState.STARTED,
        {"line": "0221 555 0142"},
    )
    assert (completed.id, completed.state) == (started.id, ToolCallState.COMPLETED)
    assert completed.result == {"signal_dbm": -19.4, "sync_mbit": 0}


@pytest.mark.parametrize(
    ("customer", "says"),
    [
        ("C-1001", "1. Unplug the router"),
        ("C-1002", "the signal is -31.2 dBm, and below -27 it is too weak. You get 12 Mbit/s."),
        (
            "C-1003",
            "There is an outage in your area; there is nothing that you need to do. It will be mended by 15 March",
        ),
    ],
)
async def test_each_finding_is_told_with_what_to_do(desk: Caller, customer: str, says: str) -> None:
    assert says in (await desk.ask("check-line", "my internet is down", customer=customer)).text


async def test_a_german_customer_is_helped_in_german(desk: Caller) -> None:
    answer = await desk.ask("check-line", "Seit heute Morgen ist mein Internet weg")
    assert "1. Router vom Strom trennen" in answer.text
    assert any(isinstance(body, Status) and body.text == "Ich suche Ihren Router" for body in answer.bodies)


async def test_a_technician_is_booked_for_the_time_that_is_chosen(desk: Caller, data: CustomerData) -> None:
    asked = await desk.ask("book-technician", "send me a technician")
    assert asked.outcome is Outcome.INPUT_REQUIRED
    assert [each.label for each in asked.question.options][:2] == [
        "15 March 2025, 8:00 to 12:00",
        "15 March 2025, 13:00 to 17:00",
    ]
    answer = await desk.reply("book-technician", asked.question, "the second", option="V-2")
    assert answer.text.startswith("Booked: the technician comes on 15 March 2025, 13:00 to 17:00.")
    booked = data.booked_visit(data.customer("C-1001"))
    assert booked is not None
    assert booked.id == "V-2"


async def test_a_time_can_be_chosen_in_words(desk: Caller) -> None:
    asked = await desk.ask("book-technician", "Ich brauche einen Techniker")
    answer = await desk.reply("book-technician", asked.question, "16. März 2025, 8 bis 12 Uhr")
    assert answer.text.startswith("Gebucht: Der Techniker kommt am 16. März 2025, 8 bis 12 Uhr.")


@pytest.mark.parametrize(("text", "option"), [("the first", "V-1"), ("1", "")])
async def test_a_time_that_is_gone_meanwhile_is_not_offered_again(desk: Caller, text: str, option: str) -> None:
    asked = await desk.ask("book-technician", "send me a technician")
    await desk.reply("book-technician", asked.question, "1", option="V-1", customer="C-1002")
    late = await desk.reply("book-technician", asked.question, text, option=option)
    assert late.outcome is Outcome.INPUT_REQUIRED
    assert "V-1" not in [each.id for each in late.question.options]


async def test_who_has_an_appointment_is_told_so(desk: Caller) -> None:
    asked = await desk.ask("book-technician", "send me a technician")
    await desk.reply("book-technician", asked.question, "1", option="V-1")
    again = await desk.ask("book-technician", "send me a technician")
    assert again.text == "You have an appointment already: 15 March 2025, 8:00 to 12:00."
