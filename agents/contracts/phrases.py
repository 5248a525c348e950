"""What customers say when they want something of contracts."""

from __future__ import annotations

SHOW_CONTRACT = {
    "en": [
        "show me my contract",
        "what contract do I have",
        "when does my contract end",
        "how long is my minimum term",
        "what is included in my plan",
        "how much data do I have",
        "which tariff am I on",
        "details of my subscription",
        "what is my notice period",
    ],
    "de": [
        "zeigen Sie mir meinen Vertrag",
        "welchen Vertrag habe ich",
        "wann läuft mein Vertrag aus",
        "wie lange ist meine Mindestlaufzeit",
        "was ist in meinem Tarif enthalten",
        "wie viel Datenvolumen habe ich",
        "welchen Tarif habe ich",
        "Details zu meinem Vertrag",
        "wie ist meine Kündigungsfrist",
    ],
}
COMPARE_TARIFFS = {
    "en": [
        "which tariffs do you have",
        "compare your plans",
        "is there a cheaper tariff for me",
        "I want a faster internet plan",
        "I need more mobile data",
        "what does unlimited data cost",
        "can I switch to a bigger plan",
        "upgrade my tariff",
        "what fibre plans do you offer",
    ],
    "de": [
        "welche Tarife gibt es",
        "vergleichen Sie Ihre Tarife",
        "gibt es einen günstigeren Tarif für mich",
        "ich möchte einen schnelleren Internettarif",
        "ich brauche mehr Datenvolumen",
        "was kostet unbegrenztes Datenvolumen",
        "kann ich in einen größeren Tarif wechseln",
        "Tarifwechsel",
        "welche Glasfasertarife bieten Sie an",
    ],
}
CANCEL_CONTRACT = {
    "en": [
        "I want to cancel my contract",
        "cancel my mobile contract",
        "terminate my internet contract",
        "how can I cancel",
        "please end my subscription",
        "I am leaving for another provider",
        "can I get out of my contract early",
        "I want to quit",
        "I don't need the contract any more",
        "give notice on my plan",
    ],
    "de": [
        "ich möchte meinen Vertrag kündigen",
        "meinen Mobilfunkvertrag kündigen",
        "Internetvertrag kündigen",
        "wie kann ich kündigen",
        "bitte beenden Sie meinen Vertrag",
        "ich wechsle zu einem anderen Anbieter",
        "komme ich früher aus dem Vertrag raus",
        "Kündigung",
        "ich brauche den Vertrag nicht mehr",
        "ich will weg von Ihnen",
    ],
}
