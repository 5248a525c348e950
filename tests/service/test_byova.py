"""Webex Contact Center calls an agent of the mesh as its virtual agent: the flows that its documentation tells."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from jwt.algorithms import RSAAlgorithm
from opentelemetry.trace import NoOpTracer

from lmos_grpc.channels.byova.conversation import ByovaParts
from lmos_grpc.channels.byova.jws import ISSUERS, SCHEMA, JwsCheck, JwsRules
from lmos_grpc.channels.byova.messages import SERVICE, reflected_pool
from lmos_grpc.channels.byova.service import add_virtual_agent, virtual_agent
from lmos_grpc.channels.byova.settings import ByovaSettings, SoundMode
from lmos_grpc.channels.speech.g711 import Coding, decoded, encoded
from lmos_grpc.channels.speech.pcm import SILENCE
from lmos_grpc.channels.voice.ear import EarSettings
from lmos_grpc.channels.voice.mesh_line import LinePatience
from lmos_grpc.channels.voice.ready_phrases import ready_phrases
from lmos_grpc.clients.converse_client import ConverseClient
from lmos_grpc.domain.event import Outcome, TextDelta, TurnDone
from lmos_grpc.domain.live_session import DtmfSpec, InputMode, InputSpec, Recording, SessionEnded, Transfer
from lmos_grpc.rpc import open_channel, serve
from tests.fakes.scripted_agent import ScriptedAgent, serve_scripted
from tests.fakes.tcp_relay import tcp_relay
from tests.fakes.voice_desk import PHRASES, LoudIsVoice, PaperRecogniser, PaperSynthesiser, Watching, sound_of, speech
from tests.fakes.webex_caller import WebexCaller

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lmos_grpc.agent_service import Emit
    from lmos_grpc.domain.turn import TurnRequest
    from tests.fakes.scripted_agent import Script

SETTINGS = ByovaSettings(ear=EarSettings(complete_silence=200, incomplete_silence=400))
WAV = replace(SETTINGS, sound=SoundMode.WAV)
# The detector of the tests knows speech by its samples, which mu-law changes a little.
SPEAKING = decoded(encoded(speech(400), Coding.MULAW), Coding.MULAW) + SILENCE * 40
URL = "https://ivr.example.com:443"


class LoudAfterCoding(LoudIsVoice):
    """A `VoiceDetector` behind G.711."""

    def is_voice(self, frame: bytes) -> bool:
        return frame == SPEAKING[: len(frame)]


async def echo(turn: TurnRequest, emit: Emit) -> None:
    await emit(TextDelta(f"you said {turn.message.text}."))


async def never_ends(_: TurnRequest, emit: Emit) -> None:
    await emit(TextDelta("this goes on and on. "))
    await asyncio.Event().wait()


class Webex:
    """What a test needs."""

    def __init__(
        self, channel: grpc.aio.Channel, agent: ScriptedAgent, recogniser: PaperRecogniser, watching: Watching
    ) -> None:
        self.channel = channel
        self.agent = agent
        self.recogniser = recogniser
        self.watching = watching

    def caller(self, conversation_id: str = "call-1", **given: str) -> WebexCaller:
        return WebexCaller(self.channel, conversation_id, **given)


@asynccontextmanager
async def webex(
    script: Script = echo, settings: ByovaSettings = SETTINGS, *, check: JwsCheck | None = None, mesh: str = ""
) -> AsyncIterator[Webex]:
    async def names() -> list[str]:
        return ["billing-agent"]

    agent, recogniser, synthesiser, watching = ScriptedAgent(script), PaperRecogniser(), PaperSynthesiser(), Watching()
    async with serve_scripted(agent) as address, open_channel(mesh or address) as to_mesh:
        parts = ByovaParts(
            client=ConverseClient(to_mesh),
            recogniser=recogniser,
            synthesiser=synthesiser,
            settings=settings,
            phrases=PHRASES,
            ready=await ready_phrases(synthesiser, PHRASES.all, "en"),
            detector=LoudAfterCoding,
            tracer=NoOpTracer(),
            observer=watching,
        )
        async with (
            virtual_agent(parts, names, check=check) as made,
            serve(
                "127.0.0.1:0",
                register=lambda server: add_virtual_agent(server, made),
                services=[SERVICE],
                pool=reflected_pool(),
            ) as server,
            open_channel(server.address) as channel,
        ):
            yield Webex(channel, agent, recogniser, watching)


def mulaw_of(*texts: str) -> bytes:
    return b"".join(encoded(sound_of(text), Coding.MULAW) for text in texts)


async def test_a_session_begins_with_a_welcome_in_chunks_and_a_final_without_sound() -> None:
    async with webex() as desk:
        replies = await desk.caller().happening("SESSION_START")
        assert replies.kinds == ["CHUNK", "FINAL"]
        assert replies.sound == mulaw_of("hello")
        assert (replies.text, replies.last.prompts[0].audio_content) == ("hello", b"")
        assert replies.last.prompts[0].is_barge_in_enabled


async def test_in_wav_mode_a_welcome_is_one_final_with_a_file() -> None:
    async with webex(settings=WAV) as desk:
        replies = await desk.caller().happening("SESSION_START")
        assert replies.kinds == ["FINAL"]
        header, sound = replies.sound[:44], mulaw_of("hello")
        assert (header[:4], header[8:16], header[20:22]) == (b"RIFF", b"WAVEfmt ", b"\x07\x00")
        assert replies.sound[44 : 44 + len(sound)] == sound


async def test_speech_begins_ends_and_is_answered() -> None:
    async with webex() as desk:
        caller = desk.caller()
        await caller.happening("SESSION_START")
        desk.recogniser.texts = ["my bill"]
        replies = await caller.say(SPEAKING)
        assert replies.events == ["START_OF_INPUT", "END_OF_INPUT"]
        # The first by itself, the second at the head of the answer.
        assert replies.kinds == ["FINAL", "CHUNK", "CHUNK", "FINAL"]
        assert replies.sound == mulaw_of("you said my bill.")
        [asked] = desk.agent.asked
        assert (asked.conversation_id, asked.context.channel) == ("call-1", "ivr")


async def test_in_wav_mode_speech_is_answered_by_one_final() -> None:
    async with webex(settings=WAV) as desk:
        desk.recogniser.texts = ["my bill"]
        replies = await desk.caller().say(SPEAKING)
        assert replies.kinds == ["FINAL", "PARTIAL", "FINAL"]
        assert replies.sound[44:].startswith(mulaw_of("you said my bill."))


async def test_linear_sound_is_answered_in_linear_sound() -> None:
    async with webex() as desk:
        desk.recogniser.texts = ["my bill"]
        replies = await desk.caller().say(SPEAKING, Coding.LINEAR16)
        assert replies.sound == sound_of("you said my bill.")


async def test_keys_come_in_two_calls_even_without_a_session_start() -> None:
    async with webex() as desk:
        replies = await desk.caller().type("1002")
        assert replies.text == "you said 1002."
        assert [each.message.text for each in desk.agent.asked] == ["1002"]


async def test_webex_is_told_how_to_collect_keys_and_that_they_are_sensitive() -> None:
    async def asks(_: TurnRequest, emit: Emit) -> None:
        keys = DtmfSpec(length=4, terminator="#", inter_digit_timeout=timedelta(seconds=2))
        await emit(InputSpec(mode=InputMode.DTMF, dtmf=keys, sensitive=True, no_input_timeout=timedelta(seconds=9)))
        await emit(TextDelta("type now."))

    async with webex(asks) as desk:
        last = (await desk.caller().type("1")).last
        config = last.input_handling_config
        assert last.input_sensitive
        assert (last.input_mode, config.dtmf_config.dtmf_input_length, config.dtmf_config.termchar) == (2, 4, 16)
        assert config.dtmf_config.inter_digit_timeout_msec == 2_000
        assert config.speech_timers.no_input_timeout_msec == 9_000


async def test_a_call_that_overlaps_an_answer_interrupts_it() -> None:
    async with webex(never_ends) as desk:
        caller = desk.caller()
        async with caller.turn() as answered:
            await answered.keys("1")
            await answered.half_close()
            while not answered.replies.sound:
                await answered.next()
            desk.agent.script = echo
            desk.recogniser.texts = ["stop it"]
            replies = await caller.say(SPEAKING)
            assert replies.events == ["START_OF_INPUT", "END_OF_INPUT"]
            assert replies.text == "you said stop it."
            await asyncio.wait_for(desk.agent.cancelled.wait(), 5)
            assert (await answered.to_the_end()).kinds[-1] == "FINAL"


async def test_a_transfer_cannot_be_interrupted_and_tells_where_to() -> None:
    async def connects(_: TurnRequest, emit: Emit) -> None:
        await emit(TextDelta("one moment."))
        await emit(Transfer("queue-1", summary="wants a person"))
        await emit(TurnDone(Outcome.TRANSFERRED))

    async with webex(connects) as desk:
        replies = await desk.caller().type("0")
        assert replies.events == ["TRANSFER_TO_AGENT"]
        assert dict(replies.last.output_events[0].metadata) == {"target": "queue-1"}
        assert not replies.last.prompts[0].is_barge_in_enabled
        assert replies.last.session_summary.text == "wants a person"


async def test_an_agent_ends_the_session() -> None:
    async def says_goodbye(_: TurnRequest, emit: Emit) -> None:
        await emit(TextDelta("goodbye."))
        await emit(SessionEnded())
        await emit(TurnDone(Outcome.SESSION_ENDED))

    async with webex(says_goodbye) as desk:
        assert (await desk.caller().type("0")).events == ["SESSION_END"]


async def test_a_session_that_webex_ends_is_answered_with_nothing_and_begins_anew_after() -> None:
    async with webex() as desk:
        caller = desk.caller()
        await caller.happening("SESSION_START")
        replies = await caller.happening("SESSION_END")
        assert (len(replies.messages), replies.sound, replies.events) == (1, b"", [])
        assert (await caller.happening("SESSION_START")).text == "hello"


async def test_a_silent_caller_is_asked_twice_and_then_transferred() -> None:
    async with webex() as desk:
        caller = desk.caller()
        replies = [await caller.happening("NO_INPUT") for _ in range(3)]
        assert [each.text for each in replies] == ["quiet once", "quiet twice", "nobody is here"]
        assert [each.events for each in replies] == [["NO_INPUT"], ["NO_INPUT"], ["TRANSFER_TO_AGENT"]]


async def test_what_is_not_understood_is_asked_again() -> None:
    async with webex() as desk:
        replies = await desk.caller().say(SPEAKING)
        assert replies.events == ["START_OF_INPUT", "NO_MATCH"]
        assert replies.text == "what"


async def test_a_call_that_ends_without_a_word_is_no_hang_up() -> None:
    async with webex() as desk:
        caller = desk.caller()
        async with caller.turn() as turn:
            await turn.speak(SILENCE * 10)
            await turn.half_close()
            replies = await turn.to_the_end()
            assert (replies.kinds, replies.events) == (["FINAL"], [])
        assert (await caller.type("7")).text == "you said 7."


async def test_a_caller_who_is_cut_off_in_the_middle_of_a_word_is_understood_as_far_as_it_goes() -> None:
    async with webex() as desk:
        desk.recogniser.texts = ["my bi"]
        async with desk.caller().turn() as turn:
            await turn.speak(SPEAKING[: 320 * 20])
            await turn.half_close()
            assert (await turn.to_the_end()).text == "you said my bi."


async def test_a_client_that_breaks_leaves_a_conversation_that_goes_on() -> None:
    async with webex() as desk:
        caller = desk.caller()
        async with caller.turn() as turn:
            await turn.event("SESSION_START")
            await turn.next()
            turn.cancel()
        assert (await caller.type("7")).text == "you said 7."


async def test_without_a_mesh_a_caller_is_told_so_and_transferred() -> None:
    quick = replace(SETTINGS, patience=LinePatience(connect=timedelta(milliseconds=200)))
    async with webex(settings=quick, mesh="127.0.0.1:1") as desk:
        replies = await desk.caller().type("7")
        assert replies.text == "nobody is here"
        assert replies.events == ["TRANSFER_TO_AGENT"]


async def test_an_agent_that_fails_is_apologised_for() -> None:
    async def fails(_turn: TurnRequest, _emit: Emit) -> None:
        raise RuntimeError("broken")

    async with webex(fails) as desk:
        assert (await desk.caller().type("7")).text == "sorry"


async def test_the_mesh_is_the_default_among_the_virtual_agents() -> None:
    async with webex() as desk:
        assert await desk.caller().agents() == [("service-desk", True), ("billing-agent", False)]


async def test_a_call_without_a_conversation_is_refused() -> None:
    async with webex() as desk, desk.caller("").turn() as turn:
        await turn.event("SESSION_START")
        with pytest.raises(grpc.aio.AioRpcError):
            await turn.next()
        assert await turn.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_one_conversation_too_many_is_refused() -> None:
    async with webex(settings=replace(SETTINGS, max_conversations=1)) as desk:
        await desk.caller("call-1").happening("SESSION_START")
        async with desk.caller("call-2").turn() as turn:
            await turn.event("SESSION_START")
            with pytest.raises(grpc.aio.AioRpcError):
                await turn.next()
            assert await turn.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
KEYS = {"keys": [{**json.loads(RSAAlgorithm.to_jwk(KEY.public_key())), "kid": "k1", "alg": "RS256"}]}
CLAIMS = {
    "iss": ISSUERS[0],
    "aud": "the-audience",
    "sub": "the-subject",
    "jti": "the-token",
}


def token(
    key: Any = KEY, *, key_id: str = "k1", lasts: int = 60, url: str = URL, schema: str = SCHEMA, **claims: str
) -> str:
    expires = datetime.now(UTC) + timedelta(seconds=lasts)
    data_source = {"com.cisco.datasource.url": url, "com.cisco.datasource.schema.uuid": schema}
    said = {name: value for name, value in {**CLAIMS, **data_source, **claims}.items() if value}
    return jwt.encode({**said, "exp": expires}, key, algorithm="RS256", headers={"kid": key_id})


async def test_a_token_of_webex_for_this_data_source_gets_through() -> None:
    check = JwsCheck(JwsRules(url=URL, keys=KEYS, audience="the-audience"))
    async with webex(check=check) as desk:
        assert (await desk.caller(token=token()).happening("SESSION_START")).text == "hello"


STRANGER = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "no.token.at-all",
        token(STRANGER),
        token(key_id="k2"),
        token(lasts=-60),
        token(iss="https://evil.example.com"),
        token(aud="somebody-else"),
        token(jti=""),
        token(url="https://other.example.com"),
        token(schema="another"),
    ],
    ids=["none", "garbage", "signature", "key", "expired", "issuer", "audience", "no-id", "url", "schema"],
)
async def test_any_other_token_does_not(bad: str) -> None:
    check = JwsCheck(JwsRules(url=URL, keys=KEYS, audience="the-audience"))
    async with webex(check=check) as desk, desk.caller(token=bad).turn() as turn:
        await turn.event("SESSION_START")
        with pytest.raises(grpc.aio.AioRpcError):
            await turn.next()
        assert await turn.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_what_is_not_to_be_recorded_is_sensitive_to_webex_and_to_nobody_else() -> None:
    async def pauses(_: TurnRequest, emit: Emit) -> None:
        await emit(Recording(paused=True))
        await emit(TextDelta("not recorded."))

    async with webex(pauses) as desk:
        caller = desk.caller()
        await caller.happening("SESSION_START")
        assert (await caller.type("7")).messages[-1].input_sensitive
        await caller.type("8")
        assert [each.sensitive for each in desk.agent.asked] == [False, False]
        assert desk.watching.recordings == [True]


async def test_a_conversation_goes_on_when_its_stream_to_the_mesh_broke() -> None:
    agent = ScriptedAgent(echo)
    async with serve_scripted(agent) as address, tcp_relay(address) as relay, webex(mesh=relay.address) as desk:
        caller = desk.caller()
        await caller.happening("SESSION_START")
        assert (await caller.type("7")).text == "you said 7."

        async def loses_the_line(turn: TurnRequest, emit: Emit) -> None:
            relay.drop()
            await echo(turn, emit)

        agent.script = loses_the_line
        assert (await caller.type("8")).text == "you said 8."
        assert desk.watching.resumed == [True]
        assert len(agent.asked) == 2


async def test_health_and_reflection_answer_without_a_token() -> None:
    async with webex(check=JwsCheck(JwsRules(url=URL, keys=KEYS))) as desk:
        health = health_pb2_grpc.HealthStub(desk.channel)
        for name in ("", SERVICE):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        reflection = reflection_pb2_grpc.ServerReflectionStub(desk.channel)
        asked = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol="grpc.health.v1.Health"),
        ]
        listed, described, ours = [each async for each in reflection.ServerReflectionInfo(iter(asked))]
        assert SERVICE in {each.name for each in listed.list_services_response.service}
        for answer, wanted in ((described, b"ProcessCallerInput"), (ours, b"HealthCheckRequest")):
            assert any(wanted in each for each in answer.file_descriptor_response.file_descriptor_proto)
