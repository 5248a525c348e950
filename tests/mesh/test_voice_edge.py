"""A telephone call through the whole mesh: AudioSocket, speech, Envoy, the orchestrator and the sample agents."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from lmos_grpc.channels.voice.call_leg import CallEnd
from lmos_grpc.channels.voice.phrases import phrases_in
from lmos_grpc.channels.voice.settings import VoiceSettings
from lmos_grpc.channels.voice.spoken_text import spoken_text
from lmos_grpc.cli.ivr.phone import phone_call
from lmos_grpc.cli.ivr.scripted_caller import ScriptedCaller, call_the_service_desk
from lmos_grpc.cli.ivr.voice_part import VoicePartSettings, run_voice
from lmos_grpc.cli.mesh.mesh import run_mesh
from lmos_grpc.cli.mesh.mesh_settings import MeshSettings
from lmos_grpc.cli.mesh.readiness import wait_for_agents
from lmos_grpc.cli.mesh.sample_agents import sample_agents_folder
from lmos_grpc.cli.mesh.whereabouts import TRACES
from lmos_grpc.telemetry import start_tracing
from lmos_grpc.traces import open_span_reader
from tests.mesh.whole_mesh import until

if TYPE_CHECKING:
    from pathlib import Path

    from lmos_grpc.channels.speech.engine import Synthesiser
    from lmos_grpc.channels.voice.call_leg import CallResult
    from lmos_grpc.cli.ivr.phone import Phone

FAREWELL = ("I will connect you to one of my colleagues.", "Thank you for calling, and have a nice day.")


@dataclass
class Heard:
    """A `CallObserver`."""

    understood: list[str] = field(default_factory=list)
    spoken: list[str] = field(default_factory=list)
    result: CallResult | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def asked(self, _call_id: str, text: str) -> None:
        self.understood.append(text)

    def spoke(self, _call_id: str, text: str) -> None:
        self.spoken.append(text)

    def responded(self, _call_id: str, after: timedelta) -> None:
        assert after

    def ended(self, _call_id: str, result: CallResult) -> None:
        self.result = result
        self.over.set()


async def in_full(phone: Phone, synthesiser: Synthesiser, *texts: str) -> list[str]:
    """Those of the texts that came over the line, from their beginning to their end."""
    found = []
    for text in texts:
        pcm = await synthesiser.synthesise(spoken_text(text, "en"), locale="en")
        if phone.record.heard.has_in_full(pcm):
            found.append(text)
    return found


def services_of_traces(state: Path) -> list[set[str]]:
    """Who took part in each trace that is there so far."""
    with open_span_reader(state / TRACES) as reader:
        traces = [reader.get_trace(each.trace_id) for each in reader.list_traces(50)]
    return [{span.service for span in trace.spans} for trace in traces if trace]


@pytest.mark.mesh
@pytest.mark.timeout(180)
async def test_a_caller_asks_interrupts_types_is_silent_and_is_transferred(tmp_path: Path) -> None:
    agents = sample_agents_folder()
    assert agents
    chosen = tuple(str(agents / name) for name in ("billing", "reception", "fault_repair"))
    async with run_mesh(MeshSettings(state=tmp_path, agents=chosen)) as mesh:
        await wait_for_agents(mesh, timedelta(seconds=60))
        tracing, heard = start_tracing("lmos-voice", endpoint=mesh.otlp, instance_id="voice-test"), Heard()
        settings = VoicePartSettings(edge=mesh.edge, voice=VoiceSettings(no_input_after=timedelta(seconds=1.5)))
        async with (
            tracing,
            run_voice(settings, tracing.tracer, heard) as voice,
            phone_call(voice.edge.address) as phone,
        ):
            figures = await call_the_service_desk(ScriptedCaller(phone, voice.synthesiser, lambda *_: None))
            await asyncio.wait_for(heard.over.wait(), 10)
            greeting, silent_once, silent_twice = phrases_in("en").greeting, *phrases_in("en").no_input
            assert not await in_full(phone, voice.synthesiser, "I will connect you to one of my cousins.")
            whole = await in_full(phone, voice.synthesiser, greeting, silent_once, silent_twice, *FAREWELL)

        # What was said over the line, in both directions.
        assert heard.understood == [
            "why is my bill so high",
            "is my bill paid",
            "1003",
            "I want to speak to a person",
        ]
        assert whole == [greeting, silent_once, silent_twice, *FAREWELL]
        assert any("customer number on the keypad" in each for each in heard.spoken)
        assert any("€99.90" in each for each in heard.spoken), "the bills of customer C-1003"
        # The farewell came to its end, and then Asterisk was given the call back.
        assert heard.result
        assert (heard.result.end, heard.result.target) == (CallEnd.TRANSFERRED, "service-desk")
        assert phone.said_goodbye
        assert len(figures.seconds["interruption to silence on the line"]) == 1

        # One trace has the call and the work of the agents.
        wanted = {"lmos-voice", "lmos-orchestrator", "billing-agent", "reception-agent"}
        await until(lambda: any(wanted <= services for services in services_of_traces(tmp_path)))
