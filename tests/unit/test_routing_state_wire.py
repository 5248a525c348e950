"""What a router elsewhere is told before a turn is what one beside the log knows."""

from __future__ import annotations

import pytest

from lmos_grpc.conversation.wire import state_from_wire, state_to_wire
from lmos_grpc.domain.conversation import ConversationState, OpenQuestion
from lmos_grpc.domain.event import Clarification, ClarificationOption

OPTION = ClarificationOption("r", "Red", "billing-agent", "explain-bill", 0.5)


@pytest.mark.parametrize(
    "state",
    [
        None,
        ConversationState(),
        ConversationState("billing-agent", "explain-bill", None, 3),
        ConversationState("", "", OpenQuestion(Clarification("q", "Which?", (OPTION,))), 1),
        ConversationState("billing-agent", "", OpenQuestion(Clarification("q", "?"), "billing-agent", "pay"), 2),
    ],
)
def test_a_state_comes_back_as_it_was(state: ConversationState | None) -> None:
    assert state_from_wire(state_to_wire(state)) == state
