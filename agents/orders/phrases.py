"""What customers say when they wait for something."""

from __future__ import annotations

TRACK_ORDER = {
    "en": [
        "where is my parcel",
        "track my order",
        "when will my router arrive",
        "my delivery has not come yet",
        "what is the tracking number of my package",
        "has my order been shipped",
        "which day is the delivery",
        "the parcel is late",
        "where is my new phone",
    ],
    "de": [
        "wo ist mein Paket",
        "Sendung verfolgen",
        "wann kommt mein Router an",
        "meine Lieferung ist noch nicht da",
        "wie ist die Sendungsnummer von meinem Paket",
        "wurde meine Bestellung verschickt",
        "an welchem Tag wird geliefert",
        "das Paket hat Verspätung",
        "wo bleibt mein neues Handy",
    ],
}
ORDER_STATUS = {
    "en": [
        "what did I order",
        "show my orders",
        "what is the status of my order",
        "did my order go through",
        "is my order confirmed",
        "list everything I have ordered",
        "is my SIM card being prepared",
        "I placed an order, what happens now",
    ],
    "de": [
        "was habe ich bestellt",
        "zeigen Sie mir meine Bestellungen",
        "wie ist der Stand meiner Bestellung",
        "hat meine Bestellung geklappt",
        "ist meine Bestellung bestätigt",
        "Liste meiner Bestellungen",
        "wird meine SIM-Karte schon vorbereitet",
        "ich habe bestellt, wie geht es weiter",
    ],
}
