"""The edge's own phrases as speech, made before the first call: they are there when nothing else is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lmos_grpc.channels.voice.spoken_text import spoken_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmos_grpc.channels.speech.engine import Synthesiser
    from lmos_grpc.channels.voice.phrases import Phrases
    from lmos_grpc.channels.voice.settings import VoiceSettings


async def ready_phrases(synthesiser: Synthesiser, phrases: Phrases, settings: VoiceSettings) -> Mapping[str, bytes]:
    """Speech by text.

    Raises:
        ModelUnavailableError: the synthesiser failed.
    """
    texts = [each for each in dict.fromkeys((settings.greeting, *phrases.all)) if each]
    spoken = await asyncio.gather(
        *(synthesiser.synthesise(spoken_text(each, settings.locale), locale=settings.locale) for each in texts)
    )
    return dict(zip(texts, spoken, strict=True))
