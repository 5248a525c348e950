"""What an operator may set about routing."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum


class ExpressLane(Enum):
    """Whose turns may go from the agent to the caller without passing the orchestrator."""

    OFF = "off"
    ASKED = "asked"
    ON = "on"


class ClassifierKind(Enum):
    """What texts are classified with."""

    LEXICAL = "lexical"
    SENTENCE = "sentence"


class OpinionKind(Enum):
    """Whom to ask where the classifier is not sure."""

    OFF = "off"
    CHAT = "chat"
    EMBEDDING = "embedding"


@dataclass(frozen=True, slots=True)
class OpinionSettings:
    """A model behind the OpenAI API, and how long a decision may wait for it."""

    kind: OpinionKind = OpinionKind.OFF
    base_url: str = ""
    model: str = ""
    api_key: str = field(default="", repr=False)
    limit: timedelta = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class RoutingSettings:
    """What it takes to get a turn.

    The defaults of `accept`, `part` and `clear_odds` were chosen on the validation split of CLINC150 (Larson et al.,
    EMNLP 2019); the other two are judgement.

    Attributes:
        fallback_agent: takes the turns that nothing fits; empty: the mesh abstains.
        accept: the score from which an offer counts as fitting.
        part: the least score of each part of a text, for the text to count as several requests; that it holds more
            than one says that each is meant for somebody, so it is lower than `accept`.
        clear_odds: how many times the odds of the best have to be those of another agent, so that nobody is asked.
        shift: the score from which another topic takes a turn away from the agent that is waited on or talked to.
        express: the turns that may take the express lane: none, those whose caller asks for it, or all that can.
        classifier: the words alone, or also a sentence model where the words are not clear.
        opinion: whom to ask where the classifier is not sure.
        locale_factor: what the score of an agent that does not say it speaks the language is multiplied by.
    """

    fallback_agent: str = ""
    accept: float = 0.5
    part: float = 0.4
    clear_odds: float = 1.7
    shift: float = 0.7
    locale_factor: float = 0.9
    express: ExpressLane = ExpressLane.OFF
    classifier: ClassifierKind = ClassifierKind.LEXICAL
    opinion: OpinionSettings = field(default_factory=OpinionSettings)
