"""What customers say when something does not work."""

from __future__ import annotations

CHECK_LINE = {
    "en": [
        "my internet is down",
        "my internet is down since this morning",
        "the wifi is not working",
        "my connection is very slow",
        "the internet keeps dropping out",
        "I have no connection at home",
        "is there an outage in my area",
        "the router shows a red light",
        "my landline is dead",
        "nothing loads any more",
        "check my line",
    ],
    "de": [
        "mein Internet geht nicht",
        "seit heute Morgen ist das Internet weg",
        "das WLAN funktioniert nicht",
        "meine Verbindung ist sehr langsam",
        "das Internet bricht ständig ab",
        "ich habe zu Hause keine Verbindung",
        "gibt es eine Störung in meiner Gegend",
        "am Router leuchtet ein rotes Licht",
        "mein Festnetz ist tot",
        "es lädt nichts mehr",
        "prüfen Sie meine Leitung",
    ],
}
BOOK_TECHNICIAN = {
    "en": [
        "send me a technician",
        "I need somebody to come and repair it",
        "book a technician",
        "when can an engineer visit",
        "I would like an appointment for a repair",
        "can someone come to my house to look at the line",
        "make a service appointment",
        "I want a technician at my home",
    ],
    "de": [
        "schicken Sie mir einen Techniker",
        "es muss jemand kommen und das reparieren",
        "Technikertermin buchen",
        "wann kann ein Techniker kommen",
        "ich möchte einen Termin für die Reparatur",
        "kann jemand zu mir nach Hause kommen und die Leitung ansehen",
        "Servicetermin vereinbaren",
        "Termin mit dem Techniker",
    ],
}
