"""A speech server with Riva's interface, with engines behind it that need no network."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from lmos_grpc.channels.riva import messages
from lmos_grpc.channels.speech.pcm import resampled
from lmos_grpc.rpc import serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos_grpc.channels.speech.engine import Recogniser, Synthesiser

_OURS = 8_000


@dataclass
class RivaServer:
    """`asked` has the requests; while it is `down`, there is nobody."""

    recogniser: Recogniser
    synthesiser: Synthesiser
    asked: list[Any] = field(default_factory=list)  # Any: messages whose classes are made at run time
    down: bool = False
    address: str = ""

    async def recognize(self, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        await self._note(request, context)
        config, answer = request.config, messages.RecognizeResponse()
        pcm = resampled(request.audio, config.sample_rate_hertz, _OURS)
        hints = tuple(phrase for each in config.speech_contexts for phrase in each.phrases)
        heard = await self.recogniser.recognise(pcm, locale=config.language_code, hints=hints)
        if heard.text:
            # With automatic punctuation, a whole phrase ends as a sentence does.
            answer.results.add().alternatives.add(transcript=f"{heard.text}." if heard.complete else heard.text)
        return answer

    async def synthesize(self, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        await self._note(request, context)
        pcm = await self.synthesiser.synthesise(request.text, locale=request.language_code)
        return messages.SynthesizeSpeechResponse(audio=resampled(pcm, _OURS, request.sample_rate_hz))

    async def _note(self, request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        self.asked.append(request)
        if self.down:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the text that was said")

    def add_to(self, server: grpc.aio.Server) -> None:
        """Adds both services."""
        for path, handler, request in (
            (messages.RECOGNIZE, self.recognize, messages.RecognizeRequest),
            (messages.SYNTHESIZE, self.synthesize, messages.SynthesizeSpeechRequest),
        ):
            service, method = path.strip("/").split("/")
            made: grpc.RpcMethodHandler[Any, Any] = grpc.unary_unary_rpc_method_handler(
                handler,
                request_deserializer=request.FromString,
                response_serializer=lambda message: message.SerializeToString(),
            )
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: made}),))


@asynccontextmanager
async def riva_server(recogniser: Recogniser, synthesiser: Synthesiser) -> AsyncIterator[RivaServer]:
    """Serves until the block ends."""
    made = RivaServer(recogniser, synthesiser)
    async with serve("127.0.0.1:0", register=made.add_to, services=[]) as server:
        made.address = server.address
        yield made
