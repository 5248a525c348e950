"""What runs in the processes that speech engines work in: they hold the interpreter's lock, and a call cannot wait."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from pocketsphinx import Decoder, get_model_path
from py_nanotts import NanoTTS

from lmos_grpc.channels.speech.pcm import SAMPLE_RATE, resampled
from lmos_grpc.channels.speech.phrase_grammar import jsgf, speakable

if TYPE_CHECKING:
    from collections.abc import Iterable

_ENGINE_RATE = 16_000  # of both engines
_LEAD = bytes(3_200)  # a decoder of speech wants to hear the line before and after it
_VOICES = {"en": "en-GB", "de": "de-DE", "es": "es-ES", "fr": "fr-FR", "it": "it-IT", "en-us": "en-US"}
_GRAMMARS = 16
_AUDIBLE = 200
_BEFORE_SOUND = SAMPLE_RATE // 100
_AFTER_SOUND = SAMPLE_RATE // 5
_M_PERTURB = -6  # mallopt(3)
_CLEARED = 255


def be_ready() -> int:
    """Loads what takes long; gives the process id."""
    synthesise("Hello.", "en")
    _dictionary()
    return os.getpid()


def synthesise(text: str, locale: str) -> bytes:
    """The text as audio of the telephone, by SVOX Pico."""
    if not text.strip():
        return b""
    spoken = text.translate(str.maketrans("<>&", "   "))  # its own markup, which text is not meant to be
    return _trimmed(resampled(_voice().speak(spoken, voice=_voice_of(locale)), _ENGINE_RATE, SAMPLE_RATE))


def recognise(pcm: bytes, phrases: tuple[str, ...]) -> tuple[str, bool]:
    """What is said in audio of the telephone, and whether that is a whole phrase of the grammar, by PocketSphinx."""
    grammar = _grammar(phrases)
    if grammar is None:
        return "", False
    decoder, spoken = grammar
    decoder.start_utt()
    decoder.process_raw(_LEAD + resampled(pcm, SAMPLE_RATE, _ENGINE_RATE) + _LEAD, no_search=False, full_utt=True)
    decoder.end_utt()
    found = decoder.hyp()
    words = found.hypstr.strip() if found else ""
    return spoken.get(words, words), words in spoken


def _voice_of(locale: str) -> str:
    wanted = locale.lower()
    return _VOICES.get(wanted) or _VOICES.get(wanted.partition("-")[0], "en-GB")


def _trimmed(pcm: bytes) -> bytes:
    """Without most of the silence around it, which a caller would hear as hesitation."""
    samples = np.frombuffer(pcm, np.int16)
    loud = np.flatnonzero(np.abs(samples) > _AUDIBLE)
    if not loud.size:
        return pcm
    kept: bytes = samples[max(0, loud[0] - _BEFORE_SOUND) : loud[-1] + _AFTER_SOUND].tobytes()
    return kept


@cache
def _voice() -> NanoTTS:
    # Pico reads memory that nobody has written, and makes shorter or longer pauses of what it finds there.
    # Memory that the C library clears as it gives it makes one text one speech.
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_PERTURB, _CLEARED)
    return NanoTTS()


@cache
def _dictionary() -> Decoder:
    return Decoder(samprate=_ENGINE_RATE, loglevel="FATAL", lm=None, hmm=get_model_path("en-us/en-us"))


@lru_cache(_GRAMMARS)
def _grammar(phrases: Iterable[str]) -> tuple[Decoder, dict[str, str]] | None:
    known = _dictionary().lookup_word
    spoken = speakable(phrases, lambda word: known(word) is not None)
    if not spoken:
        return None
    decoder = Decoder(samprate=_ENGINE_RATE, loglevel="FATAL", lm=None)
    decoder.add_jsgf_string("phrases", jsgf(spoken))
    decoder.activate_search("phrases")
    return decoder, spoken
