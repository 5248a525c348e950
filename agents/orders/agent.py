"""Orders: knows what was ordered and where the parcels are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.orders import answers, phrases
from agents.telco_data import customer_data, introduction, language_of, spoken
from lmos_grpc import Agent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos_grpc import EventBody, Turn

agent = Agent(
    "orders-agent",
    version="1.0.0",
    description="Tracks parcels and tells what became of orders of routers, telephones and SIM cards.",
    provider="Logistics team",
    locales=("en", "de"),
)
customers = customer_data()


@agent.capability(
    "track-order",
    version="1.0.0",
    name="Track an order",
    description="Tells where a parcel is, when it arrives, and its tracking number.",
    examples=phrases.TRACK_ORDER,
    tags=("parcel", "delivery"),
)
async def track_order(turn: Turn) -> AsyncIterator[str | EventBody]:
    """Tells where the parcels are."""
    language = language_of(turn.text, turn.locale)
    customer = customers.customer(turn.user.id)
    yield turn.status("Ich frage den Paketdienst" if language == "de" else "Asking the parcel service")
    async for piece in spoken(
        introduction(language, customer) + answers.tracking(language, customers.orders(customer))
    ):
        yield piece


@agent.capability(
    "order-status",
    version="1.0.0",
    name="Order status",
    description="Lists a customer's orders and tells whether they are confirmed, in preparation, sent or delivered.",
    examples=phrases.ORDER_STATUS,
)
async def order_status(turn: Turn) -> AsyncIterator[str | EventBody]:
    """Lists the orders."""
    language = language_of(turn.text, turn.locale)
    customer = customers.customer(turn.user.id)
    async for piece in spoken(
        introduction(language, customer) + answers.overview(language, customers.orders(customer))
    ):
        yield piece
