"""A caller with a script: speaks with a synthesiser's voice, interrupts, types, is silent, and takes the times."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lmos_grpc.cli.ivr.call_figures import BARGE_IN, GREETING, KEYS, PACING, VOICE_TO_VOICE, CallFigures

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmos_grpc.channels.speech.engine import Synthesiser
    from lmos_grpc.cli.ivr.phone import Phone

_VOICE = "en-US"  # not the voice of the desk
_LISTENS_SECONDS = 1.8
_DONE_SECONDS = 0.9


@dataclass(slots=True)
class ScriptedCaller:
    """`tell` is called with who does what, in the moment that it is done."""

    phone: Phone
    synthesiser: Synthesiser
    tell: Callable[[str, str], None]
    figures: CallFigures = field(default_factory=CallFigures)

    async def hear_greeting(self) -> None:
        """Waits until the greeting is over."""
        answered = self.phone.now()
        first = await self.phone.hear_sound_after(answered)
        self.figures.add(GREETING, first - answered)
        await self.listen_to_the_end(first)

    async def ask(self, text: str) -> float:
        """Says it and waits for the answer to begin; gives when it did."""
        _, ended = await self._say(text)
        return await self._answer(VOICE_TO_VOICE, ended)

    async def interrupt(self, text: str) -> float:
        """Listens for a moment, speaks over what is said, and waits for the answer to begin; gives when it did."""
        await asyncio.sleep(_LISTENS_SECONDS)
        began, ended = await self._say(text)
        silent = await self.phone.hear_silence_after(began, lasting=0.2)
        self.figures.add(BARGE_IN, silent - began)
        return await self._answer(VOICE_TO_VOICE, ended)

    async def type(self, digits: str) -> None:
        """Presses keys and listens to the whole answer."""
        self.tell("caller", f"presses {digits}")
        pressed = self.phone.press(digits)
        await self.listen_to_the_end(await self._answer(KEYS, pressed))

    async def stay_silent(self) -> None:
        """Says nothing until the desk asks again, and listens to that."""
        self.tell("caller", "is silent")
        await self.listen_to_the_end(await self.phone.hear_sound_after(self.phone.now()))

    async def hear_end(self) -> None:
        """Waits until the desk hangs up."""
        await self.phone.until(self.phone.hung_up.is_set, limit=30)
        for gap in self.phone.record.heard.gaps():
            self.figures.add(PACING, gap)

    async def _say(self, text: str) -> tuple[float, float]:
        speech = await self.synthesiser.synthesise(text, locale=_VOICE)
        self.tell("caller", f"“{text}”")
        return await self.phone.say(speech)

    async def _answer(self, figure: str, since: float) -> float:
        # What was said before may still sound in the frame that is under way.
        first = await self.phone.hear_sound_after(since + 0.03)
        self.figures.add(figure, first - since)
        return first

    async def listen_to_the_end(self, first: float) -> None:
        """Listens to what began in that moment, until it is over."""
        await self.phone.hear_silence_after(first, lasting=_DONE_SECONDS)


async def call_the_service_desk(caller: ScriptedCaller) -> CallFigures:
    """A question, another one over its answer, a customer number by keypad, silence twice, and a transfer."""
    await caller.hear_greeting()
    await caller.ask("why is my bill so high")
    await caller.listen_to_the_end(await caller.interrupt("is my bill paid"))
    await caller.type("1003")
    await caller.stay_silent()
    await caller.stay_silent()
    await caller.ask("I want to speak to a person")
    await caller.hear_end()
    return caller.figures
