"""What customers say when they want something of billing."""

from __future__ import annotations

EXPLAIN_BILL = {
    "en": [
        "why is my bill so high",
        "why is my bill higher than last month",
        "explain my bill",
        "what is this charge on my invoice",
        "I was charged more than usual",
        "my invoice went up, what changed",
        "I don't understand my phone bill",
        "why do I pay more this month",
        "what am I paying for",
        "there is something on my bill that I don't recognise",
    ],
    "de": [
        "warum ist meine Rechnung so hoch",
        "warum ist die Rechnung höher als letzten Monat",
        "erklären Sie mir meine Rechnung",
        "was ist das für ein Posten auf der Rechnung",
        "mir wurde mehr berechnet als sonst",
        "meine Rechnung ist gestiegen, was hat sich geändert",
        "ich verstehe meine Rechnung nicht",
        "wieso zahle ich diesen Monat mehr",
        "wofür bezahle ich eigentlich",
        "auf meiner Rechnung steht etwas, das ich nicht kenne",
    ],
}
LIST_INVOICES = {
    "en": [
        "show me my invoices",
        "list my last bills",
        "how much were my bills in the last months",
        "I need my invoices for the tax office",
        "can I see an old bill",
        "what did I pay in the past months",
        "send me a list of my invoices",
        "where do I find my bills",
    ],
    "de": [
        "zeigen Sie mir meine Rechnungen",
        "meine letzten Rechnungen bitte",
        "wie hoch waren meine Rechnungen in den letzten Monaten",
        "ich brauche meine Rechnungen für die Steuer",
        "kann ich eine alte Rechnung sehen",
        "was habe ich in den letzten Monaten bezahlt",
        "Liste meiner Rechnungen",
        "wo finde ich meine Rechnungen",
    ],
}
PAYMENT_STATUS = {
    "en": [
        "did you get my payment",
        "is my bill paid",
        "do I owe you anything",
        "when will you collect the money from my account",
        "I got a reminder, have I not paid",
        "what is my balance",
        "is there an invoice still open",
        "when is my payment due",
    ],
    "de": [
        "ist meine Zahlung angekommen",
        "ist meine Rechnung bezahlt",
        "habe ich noch etwas offen",
        "wann buchen Sie von meinem Konto ab",
        "ich habe eine Mahnung bekommen, habe ich nicht bezahlt",
        "wie ist mein Kontostand bei Ihnen",
        "ist noch eine Rechnung offen",
        "wann muss ich zahlen",
    ],
}
