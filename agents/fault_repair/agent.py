"""Fault repair: measures the line, says what to do, and books a technician."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agents.fault_repair import answers, phrases
from agents.telco_data import choice_of, customer_data, introduction, language_of, spoken
from lmos_grpc import Agent, ToolCallState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agents.telco_data import Language
    from agents.telco_data.records import Contract, Visit
    from lmos_grpc import ClarificationAnswer, EventBody, Turn

MEASURING_PAUSE_SECONDS = 0.15
OFFERED_VISITS = 4

agent = Agent(
    "fault-agent",
    version="1.0.0",
    description="Finds out why internet, Wi-Fi or telephone do not work, helps to mend it and sends technicians.",
    provider="Fault repair team",
    locales=("en", "de"),
)
customers = customer_data()


@agent.capability(
    "check-line",
    version="1.0.0",
    name="Check the line",
    description="Measures the line when internet, Wi-Fi or telephone are down, slow or unstable, and says what to do.",
    examples=phrases.CHECK_LINE,
    tags=("fault", "outage"),
)
async def check_line(turn: Turn) -> AsyncIterator[str | EventBody]:
    """Measures the customer's line, telling how far it is, and explains the finding."""
    language = language_of(turn.text, turn.locale)
    customer = customers.customer(turn.user.id)
    contract = next((each for each in customers.contracts(customer) if each.tariff.kind == "internet"), None)
    if contract is None:
        text = answers.no_line(language)
    else:
        async for event in _measuring(turn, language, contract):
            yield event
        measured = customers.measure(contract)
        text = answers.finding(language, contract, measured) if measured else answers.no_line(language)
    async for piece in spoken(introduction(language, customer) + text):
        yield piece


async def _measuring(turn: Turn, language: Language, contract: Contract) -> AsyncIterator[EventBody]:
    started = turn.tool_call("measure_line", arguments={"line": contract.number})
    yield started
    steps = answers.MEASURING_STEPS[language]
    for number, step in enumerate(steps):
        yield turn.status(step, progress=number / len(steps))
        await asyncio.sleep(MEASURING_PAUSE_SECONDS)
    measured = customers.measure(contract)
    result = {"signal_dbm": measured.signal_dbm, "sync_mbit": measured.sync_mbit} if measured else {}
    yield turn.tool_call("measure_line", ToolCallState.COMPLETED, id=started.id, result=result)


@agent.capability(
    "book-technician",
    version="1.0.0",
    name="Book a technician",
    description="Books a technician's visit at the customer's home for a repair.",
    examples=phrases.BOOK_TECHNICIAN,
    tags=("appointment",),
)
async def book_technician(turn: Turn) -> AsyncIterator[str | EventBody]:
    """Offers times, and books the one that is chosen in the next turn."""
    answer = turn.answered("technician:")
    language = _language_asked_in(answer) if answer else language_of(turn.text, turn.locale)
    customer = customers.customer(turn.user.id)
    before = customers.booked_visit(customer)
    visit = _chosen(turn, answer, language) if answer else None
    free = customers.free_visits()[:OFFERED_VISITS]
    if before:
        text = answers.booked_before(language, before)
    elif visit and customers.book(visit, customer):
        text = answers.booked(language, visit)
    else:
        text = "" if free else answers.no_visits(language)
    async for piece in spoken(text if answer else introduction(language, customer) + text):
        yield piece
    if not text:
        options = {each.id: answers.visit_label(language, each) for each in free}
        offered = ",".join(options)
        yield turn.ask(answers.which_visit(language), options=options, id=f"technician:{language}:{offered}")


def _chosen(turn: Turn, answer: ClarificationAnswer, language: Language) -> Visit | None:
    # "The second" means the second of those that were offered then, which stand in the question's id.
    offered = {each: customers.visit(each) for each in answer.clarification_id.rpartition(":")[2].split(",")}
    options = {each: answers.visit_label(language, visit) for each, visit in offered.items() if visit}
    chosen = choice_of(answer.option_id, turn.text, options)
    return offered[chosen] if chosen else None


def _language_asked_in(answer: ClarificationAnswer) -> Language:
    return "de" if answer.clarification_id.split(":")[1] == "de" else "en"
