"""`python -m bench.phone_load ADDRESS CALLS ROUNDS`: scripted callers, whose times come out as one line of JSON."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from typing import TYPE_CHECKING

from lmos_grpc.channels.speech.offline_engines import PicoSynthesiser, SpeechProcesses
from lmos_grpc.cli.ivr.call_figures import CallFigures
from lmos_grpc.cli.ivr.phone import phone_call
from lmos_grpc.cli.ivr.scripted_caller import ScriptedCaller

if TYPE_CHECKING:
    from lmos_grpc.channels.speech.engine import Synthesiser

_QUESTIONS = ("why is my bill so high", "is my bill paid", "please explain my contract")
_SPREAD_SECONDS = 3.0
_ROUNDS_OF_A_CALL = 2


class _Spoken:
    """A `Synthesiser` of what was spoken before: callers must not take CPU from those whom they measure."""

    def __init__(self, spoken: dict[str, bytes]) -> None:
        self._spoken = spoken

    async def synthesise(self, text: str, *, locale: str) -> bytes:
        """The text as audio."""
        del locale
        return self._spoken[text]


async def _spoken() -> Synthesiser:
    processes = SpeechProcesses(1)
    try:
        pico = PicoSynthesiser(processes)
        return _Spoken({each: await pico.synthesise(each, locale="en-US") for each in _QUESTIONS})
    finally:
        processes.close()


async def _caller(address: str, voice: Synthesiser, rounds: int) -> CallFigures:
    # Between the frames of its two ends a call keeps the lag that it began with: one call alone would say little.
    calls = [min(_ROUNDS_OF_A_CALL, rounds - begun) for begun in range(0, rounds, _ROUNDS_OF_A_CALL)]
    return CallFigures.together([await _call(address, voice, each) for each in calls])


async def _call(address: str, voice: Synthesiser, rounds: int) -> CallFigures:
    # Callers who do the same in the same moment would be one caller, many times as loud.
    await asyncio.sleep(random.uniform(0, _SPREAD_SECONDS))  # noqa: S311 - no secret
    async with phone_call(address) as phone:
        caller = ScriptedCaller(phone, voice, lambda *_: None)
        await caller.hear_greeting()
        for _ in range(rounds):
            await caller.ask(_QUESTIONS[0])
            for question in _QUESTIONS[1:]:
                await caller.interrupt(question)
        return caller.figures


async def _calls(address: str, count: int, rounds: int) -> CallFigures:
    voice = await _spoken()
    async with asyncio.TaskGroup() as group:
        callers = [group.create_task(_caller(address, voice, rounds)) for _ in range(count)]
    return CallFigures.together(each.result() for each in callers)


if __name__ == "__main__":
    found = asyncio.run(_calls(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
    print(json.dumps({"event": "done", "seconds": found.seconds}), flush=True)
