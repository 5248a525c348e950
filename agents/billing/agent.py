"""Billing: explains invoices and knows what is paid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.billing import answers, phrases
from agents.telco_data import asking_for_number, customer_data, customer_of, introduction, language_of, spoken
from lmos_grpc import Agent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos_grpc import EventBody, Turn

agent = Agent(
    "billing-agent",
    version="1.0.0",
    description="Explains telephone and internet bills, lists invoices and tells what is paid.",
    provider="Billing team",
    locales=("en", "de"),
)
customers = customer_data()


@agent.capability(
    "explain-bill",
    version="1.0.0",
    name="Explain a bill",
    description="Explains why a bill is high or differs from last month's: charges, discounts and fees, line by line.",
    examples=phrases.EXPLAIN_BILL,
)
async def explain_bill(turn: Turn) -> AsyncIterator[str | EventBody]:
    """Compares this month's invoice with last month's."""
    language = language_of(turn.text, turn.locale)
    customer = customers.customer(turn.user.id)
    yield turn.status("Ich lese Ihre Rechnungen" if language == "de" else "Reading your invoices", progress=0.2)
    invoices = customers.invoices(customer)
    text = answers.explanation(language, invoices[0], next(iter(invoices[1:]), None)) if invoices else ""
    async for piece in spoken(introduction(language, customer) + (text or answers.no_invoices(language))):
        yield piece


@agent.capability(
    "list-invoices",
    version="1.0.0",
    name="List invoices",
    description="Lists the invoices of the last months with their amounts.",
    examples=phrases.LIST_INVOICES,
)
async def list_invoices(turn: Turn) -> AsyncIterator[str | EventBody]:
    """Lists the invoices."""
    language = language_of(turn.text, turn.locale)
    customer = customers.customer(turn.user.id)
    invoices = customers.invoices(customer)
    text = answers.invoice_list(language, invoices, customers.today()) if invoices else answers.no_invoices(language)
    async for piece in spoken(introduction(language, customer) + text):
        yield piece


@agent.capability(
    "payment-status",
    version="1.0.0",
    name="Payment status",
    description="Tells whether payments arrived, which invoices are open or overdue, and when money is collected.",
    examples=phrases.PAYMENT_STATUS,
)
async def payment_status(turn: Turn) -> AsyncIterator[str | EventBody]:
    """Tells what is open; on the telephone after asking whose invoices are meant."""
    language = language_of(turn.text, turn.locale)
    customer = customer_of(turn, customers)
    if customer is None:
        for event in asking_for_number(turn):
            yield event
        return
    invoices = customers.invoices(customer)
    text = answers.payment_status(language, invoices, customers.today()) if invoices else answers.no_invoices(language)
    async for piece in spoken(introduction(language, customer) + text):
        yield piece
