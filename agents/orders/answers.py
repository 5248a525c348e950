"""What orders says, in English and German."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.telco_data import date_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agents.telco_data import Language
    from agents.telco_data.records import Order

_STATES: dict[Language, dict[str, str]] = {
    "en": {"in preparation": "in preparation", "on its way": "on its way", "delivered": "delivered"},
    "de": {"in preparation": "in Vorbereitung", "on its way": "unterwegs", "delivered": "zugestellt"},
}


def no_orders(language: Language) -> str:
    """Where there is nothing to tell."""
    return "Ich finde keine Bestellung von Ihnen." if language == "de" else "I find no order of yours."


def tracking(language: Language, orders: Sequence[Order]) -> str:
    """Where the parcels are; what was not sent yet is told in a sentence."""
    parcels = [each for each in orders if each.tracking_number]
    waiting = [each for each in orders if not each.tracking_number]
    told = [_parcel(language, each) for each in parcels] + [_waiting(language, each) for each in waiting]
    return "\n".join(told) or no_orders(language)


def _parcel(language: Language, order: Order) -> str:
    item, day = order.item[language], date_in(language, order.expected_on)
    way = "\n".join(f"- {date_in(language, each.happened_on)}: {each.text[language]}" for each in order.events)
    arrived = order.state == "delivered"
    if language == "de":
        head = f"{item} ({order.id}): {'zugestellt' if arrived else 'Zustellung voraussichtlich'} am {day}"
        return f"{head}, Sendungsnummer {order.tracking_number}.\n{way}"
    head = f"Your {item} ({order.id}) {'was delivered' if arrived else 'should arrive'} on {day}"
    return f"{head}, tracking number {order.tracking_number}.\n{way}"


def _waiting(language: Language, order: Order) -> str:
    item, day = order.item[language], date_in(language, order.expected_on)
    if language == "de":
        return f"{item} ({order.id}): noch in Vorbereitung, Ankunft voraussichtlich am {day}."
    return f"Your {item} ({order.id}) is still being prepared and should arrive on {day}."


def overview(language: Language, orders: Sequence[Order]) -> str:
    """What was ordered, the newest first."""
    if not orders:
        return no_orders(language)
    head = "Ihre Bestellungen:" if language == "de" else "Your orders:"
    of = "bestellt am" if language == "de" else "ordered on"
    lines = (
        f"- {each.id}: {each.item[language]}, {of} {date_in(language, each.ordered_on)}, "
        f"{_STATES[language][each.state]}"
        for each in orders
    )
    return "\n".join((head, *lines))
