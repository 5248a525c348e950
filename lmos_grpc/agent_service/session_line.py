"""What the caller of a session does beside asking, on its way to who may hear it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmos_grpc.agent_service.audience import Audience
    from lmos_grpc.agent_service.session_turn import SessionState
    from lmos_grpc.domain.live_session import CallerInput, CancelRequest, KeysPressed, PlaybackReport, UserText


class SessionLine:
    """Tells an audience, and keeps from it what is not for everybody."""

    def __init__(self, audience: Audience, state: SessionState) -> None:
        self._audience = audience
        self._state = state

    def tell(self, given: CallerInput, *, only: str = "") -> bool:
        """Tells what the caller did; False where nobody listens."""
        return self._audience.hear(self._state.session_id, given, only=only)

    def incomplete(self, given: UserText | KeysPressed) -> None:
        """Tells what does not ask yet."""
        if not (given.sensitive or self._state.sensitive):
            self.tell(given)
        elif owner := self._state.asked_by:
            # As a turn with it will: it goes to the agent that asked, or to nobody.
            self.tell(replace(given, sensitive=True), only=owner.agent)

    def heard(self, report: CancelRequest | PlaybackReport) -> None:
        """Tells who had the last turn what was heard of it."""
        if report.turn_id == self._state.last_turn:
            secret = self._state.last_turn_sensitive
            self.tell(replace(report, heard_text="") if secret else report)
