"""The engines that need no network: PocketSphinx with a grammar and SVOX Pico, each in processes of its own."""

from __future__ import annotations

import asyncio
import importlib.util
import multiprocessing
import signal
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from lmos_grpc.channels.speech.engine import Heard
from lmos_grpc.errors import EnvironmentFaultError, ModelUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

_P = ParamSpec("_P")
_T = TypeVar("_T")
_FRAME = 320
_PACKAGES = {"pocketsphinx": "pocketsphinx", "py_nanotts": "py-nanotts", "webrtcvad": "webrtcvad-wheels"}


def require_packages() -> None:
    """Checks that the extra with the engines is installed.

    Raises:
        EnvironmentFaultError: it is not.
    """
    missing = [package for module, package in _PACKAGES.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise EnvironmentFaultError(
            f"a voice edge needs {', '.join(missing)}: install them with `pip install 'lmos-grpc[voice]'`"
        )


class SpeechProcesses:
    """Processes that run the functions of `speech_worker`; one that died is replaced by a new one.

    Each has a queue of its own, and work goes to the shortest: who calls bounds how much of it there is. Work that was
    cancelled while it waited is not done.
    """

    def __init__(self, count: int) -> None:
        self._processes = [_Process() for _ in range(count)]

    async def run(self, work: Callable[_P, _T], *args: _P.args, **_kwargs: _P.kwargs) -> _T:
        """Runs a function of the worker module in one of the processes.

        Raises:
            ModelUnavailableError: the process died, twice.
        """
        return await min(self._processes, key=lambda each: each.waiting).run(work, *args)

    async def run_in_all(self, work: Callable[_P, _T], *args: _P.args, **_kwargs: _P.kwargs) -> None:
        """Runs a function in each of the processes, for what it leaves behind there.

        Raises:
            ModelUnavailableError: one of them died, twice.
        """
        await asyncio.gather(*(each.run(work, *args) for each in self._processes))

    def close(self) -> None:
        """Ends the processes; work that waits is dropped."""
        for each in self._processes:
            each.close()


class _Process:
    def __init__(self) -> None:
        self.waiting = 0
        self._pool = _started()

    async def run(self, work: Callable[..., _T], *args: object) -> _T:
        self.waiting += 1
        try:
            return await self._run(work, *args)
        finally:
            self.waiting -= 1

    async def _run(self, work: Callable[..., _T], *args: object) -> _T:
        for _ in range(2):
            pool = self._pool
            try:
                return await asyncio.get_running_loop().run_in_executor(pool, work, *args)
            except BrokenExecutor:
                if pool is self._pool:
                    self._pool = _started()
        raise ModelUnavailableError("the process of a speech engine died, and so did the one that replaced it")

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


def _started() -> ProcessPoolExecutor:
    # Spawned, because a process with gRPC in it must not be forked.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, mp_context=context, initializer=_leave_signals_to_the_edge)


def _leave_signals_to_the_edge() -> None:
    # Ctrl-C and a service manager's SIGTERM reach the whole group, and calls that run are still to be spoken to.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)


class SphinxRecogniser:
    """Knows whole phrases of a grammar: `phrases`, and the hints of the moment. Its model is of English."""

    def __init__(self, processes: SpeechProcesses, phrases: Sequence[str]) -> None:
        self._processes = processes
        self._phrases = tuple(phrases)

    async def recognise(self, pcm: bytes, *, locale: str, hints: Sequence[str]) -> Heard:
        """The phrase that was said; words that are none of the phrases are not understood."""
        del locale
        from lmos_grpc.channels.speech import speech_worker  # noqa: PLC0415 # needs an extra to be installed

        phrases = tuple(dict.fromkeys((*hints, *self._phrases)))
        text, whole = await self._processes.run(speech_worker.recognise, pcm, phrases)
        return Heard(text, complete=True) if whole else Heard()

    async def listen_for(self, phrases: Sequence[str]) -> None:
        """Knows these phrases from now on; returns when all its processes have built the grammar.

        Raises:
            ModelUnavailableError: the engine failed.
        """
        if (wanted := tuple(phrases)) == self._phrases:
            return
        from lmos_grpc.channels.speech import speech_worker  # noqa: PLC0415 # needs an extra to be installed

        await self._processes.run_in_all(speech_worker.recognise, bytes(_FRAME), wanted)
        self._phrases = wanted


class PicoSynthesiser:
    """Speaks English, German, Spanish, French and Italian."""

    def __init__(self, processes: SpeechProcesses) -> None:
        self._processes = processes

    async def synthesise(self, text: str, *, locale: str) -> bytes:
        """The text as audio."""
        from lmos_grpc.channels.speech import speech_worker  # noqa: PLC0415 # needs an extra to be installed

        return await self._processes.run(speech_worker.synthesise, text, locale)


@asynccontextmanager
async def offline_engines(
    phrases: Sequence[str], *, processes: int = 1
) -> AsyncIterator[tuple[SphinxRecogniser, PicoSynthesiser]]:
    """Both engines, each with so many processes, warm when the block begins.

    Raises:
        EnvironmentFaultError: the packages that they need are not installed.
    """
    require_packages()
    from lmos_grpc.channels.speech import speech_worker  # noqa: PLC0415 # needs an extra to be installed

    listening, speaking = SpeechProcesses(processes), SpeechProcesses(processes)
    try:
        await asyncio.gather(
            listening.run_in_all(speech_worker.recognise, bytes(_FRAME), tuple(phrases)),
            speaking.run_in_all(speech_worker.be_ready),
        )
        yield SphinxRecogniser(listening, phrases), PicoSynthesiser(speaking)
    finally:
        listening.close()
        speaking.close()
