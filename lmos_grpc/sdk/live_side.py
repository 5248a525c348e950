"""The side of a turn that matters where a caller is on the line: what was heard and pressed, and what to say how."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from lmos_grpc.domain.live_session import Custom, KeysPressed, Prompt, PromptKind, Recording, Signal, TransferResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmos_grpc.domain.live_session import CallInfo, HeardAnswer, LiveTurn
    from lmos_grpc.domain.turn import TurnRequest
    from lmos_grpc.sdk.turn_scope import TurnScope


class LiveSide:
    """What a turn of a live session has beside text. Outside of one, everything here is None, empty or False."""

    _scope: TurnScope

    @property
    def _request(self) -> TurnRequest:
        return self._scope.request

    @property
    def live(self) -> LiveTurn | None:
        """The live session, None where the turn does not belong to one."""
        return self._request.live

    @property
    def heard(self) -> HeardAnswer | None:
        """What the caller heard of the answer before; None where that is not known. The history has it as well."""
        return self.live.heard if self.live else None

    @property
    def digits(self) -> str:
        """The keys that the caller pressed, empty where the turn is not about keys."""
        about = self.live.about if self.live else None
        return about.digits if isinstance(about, KeysPressed) else ""

    @property
    def signal(self) -> Signal | None:
        """What happened at the edge, such as silence, where the turn is about that."""
        about = self.live.about if self.live else None
        return about if isinstance(about, Signal) else None

    @property
    def transfer_result(self) -> TransferResult | None:
        """Why a transfer was not connected, where the turn is about that."""
        about = self.live.about if self.live else None
        return about if isinstance(about, TransferResult) else None

    @property
    def telephone(self) -> CallInfo | None:
        """The telephone call, where there is one."""
        return self.live.call if self.live else None

    @property
    def sensitive(self) -> bool:
        """Whether the message is kept nowhere. Do not log it, and do not repeat it in the answer."""
        return self._request.sensitive

    def filler(self, text: str, *, locale: str = "") -> Prompt:
        """Fills the time while work goes on, such as "one moment"; no part of the answer, and not in the history."""
        return Prompt(text, uuid.uuid4().hex, PromptKind.FILLER, locale=locale)

    def say(
        self,
        text: str,
        *,
        interruptible: bool = True,
        ssml: bool = False,
        locale: str = "",
        kind: PromptKind = PromptKind.ANSWER,
    ) -> Prompt:
        """Says more than plain text can: in SSML, in another language, or so that nobody can interrupt it.

        A turn with something that must not be interrupted is finished before the next input is taken.
        """
        return Prompt(text, uuid.uuid4().hex, kind, interruptible, locale, ssml=ssml)

    def custom(self, name: str, payload: Mapping[str, Any] | None = None) -> Custom:  # Any: JSON values
        """Something that the contract has no word for; the name is a reverse domain name."""
        return Custom(name, payload or {})

    def pause_recording(self) -> Recording:
        """The recording of the call is to pause."""
        return Recording(paused=True)

    def resume_recording(self) -> Recording:
        """The recording of the call is to go on."""
        return Recording(paused=False)
