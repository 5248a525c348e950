"""The edge's own phrases as speech, made before the first call: they are there when nothing else is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lmos_grpc.channels.voice.spoken_text import spoken_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lmos_grpc.channels.speech.engine import Synthesiser


async def ready_phrases(synthesiser: Synthesiser, texts: Iterable[str], locale: str) -> Mapping[str, bytes]:
    """Speech by text; empty texts are left out.

    Raises:
        ModelUnavailableError: the synthesiser failed.
    """
    wanted = [each for each in dict.fromkeys(texts) if each]
    spoken = await asyncio.gather(
        *(synthesiser.synthesise(spoken_text(each, locale), locale=locale) for each in wanted)
    )
    return dict(zip(wanted, spoken, strict=True))
