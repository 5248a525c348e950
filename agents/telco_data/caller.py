"""Who calls: on the telephone a customer says so with the keypad."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.telco_data.language import language_of

if TYPE_CHECKING:
    from agents.telco_data.customers import CustomerData
    from agents.telco_data.records import Customer
    from lmos_grpc import EventBody, Turn

_CHANNEL = "ivr"
_QUESTION_ID = "customer-number"
_DIGITS = 4
_QUESTION = {
    "en": "Please enter your customer number on the keypad; it has four digits.",
    "de": "Bitte geben Sie Ihre vierstellige Kundennummer über die Tasten ein.",
}


def customer_of(turn: Turn, customers: CustomerData) -> Customer | None:
    """The customer whom a turn is for; None where a caller has to be asked first."""
    if turn.channel != _CHANNEL or turn.user.id:
        return customers.customer(turn.user.id)
    digits = "".join(char for char in turn.text if char.isdigit()) if turn.answered(_QUESTION_ID) else ""
    customer = customers.customer(f"C-{digits}") if digits else None
    return customer if customer and not customer.assumed else None


def asking_for_number(turn: Turn) -> tuple[EventBody, ...]:
    """The question for the customer number, to be yielded at the end of the turn."""
    question = turn.ask(_QUESTION[language_of(turn.text, turn.locale)], id=_QUESTION_ID)
    return turn.ask_digits(length=_DIGITS), question
