"""What the data set tells of a customer; text that a customer reads is there in every language."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from agents.telco_data.language import Language


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer; `assumed` says that the caller was not known and the demo customer stands in."""

    id: str
    name: str
    city: str
    assumed: bool = False


@dataclass(frozen=True, slots=True)
class Tariff:
    """What is on offer."""

    id: str
    kind: str
    name: str
    monthly_cents: int
    content: Mapping[Language, str]
    notice_days: int


@dataclass(frozen=True, slots=True)
class Contract:
    """What a customer has; `ends_on` is set once it is cancelled."""

    id: str
    tariff: Tariff
    number: str
    started_on: date
    minimum_until: date
    cancelled_on: date | None
    ends_on: date | None


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """One line of an invoice; lines of two invoices with one subject are compared with each other."""

    subject: str
    text: Mapping[Language, str]
    cents: int


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice, issued on the first of its month."""

    id: str
    month: date
    due_on: date
    direct_debit: bool
    paid_on: date | None
    lines: tuple[InvoiceLine, ...]

    @property
    def cents(self) -> int:
        """The total."""
        return sum(line.cents for line in self.lines)


@dataclass(frozen=True, slots=True)
class LineMeasurement:
    """What a measurement of a line found: `router`, `line`, `outage` or `healthy`."""

    finding: str
    signal_dbm: float
    sync_mbit: int
    repaired_by: date | None


@dataclass(frozen=True, slots=True)
class Visit:
    """A time at which a technician can come."""

    id: str
    visits_on: date
    from_hour: int
    until_hour: int


@dataclass(frozen=True, slots=True)
class ParcelEvent:
    """What happened to a parcel."""

    happened_on: date
    text: Mapping[Language, str]


@dataclass(frozen=True, slots=True)
class Order:
    """An order with the way of its parcel so far."""

    id: str
    item: Mapping[Language, str]
    ordered_on: date
    state: str
    expected_on: date
    tracking_number: str
    events: tuple[ParcelEvent, ...]
