"""Contracts: shows and compares tariffs, and cancels contracts after asking."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.contracts import answers, phrases
from agents.contracts.wishes import contracts_meant, is_about_fault, kinds_in
from agents.telco_data import choice_of, customer_data, introduction, language_of, said_yes, spoken
from lmos_grpc import Agent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agents.telco_data import Language
    from agents.telco_data.records import Contract
    from lmos_grpc import ClarificationAnswer, EventBody, Turn

agent = Agent(
    "contracts-agent",
    version="1.0.0",
    description="Shows contracts, compares tariffs and cancels contracts.",
    provider="Contracts team",
    locales=("en", "de"),
    may_hand_over=True,
)
customers = customer_data()


@agent.capability(
    "show-contract",
    version="1.0.0",
    name="Show contracts",
    description="Shows a customer's contracts: tariff, price, minimum term, notice period and what is included.",
    examples=phrases.SHOW_CONTRACT,
)
async def show_contract(turn: Turn) -> AsyncIterator[str | EventBody]:
    """Shows what the customer has."""
    language = language_of(turn.text, turn.locale)
    if is_about_fault(turn.text):
        async for event in _to_repair(turn, language):
            yield event
        return
    customer = customers.customer(turn.user.id)
    text = answers.overview(language, contracts_meant(turn.text, customers.contracts(customer)))
    async for piece in spoken(introduction(language, customer) + text):
        yield piece


@agent.capability(
    "compare-tariffs",
    version="1.0.0",
    name="Compare tariffs",
    description="Lists and compares the internet and mobile tariffs on offer, for a cheaper, faster or bigger plan.",
    examples=phrases.COMPARE_TARIFFS,
)
async def compare_tariffs(turn: Turn) -> AsyncIterator[str | EventBody]:
    """Compares what is on offer."""
    language = language_of(turn.text, turn.locale)
    customer = customers.customer(turn.user.id)
    tariffs = [tariff for kind in sorted(kinds_in(turn.text)) for tariff in customers.tariffs(kind)]
    text = answers.comparison(language, tariffs, customers.contracts(customer))
    async for piece in spoken(introduction(language, customer) + text):
        yield piece


@agent.capability(
    "cancel-contract",
    version="1.0.0",
    name="Cancel a contract",
    description="Cancels an internet or mobile contract, after asking for a confirmation, and tells when it ends.",
    examples=phrases.CANCEL_CONTRACT,
)
async def cancel_contract(turn: Turn) -> AsyncIterator[str | EventBody]:
    """Cancels a contract, with a question before. What was asked stands in the question's id, not in the agent."""
    customer = customers.customer(turn.user.id)
    contracts = customers.contracts(customer)
    language = language_of(turn.text, turn.locale)
    if answer := turn.answered("cancel:"):
        steps = _confirmed(turn, answer, contracts)
    elif answer := turn.answered("cancel-which:"):
        steps = _requested(turn, _language_asked_in(answer), _chosen(turn, answer, contracts))
    elif is_about_fault(turn.text):
        steps = _to_repair(turn, language)
    else:
        steps = _requested(turn, language, contracts_meant(turn.text, contracts), introduction(language, customer))
    async for step in steps:
        yield step


async def _requested(
    turn: Turn, language: Language, meant: list[Contract], first: str = ""
) -> AsyncIterator[str | EventBody]:
    async for piece in spoken(first):
        yield piece
    going_on = [each for each in meant if each.ends_on is None]
    if len(going_on) == 1:
        yield _confirmation(turn, language, going_on[0])
    elif going_on:
        options = {each.id: answers.label(each) for each in going_on}
        offered = ",".join(options)
        yield turn.ask(answers.which_question(language), options=options, id=f"cancel-which:{language}:{offered}")
    else:
        told = [answers.already_cancelled(language, each) for each in meant]
        async for piece in spoken("\n".join(told) or answers.nothing_to_cancel(language)):
            yield piece


def _chosen(turn: Turn, answer: ClarificationAnswer, contracts: tuple[Contract, ...]) -> list[Contract]:
    # "The second" means the second of those that were offered then, which stand in the question's id.
    ids = answer.clarification_id.rpartition(":")[2].split(",")
    offered = [each for each in contracts if each.id in ids]
    chosen = choice_of(answer.option_id, turn.text, {each.id: answers.label(each) for each in offered})
    return [each for each in offered if each.id == chosen] or contracts_meant(turn.text, offered)


async def _confirmed(
    turn: Turn, answer: ClarificationAnswer, contracts: tuple[Contract, ...]
) -> AsyncIterator[str | EventBody]:
    language = _language_asked_in(answer)
    _, _, contract_id = answer.clarification_id.rpartition(":")
    # Among the customer's own contracts only: the id comes back from the caller, who could have changed it.
    contract = next((each for each in contracts if each.id == contract_id), None)
    agreed = {"yes": True, "no": False}.get(answer.option_id, said_yes(turn.text))
    if contract is None:
        text = answers.nothing_to_cancel(language)
    elif contract.ends_on:
        text = answers.already_cancelled(language, contract)
    elif agreed is None:
        yield _confirmation(turn, language, contract)
        return
    elif agreed:
        yield turn.status("Ich trage die Kündigung ein" if language == "de" else "Entering the cancellation")
        text = answers.cancelled(language, customers.cancel(contract))
    else:
        text = answers.kept(language, contract)
    async for piece in spoken(text):
        yield piece


async def _to_repair(turn: Turn, language: Language) -> AsyncIterator[str | EventBody]:
    async for piece in spoken(answers.repair_first(language)):
        yield piece
    yield turn.hand_over(
        capability="check-line", reason="the customer tells of a fault", summary=f"Told contracts: {turn.text[:1_000]}"
    )


def _confirmation(turn: Turn, language: Language, contract: Contract) -> EventBody:
    question = answers.confirmation_question(language, contract, customers.end_of(contract))
    return turn.ask(question, options=answers.yes_or_no(language), id=f"cancel:{language}:{contract.id}")


def _language_asked_in(answer: ClarificationAnswer) -> Language:
    return "de" if answer.clarification_id.split(":")[1] == "de" else "en"
