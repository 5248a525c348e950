"""Rows of the data set as records."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from agents.telco_data.records import (
    Contract,
    Invoice,
    InvoiceLine,
    LineMeasurement,
    Order,
    ParcelEvent,
    Tariff,
    Visit,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agents.telco_data.language import Language

Row = dict[str, Any]  # Any: SQLite's columns have no types; each is given its type here


def tariff_of(row: Row, tariff_id: str) -> Tariff:
    """A row of `tariffs`."""
    return Tariff(tariff_id, row["kind"], row["name"], row["monthly_cents"], _texts(row, "content"), row["notice_days"])


def contract_of(row: Row) -> Contract:
    """A row of `contracts` joined with its tariff, the contract's id as `contract_id`."""
    return Contract(
        row["contract_id"],
        tariff_of(row, row["tariff_id"]),
        row["number"],
        date.fromisoformat(row["started_on"]),
        date.fromisoformat(row["minimum_until"]),
        _day(row["cancelled_on"]),
        _day(row["ends_on"]),
    )


def invoice_of(row: Row, lines: Iterable[Row]) -> Invoice:
    """A row of `invoices` with its lines."""
    return Invoice(
        row["id"],
        date.fromisoformat(row["month"]),
        date.fromisoformat(row["due_on"]),
        bool(row["direct_debit"]),
        _day(row["paid_on"]),
        tuple(InvoiceLine(line["subject"], _texts(line, "text"), line["cents"]) for line in lines),
    )


def measurement_of(row: Row) -> LineMeasurement:
    """A row of `lines`."""
    return LineMeasurement(row["finding"], row["signal_dbm"], row["sync_mbit"], _day(row["repaired_by"]))


def visit_of(row: Row) -> Visit:
    """A row of `visits`."""
    return Visit(row["id"], date.fromisoformat(row["visits_on"]), row["from_hour"], row["until_hour"])


def order_of(row: Row, events: Iterable[Row]) -> Order:
    """A row of `orders` with the events of its parcel."""
    return Order(
        row["id"],
        _texts(row, "item"),
        date.fromisoformat(row["ordered_on"]),
        row["state"],
        date.fromisoformat(row["expected_on"]),
        row["tracking_number"] or "",
        tuple(ParcelEvent(date.fromisoformat(each["happened_on"]), _texts(each, "text")) for each in events),
    )


def _texts(row: Row, column: str) -> Mapping[Language, str]:
    return {"en": row[f"{column}_en"], "de": row[f"{column}_de"]}


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
