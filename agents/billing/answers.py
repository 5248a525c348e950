"""What billing says, in English and German."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.telco_data import date_in, list_in, money_in, month_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date

    from agents.telco_data import Language
    from agents.telco_data.records import Invoice


def no_invoices(language: Language) -> str:
    """Where there is nothing to tell."""
    return "Es gibt noch keine Rechnung für Sie." if language == "de" else "There is no invoice for you yet."


def explanation(language: Language, invoice: Invoice, before: Invoice | None) -> str:
    """An invoice against the one before it, line by line."""
    total, month = money_in(language, invoice.cents), month_in(language, invoice.month)
    if before is None:
        head = f"Ihre Rechnung für {month}: {total}." if language == "de" else f"Your {month} invoice is {total}."
        return "\n".join(
            (head, *(f"- {line.text[language]}: {money_in(language, line.cents)}" for line in invoice.lines))
        )
    changes = "\n".join(f"- {change}" for change in _changes(language, invoice, before))
    difference = _difference(language, invoice.cents - before.cents)
    earlier = f"{month_in(language, before.month)} ({money_in(language, before.cents)})"
    if language == "de":
        head = f"Ihre Rechnung für {month} beträgt {total}, das sind {difference} im {earlier}."
        return f"{head} Das hat sich geändert:\n{changes}\nAlles andere ist gleich geblieben." if changes else head
    head = f"Your {month} invoice is {total}, which is {difference} in {earlier}."
    return f"{head} This is what changed:\n{changes}\nEverything else stayed the same." if changes else head


def _difference(language: Language, cents: int) -> str:
    if cents == 0:
        return "genauso viel wie" if language == "de" else "the same as"
    amount = money_in(language, abs(cents))
    if language == "de":
        return f"{amount} {'mehr' if cents > 0 else 'weniger'} als"
    return f"{amount} {'more' if cents > 0 else 'less'} than"


def _changes(language: Language, invoice: Invoice, before: Invoice) -> Iterator[str]:
    now = {line.subject: line for line in invoice.lines}
    then = {line.subject: line for line in before.lines}
    new, ended, was = ("neu", "entfallen", "bisher") if language == "de" else ("new", "ended", "it was")
    for subject, line in (then | now).items():
        cents = money_in(language, line.cents)
        if subject not in then:
            yield f"{line.text[language]}: {cents} ({new})"
        elif subject not in now:
            yield f"{line.text[language]}: {cents} ({ended})"
        elif line.cents != then[subject].cents:
            yield f"{line.text[language]}: {cents} ({was} {money_in(language, then[subject].cents)})"


def invoice_list(language: Language, invoices: Sequence[Invoice], today: date) -> str:
    """The invoices, the newest first."""
    head = "Ihre letzten Rechnungen:" if language == "de" else "Your latest invoices:"
    lines = (
        f"- {each.id}, {month_in(language, each.month)} {each.month.year}: {money_in(language, each.cents)}, "
        f"{_state(language, each, today)}"
        for each in invoices
    )
    return "\n".join((head, *lines))


def payment_status(language: Language, invoices: Sequence[Invoice], today: date) -> str:
    """What is open, and when it is due."""
    unpaid = [each for each in invoices if each.paid_on is None]
    if not unpaid:
        newest = invoices[0]
        paid = date_in(language, newest.paid_on) if newest.paid_on else ""
        if language == "de":
            return f"Es ist alles bezahlt. Die letzte Zahlung über {money_in(language, newest.cents)} kam am {paid} an."
        return f"Everything is paid. Your last payment, {money_in(language, newest.cents)}, arrived on {paid}."
    open_items = [f"{each.id} ({money_in(language, each.cents)}, {_state(language, each, today)})" for each in unpaid]
    total = money_in(language, sum(each.cents for each in unpaid))
    if language == "de":
        return f"Offen sind {total}: {list_in(language, open_items)}."
    return f"There is {total} open: {list_in(language, open_items)}."


def _state(language: Language, invoice: Invoice, today: date) -> str:
    german = language == "de"
    if invoice.paid_on is not None:
        return f"{'bezahlt am' if german else 'paid on'} {date_in(language, invoice.paid_on)}"
    due = date_in(language, invoice.due_on)
    if invoice.direct_debit:
        return f"wird am {due} von Ihrem Konto abgebucht" if german else f"will be collected from your account on {due}"
    if invoice.due_on < today:
        return f"überfällig seit dem {due}" if german else f"overdue since {due}"
    return f"fällig am {due}" if german else f"due on {due}"
