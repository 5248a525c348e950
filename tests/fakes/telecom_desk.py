"""A telecom service desk: the cards of five agents, and what customers say that no card holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmos_grpc.clients.live_view import LiveView
from lmos_grpc.domain.card import AgentCard, Capability
from lmos_grpc.domain.instance import Instance, InstanceState, Lease, RegistryUpdate, SnapshotPart

if TYPE_CHECKING:
    from lmos_grpc.domain.card import AgentKey

_BILL = {
    "en": (
        "why is my bill higher than last month",
        "explain the charges on my invoice",
        "what is this extra fee on my bill",
        "I was charged twice",
        "how much do I have to pay this month",
    ),
    "de": (
        "warum ist meine rechnung so hoch",
        "wofür ist dieser betrag auf der rechnung",
        "mir wurde zu viel abgebucht",
        "erklär mir bitte meine rechnung",
        "wie viel muss ich diesen monat zahlen",
    ),
}
_PAYMENT = {
    "en": (
        "I want to change my bank account for payments",
        "how can I pay my invoice",
        "set up direct debit",
        "can I pay in instalments",
        "has my payment arrived",
    ),
    "de": (
        "ich möchte meine bankverbindung ändern",
        "wie kann ich die rechnung bezahlen",
        "lastschrift einrichten",
        "kann ich in raten zahlen",
        "ist meine zahlung angekommen",
    ),
}
_TARIFFS = {
    "en": (
        "which mobile plans do you have",
        "I want a tariff with more data",
        "compare your tariffs",
        "is there a cheaper plan for me",
        "upgrade my contract to 5G",
    ),
    "de": (
        "welche tarife habt ihr",
        "ich möchte einen tarif mit mehr datenvolumen",
        "gibt es einen günstigeren tarif",
        "tarif wechseln",
        "vergleiche die mobilfunktarife",
    ),
}
_CANCEL = {
    "en": (
        "I want to cancel my contract",
        "how do I terminate my subscription",
        "what is my notice period",
        "when does my contract end",
        "cancel my mobile plan",
    ),
    "de": (
        "ich will meinen vertrag kündigen",
        "wie kann ich kündigen",
        "wann endet mein vertrag",
        "wie lang ist die kündigungsfrist",
        "kündigung meines anschlusses",
    ),
}
_FAULT = {
    "en": (
        "my internet is down",
        "the wifi is very slow",
        "I have no signal on my phone",
        "my router does not connect",
        "the line keeps dropping",
    ),
    "de": (
        "mein internet geht nicht",
        "das wlan ist sehr langsam",
        "ich habe keinen empfang",
        "der router verbindet sich nicht",
        "die leitung ist gestört",
    ),
}
_TRACK = {
    "en": (
        "where is my parcel",
        "track my order",
        "when will my new phone be delivered",
        "my package has not arrived",
        "what is the status of my delivery",
    ),
    "de": (
        "wo ist mein paket",
        "wann kommt meine bestellung",
        "sendung verfolgen",
        "mein neues handy ist noch nicht da",
        "wie ist der stand meiner lieferung",
    ),
}
_CHAT = {
    "en": ("hello", "good morning", "thank you", "what can you do for me", "who are you"),
    "de": ("hallo", "guten tag", "danke schön", "was kannst du", "wer bist du"),
}


def card(name: str, *capabilities: Capability, description: str = "", **fields: object) -> AgentCard:
    """A card in version 1.0.0."""
    return AgentCard(name, "1.0.0", description, capabilities, **fields)  # type: ignore[arg-type]  # fields of the card


BILLING = card(
    "billing-agent",
    Capability("explain-bill", "1.0.0", "Explains an invoice and what changed since last month.", examples=_BILL),
    Capability("manage-payment", "1.0.0", "Payments, bank details and direct debit.", examples=_PAYMENT),
    description="Explains invoices and takes payments.",
)
CONTRACTS = card(
    "contract-agent",
    Capability("compare-tariffs", "1.0.0", "Compares and changes tariffs and mobile plans.", examples=_TARIFFS),
    Capability("cancel-contract", "1.0.0", "Ends a contract and tells its notice period.", examples=_CANCEL),
    description="Tariffs, contract changes and cancellation.",
)
FAULTS = card(
    "fault-agent",
    Capability("repair-line", "1.0.0", "Checks and repairs internet, wifi and phone lines.", examples=_FAULT),
    description="Finds and repairs faults of internet and phone.",
)
ORDERS = card(
    "order-agent",
    Capability("track-order", "1.0.0", "Tells where an order or parcel is and when it arrives.", examples=_TRACK),
    description="Tracks orders and deliveries.",
)
CONCIERGE = card(
    "concierge-agent",
    Capability("small-talk", "1.0.0", "Greets, thanks, and tells what the service desk can do.", examples=_CHAT),
    description="Takes what no other agent takes.",
)
CARDS = (BILLING, CONTRACTS, FAULTS, ORDERS, CONCIERGE)


def catalogue(cards: tuple[AgentCard, ...] = CARDS) -> dict[AgentKey, AgentCard]:
    """The cards by key."""
    return {each.key: each for each in cards}


HELD_OUT = (
    ("why is my bill so high this month?", "explain-bill"),
    ("my invoice went up, what happened?", "explain-bill"),
    ("there is a charge on my bill that I do not recognise", "explain-bill"),
    ("I got billed way too much", "explain-bill"),
    ("can you tell me why I have to pay more than usual", "explain-bill"),
    ("Warum ist meine Rechnung diesen Monat so hoch?", "explain-bill"),
    ("auf meiner letzten rechnung steht ein betrag den ich nicht verstehe", "explain-bill"),
    ("wieso wurde so viel abgebucht", "explain-bill"),
    ("I have a new bank account", "manage-payment"),
    ("can I pay my bill by credit card", "manage-payment"),
    ("did you get my payment", "manage-payment"),
    ("ich habe eine neue bankverbindung", "manage-payment"),
    ("kann ich die rechnung in raten bezahlen", "manage-payment"),
    ("do you have a plan with unlimited data", "compare-tariffs"),
    ("I'd like to switch to a cheaper tariff", "compare-tariffs"),
    ("which of your mobile plans is best for me", "compare-tariffs"),
    ("habt ihr günstigere tarife", "compare-tariffs"),
    ("ich brauche mehr datenvolumen", "compare-tariffs"),
    ("please cancel my contract", "cancel-contract"),
    ("how can I get out of my contract", "cancel-contract"),
    ("I want to terminate my mobile contract at the end of the month", "cancel-contract"),
    ("Ich möchte meinen Vertrag kündigen", "cancel-contract"),
    ("bis wann muss ich kündigen", "cancel-contract"),
    ("my internet is not working since this morning", "repair-line"),
    ("the connection is so slow today", "repair-line"),
    ("wifi keeps disconnecting", "repair-line"),
    ("my phone has no reception at home", "repair-line"),
    ("Mein Internet funktioniert nicht", "repair-line"),
    ("seit gestern ist das wlan weg", "repair-line"),
    ("der router blinkt rot und verbindet nicht", "repair-line"),
    ("where is my package?", "track-order"),
    ("has my phone been shipped yet", "track-order"),
    ("when does my order arrive", "track-order"),
    ("my delivery is late", "track-order"),
    ("Wo bleibt mein Paket?", "track-order"),
    ("wann wird mein handy geliefert", "track-order"),
    ("hi there", "small-talk"),
    ("thanks a lot", "small-talk"),
    ("what can you help me with", "small-talk"),
    ("hallo, guten morgen", "small-talk"),
)
OUT_OF_SCOPE = (
    "what is the capital of France",
    "book me a flight to Madrid",
    "who won the world cup in 1990",
    "write a poem about the sea",
    "how do I bake sourdough bread",
    "what will the weather be tomorrow",
    "translate good luck into Spanish",
    "recommend a restaurant nearby",
    "wie hoch ist der Eiffelturm",
    "buche mir einen tisch im restaurant",
    "erzähl mir einen witz",
    "was ist die hauptstadt von spanien",
)
TWO_INTENTS = (
    ("my internet is down and also why is my bill so high", ("repair-line", "explain-bill")),
    ("where is my parcel? And I want to cancel my contract.", ("track-order", "cancel-contract")),
    ("why is my bill so high, and where is my parcel", ("explain-bill", "track-order")),
    ("I want to cancel my contract and my wifi is very slow", ("cancel-contract", "repair-line")),
    ("mein internet geht nicht und warum ist meine rechnung so hoch", ("repair-line", "explain-bill")),
    ("Wo ist mein Paket? Außerdem möchte ich meinen Vertrag kündigen.", ("track-order", "cancel-contract")),
)
ONE_INTENT_WITH_AND = (
    "my internet and my phone line are down",
    "my internet is down and the router does not connect",
    "why is my bill so high and what is this extra fee",
    "compare your mobile plans and tariffs",
    "mein internet und mein telefon gehen nicht",
    "I ordered a phone and a case and nothing has arrived",
    "terms and conditions of my contract",
)


def snapshot(*cards: AgentCard, draining: tuple[str, ...] = ()) -> RegistryUpdate:
    """The registry with one instance of each card; those of the agents named as draining take no turns."""
    instances = []
    for card in cards:
        lease = Lease(card.key.route, 1)
        state = InstanceState.DRAINING if card.name in draining else InstanceState.READY
        instances.append(Instance(lease.instance_id, "127.0.0.1:1", card, lease, state))
    return RegistryUpdate(1, "", SnapshotPart(tuple(instances), first=True, last=True))


def desk(*cards: AgentCard, draining: tuple[str, ...] = ()) -> LiveView:
    """A live view of `snapshot`."""
    view = LiveView()
    view.apply(snapshot(*cards, draining=draining))
    return view
