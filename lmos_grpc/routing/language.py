"""Who speaks the language of the user."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmos_grpc.domain.card import AgentCard


def speaks(card: AgentCard, locale: str) -> bool:
    """Whether the agent says that it speaks the language (BCP 47); one that says nothing speaks all."""
    if not locale or not card.locales:
        return True
    return _language(locale) in {_language(each) for each in card.locales}


def _language(locale: str) -> str:
    return locale.replace("_", "-").split("-", 1)[0].lower()
