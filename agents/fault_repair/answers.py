"""What fault repair says, in English and German."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.telco_data import date_in

if TYPE_CHECKING:
    from agents.telco_data import Language
    from agents.telco_data.records import Contract, LineMeasurement, Visit

MEASURING_STEPS: dict[Language, tuple[str, ...]] = {
    "en": (
        "Looking for outages in your area",
        "Testing the fibre up to your home",
        "Looking for your router",
        "Comparing with what your tariff promises",
    ),
    "de": (
        "Ich suche nach Störungen in Ihrer Gegend",
        "Ich prüfe die Glasfaser bis zu Ihnen nach Hause",
        "Ich suche Ihren Router",
        "Ich vergleiche mit Ihrem Tarif",
    ),
}


def no_line(language: Language) -> str:
    """Where there is nothing to measure."""
    if language == "de":
        return "Sie haben keinen Internetanschluss bei uns, den ich prüfen könnte."
    return "You have no internet line with us that I could check."


def finding(language: Language, contract: Contract, measured: LineMeasurement) -> str:
    """What the measurement means, and what to do now."""
    return (_german if language == "de" else _english)(contract, measured)


def _english(contract: Contract, measured: LineMeasurement) -> str:
    match measured.finding:
        case "outage":
            until = f" It will be mended by {date_in('en', measured.repaired_by)}." if measured.repaired_by else ""
            return f"There is an outage in your area; there is nothing that you need to do.{until}"
        case "line":
            return (
                f"Your line ({contract.number}) is damaged: the signal is {measured.signal_dbm} dBm, "
                f"and below -27 it is too weak. You get {measured.sync_mbit} Mbit/s. "
                "That takes a technician: say “book a technician”."
            )
        case "router":
            return (
                f"Your line ({contract.number}) is fine up to your home, with {measured.signal_dbm} dBm, "
                "but your router does not answer. Please try this:\n"
                "1. Unplug the router, wait for 30 seconds and plug it in again.\n"
                "2. See that the green fibre cable sits firmly in the wall socket.\n"
                "3. Wait five minutes, until the light is steady.\n"
                "If it still does not work, say “book a technician”."
            )
        case _:
            return (
                f"Your line ({contract.number}) is in order, with {measured.sync_mbit} Mbit/s. "
                "Please restart your device."
            )


def _german(contract: Contract, measured: LineMeasurement) -> str:
    match measured.finding:
        case "outage":
            until = f" Bis zum {date_in('de', measured.repaired_by)} ist sie behoben." if measured.repaired_by else ""
            return f"In Ihrer Gegend gibt es eine Störung; Sie müssen nichts tun.{until}"
        case "line":
            return (
                f"Ihre Leitung ({contract.number}) ist beschädigt: "
                f"Das Signal liegt bei {_comma(measured.signal_dbm)} dBm, unter -27 ist es zu schwach. "
                f"Bei Ihnen kommen {measured.sync_mbit} Mbit/s an. "
                "Da muss ein Techniker kommen: Sagen Sie „Technikertermin buchen“."
            )
        case "router":
            return (
                f"Ihre Leitung ({contract.number}) ist bis zu Ihnen in Ordnung, mit {_comma(measured.signal_dbm)} dBm, "
                "aber Ihr Router antwortet nicht. Bitte versuchen Sie das:\n"
                "1. Router vom Strom trennen, 30 Sekunden warten, wieder einstecken.\n"
                "2. Prüfen, ob das grüne Glasfaserkabel fest in der Dose sitzt.\n"
                "3. Fünf Minuten warten, bis das Licht nicht mehr blinkt.\n"
                "Wenn es dann nicht geht, sagen Sie „Technikertermin buchen“."
            )
        case _:
            return (
                f"Ihre Leitung ({contract.number}) ist in Ordnung, mit {measured.sync_mbit} Mbit/s. "
                "Bitte starten Sie Ihr Gerät neu."
            )


def _comma(number: float) -> str:
    return str(number).replace(".", ",")


def which_visit(language: Language) -> str:
    """Asks for the time of a visit."""
    return "Wann darf der Techniker kommen?" if language == "de" else "When may the technician come?"


def visit_label(language: Language, visit: Visit) -> str:
    """A visit in a few words."""
    if language == "de":
        return f"{date_in('de', visit.visits_on)}, {visit.from_hour} bis {visit.until_hour} Uhr"
    return f"{date_in('en', visit.visits_on)}, {visit.from_hour}:00 to {visit.until_hour}:00"


def booked(language: Language, visit: Visit) -> str:
    """Confirms a visit."""
    when = visit_label(language, visit)
    if language == "de":
        return f"Gebucht: Der Techniker kommt am {when}. Bitte sorgen Sie dafür, dass jemand zu Hause ist."
    return f"Booked: the technician comes on {when}. Please see to it that somebody is at home."


def booked_before(language: Language, visit: Visit) -> str:
    """Where a visit is booked already."""
    when = visit_label(language, visit)
    return f"Sie haben schon einen Termin: {when}." if language == "de" else f"You have an appointment already: {when}."


def no_visits(language: Language) -> str:
    """Where no technician has time."""
    if language == "de":
        return "In den nächsten Tagen ist leider kein Technikertermin frei."
    return "I am sorry, no technician has time in the next days."
