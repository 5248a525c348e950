"""What the desk knows of its customers, and what it can change."""

from __future__ import annotations

import atexit
import os
import tempfile
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from agents.telco_data.daily_copy import opened
from agents.telco_data.records import Customer
from agents.telco_data.rows import contract_of, invoice_of, measurement_of, order_of, tariff_of, visit_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents.telco_data.records import Contract, Invoice, LineMeasurement, Order, Tariff, Visit
    from agents.telco_data.rows import Row

DATA_DIRECTORY_VARIABLE = "TELCO_DATA"
DEMO_CUSTOMER = "C-1001"

_CONTRACTS = (
    "SELECT t.*, c.id AS contract_id, tariff_id, number, started_on, minimum_until, cancelled_on, ends_on "
    "FROM contracts c JOIN tariffs t ON t.id = tariff_id WHERE customer_id = ? ORDER BY c.id"
)
_CANCEL = "UPDATE contracts SET cancelled_on = ?, ends_on = ? WHERE id = ? AND cancelled_on IS NULL"
_BOOK = "UPDATE visits SET customer_id = ? WHERE id = ? AND customer_id IS NULL RETURNING id"


def customer_data() -> CustomerData:
    """The data set in the directory that `TELCO_DATA` names; unset: in one that goes with the process.

    Agents that shall see each other's changes are given one directory.
    """
    named = os.environ.get(DATA_DIRECTORY_VARIABLE)
    if named:
        return CustomerData(Path(named))
    scratch = tempfile.TemporaryDirectory(prefix="lmos-telco-")
    atexit.register(scratch.cleanup)
    return CustomerData(Path(scratch.name))


class CustomerData:
    """The data set in a directory, as it is on the day that `today` tells."""

    def __init__(self, directory: Path, *, today: Callable[[], date] = date.today) -> None:
        self._directory = directory
        self.today = today

    def customer(self, customer_id: str) -> Customer:
        """The customer of that id; the demo customer, marked as assumed, where there is none."""
        query = "SELECT id, name, city FROM customers WHERE id IN (?, ?) ORDER BY id = ? DESC"
        row = self._rows(query, customer_id, DEMO_CUSTOMER, customer_id)[0]
        return Customer(**row, assumed=row["id"] != customer_id)

    def tariffs(self, kind: str) -> tuple[Tariff, ...]:
        """The tariffs of a kind (`internet` or `mobile`), the cheapest first."""
        rows = self._rows("SELECT * FROM tariffs WHERE kind = ? ORDER BY monthly_cents", kind)
        return tuple(tariff_of(row, row["id"]) for row in rows)

    def contracts(self, customer: Customer) -> tuple[Contract, ...]:
        """What the customer has, cancelled ones too."""
        return tuple(contract_of(row) for row in self._rows(_CONTRACTS, customer.id))

    def end_of(self, contract: Contract) -> date:
        """The earliest day that the contract can end on when it is cancelled today."""
        return max(contract.minimum_until, self.today() + timedelta(days=contract.tariff.notice_days))

    def cancel(self, contract: Contract) -> Contract:
        """Cancels a contract for the earliest day that its terms allow; a cancelled one stays as it is."""
        cancelled = replace(contract, cancelled_on=self.today(), ends_on=self.end_of(contract))
        self._rows(_CANCEL, str(cancelled.cancelled_on), str(cancelled.ends_on), contract.id)
        return cancelled

    def invoices(self, customer: Customer) -> tuple[Invoice, ...]:
        """The customer's invoices, the newest first."""
        rows = self._rows("SELECT * FROM invoices WHERE customer_id = ? ORDER BY month DESC", customer.id)
        lines = "SELECT * FROM invoice_lines WHERE invoice_id = ? ORDER BY rowid"
        return tuple(invoice_of(row, self._rows(lines, row["id"])) for row in rows)

    def measure(self, contract: Contract) -> LineMeasurement | None:
        """What a measurement of the contract's line finds; None where the contract has no line."""
        rows = self._rows("SELECT * FROM lines WHERE contract_id = ?", contract.id)
        return measurement_of(rows[0]) if rows else None

    def free_visits(self) -> tuple[Visit, ...]:
        """The times at which a technician can come, the soonest first."""
        rows = self._rows("SELECT * FROM visits WHERE customer_id IS NULL ORDER BY visits_on, from_hour")
        return tuple(visit_of(row) for row in rows)

    def visit(self, visit_id: str) -> Visit | None:
        """The visit of that id, free or not."""
        rows = self._rows("SELECT * FROM visits WHERE id = ?", visit_id)
        return visit_of(rows[0]) if rows else None

    def booked_visit(self, customer: Customer) -> Visit | None:
        """The visit that is booked for the customer."""
        rows = self._rows("SELECT * FROM visits WHERE customer_id = ?", customer.id)
        return visit_of(rows[0]) if rows else None

    def book(self, visit: Visit, customer: Customer) -> bool:
        """Books a visit; False where somebody else was faster."""
        return bool(self._rows(_BOOK, customer.id, visit.id))

    def orders(self, customer: Customer) -> tuple[Order, ...]:
        """The customer's orders, the newest first."""
        rows = self._rows("SELECT * FROM orders WHERE customer_id = ? ORDER BY ordered_on DESC", customer.id)
        events = "SELECT * FROM parcel_events WHERE order_id = ? ORDER BY happened_on"
        return tuple(order_of(row, self._rows(events, row["id"])) for row in rows)

    def _rows(self, query: str, *values: str) -> list[Row]:
        with opened(self._directory, self.today()) as connection:
            return [dict(row) for row in connection.execute(query, values)]
