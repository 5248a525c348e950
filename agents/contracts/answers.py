"""What contracts says, in English and German."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.telco_data import date_in, money_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from agents.telco_data import Language
    from agents.telco_data.records import Contract, Tariff


def label(contract: Contract) -> str:
    """A contract in a few words."""
    return f"{contract.tariff.name}, {contract.number}"


def overview(language: Language, contracts: Sequence[Contract]) -> str:
    """What the customer has."""
    if not contracts:
        return "Sie haben keinen Vertrag bei uns." if language == "de" else "You have no contract with us."
    head = "Das sind Ihre Verträge:" if language == "de" else "These are your contracts:"
    return "\n".join((head, *(f"- {_contract(language, each)}" for each in contracts)))


def _contract(language: Language, contract: Contract) -> str:
    tariff = contract.tariff
    what = f"{contract.id}, {label(contract)}: {tariff.content[language]}"
    if contract.ends_on:
        end = date_in(language, contract.ends_on)
        return f"{what}. Gekündigt, endet am {end}." if language == "de" else f"{what}. Cancelled, ends on {end}."
    price, until = money_in(language, tariff.monthly_cents), date_in(language, contract.minimum_until)
    if language == "de":
        return f"{what}, {price} im Monat. Mindestlaufzeit bis {until}, Kündigungsfrist {tariff.notice_days} Tage."
    return f"{what}, {price} a month. Minimum term until {until}, {tariff.notice_days} days' notice."


def comparison(language: Language, tariffs: Iterable[Tariff], contracts: Sequence[Contract]) -> str:
    """What is on offer, with what the customer has marked."""
    head = "Diese Tarife gibt es:" if language == "de" else "These are our tariffs:"
    held = {each.tariff.id for each in contracts if each.ends_on is None}
    return "\n".join((head, *(f"- {_offer(language, each, held=each.id in held)}" for each in tariffs)))


def _offer(language: Language, tariff: Tariff, *, held: bool) -> str:
    price, mark = money_in(language, tariff.monthly_cents), ""
    if held:
        mark = " (Ihr Tarif)" if language == "de" else " (yours)"
    month = "im Monat" if language == "de" else "a month"
    return f"{tariff.name}{mark}: {tariff.content[language]}, {price} {month}"


def confirmation_question(language: Language, contract: Contract, end: date) -> str:
    """Asks before anything is cancelled."""
    if language == "de":
        return f"Soll ich {label(contract)} wirklich zum {date_in(language, end)} kündigen?"
    return f"Shall I really cancel {label(contract)} as of {date_in(language, end)}?"


def yes_or_no(language: Language) -> dict[str, str]:
    """The options of that question."""
    return (
        {"yes": "Ja, kündigen", "no": "Nein, behalten"}
        if language == "de"
        else {"yes": "Yes, cancel it", "no": "No, keep it"}
    )


def which_question(language: Language) -> str:
    """Asks which contract is meant."""
    return "Welchen Vertrag möchten Sie kündigen?" if language == "de" else "Which contract would you like to cancel?"


def cancelled(language: Language, contract: Contract) -> str:
    """Confirms a cancellation."""
    end = date_in(language, contract.ends_on) if contract.ends_on else ""
    if language == "de":
        return f"Erledigt: {label(contract)} ist zum {end} gekündigt. Bis dahin läuft alles weiter. Schade!"
    return f"Done: {label(contract)} is cancelled as of {end}. Until then everything goes on. Sorry to see you go!"


def already_cancelled(language: Language, contract: Contract) -> str:
    """Where there is nothing left to cancel."""
    end = date_in(language, contract.ends_on) if contract.ends_on else ""
    if language == "de":
        return f"{label(contract)} ist schon gekündigt und endet am {end}."
    return f"{label(contract)} is cancelled already and ends on {end}."


def nothing_to_cancel(language: Language) -> str:
    """Where the customer has no such contract."""
    return (
        "Ich finde bei Ihnen keinen Vertrag, den ich kündigen könnte."
        if language == "de"
        else "I find no contract of yours that I could cancel."
    )


def kept(language: Language, contract: Contract) -> str:
    """Where the customer said no."""
    if language == "de":
        return f"Gut, ich habe nichts geändert: {label(contract)} läuft weiter."
    return f"Good, I changed nothing: {label(contract)} goes on."


def repair_first(language: Language) -> str:
    """Before a customer with a fault is handed over."""
    if language == "de":
        return (
            "Das klingt nach einer Störung, und die möchten wir zuerst beheben. Ich verbinde Sie mit der Entstörung. "
            "Wenn Sie trotzdem kündigen möchten, sagen Sie danach: trotzdem kündigen. "
        )
    return (
        "That sounds like a fault, and we would like to mend it first. I am taking you to fault repair. "
        "Should you still want to cancel after that, say: cancel anyway. "
    )
