"""Orders knows where parcels are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agents.orders import agent as orders
from tests.fakes.served_agent import fresh_data, served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.fakes.served_agent import Caller


@pytest.fixture
async def desk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Caller]:
    fresh_data(monkeypatch, tmp_path, orders)
    async with served(orders.agent) as caller:
        yield caller


async def test_a_parcel_is_tracked_with_its_way_and_its_day(desk: Caller) -> None:
    answer = await desk.ask("track-order", "where is my parcel?")
    assert answer.text == (
        "Your Wi-Fi 7 router (B-4001) should arrive on 15 March 2025, tracking number PX 5550 1420 77.\n"
        "- 11 March 2025: packed in our warehouse\n"
        "- 12 March 2025: handed to the parcel service\n"
        "- 14 March 2025: in the parcel centre of your town\n"
        "Your second SIM card (B-4002) is still being prepared and should arrive on 18 March 2025."
    )


async def test_a_parcel_that_arrived_is_told_so(desk: Caller) -> None:
    answer = await desk.ask("track-order", "Wo ist mein Paket?", customer="C-1002")
    assert answer.text.startswith("schnurloses Telefon (B-4003): zugestellt am 8. März 2025")


async def test_orders_are_listed_with_their_state(desk: Caller) -> None:
    answer = await desk.ask("order-status", "Was habe ich bestellt?")
    assert answer.text == (
        "Ihre Bestellungen:\n"
        "- B-4002: zweite SIM-Karte, bestellt am 13. März 2025, in Vorbereitung\n"
        "- B-4001: WLAN-7-Router, bestellt am 10. März 2025, unterwegs"
    )


@pytest.mark.parametrize("capability", ["track-order", "order-status"])
async def test_who_ordered_nothing_is_told_so(desk: Caller, capability: str) -> None:
    assert (await desk.ask(capability, "where is my order?", customer="C-1003")).text == "I find no order of yours."
