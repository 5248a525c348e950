"""A telephone call through the whole mesh: AudioSocket, speech, Envoy, the orchestrator and the sample agents."""

from __future__ import annotations

import asyncio
import os
import signal
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from lmos_grpc import Agent, AgentSettings, serve_agent
from lmos_grpc.channels.voice.call_leg import CallEnd
from lmos_grpc.channels.voice.call_observer import NobodyLooks
from lmos_grpc.channels.voice.mesh_line import LinePatience
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
from tests.fakes.voice_desk import PHRASES, settings, voice_desk
from tests.mesh.test_cli_serve import Parts
from tests.mesh.whole_mesh import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from lmos_grpc import Turn
    from lmos_grpc.channels.speech.engine import Synthesiser
    from lmos_grpc.channels.voice.call_leg import CallResult
    from lmos_grpc.cli.ivr.phone import Phone

FAREWELL = ("I will connect you to one of my colleagues.", "Thank you for calling, and have a nice day.")


@dataclass
class Heard(NobodyLooks):
    """A `CallObserver`."""

    understood: list[str] = field(default_factory=list)
    spoken: list[str] = field(default_factory=list)
    result: CallResult | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def asked(self, call_id: str, text: str) -> None:
        del call_id
        self.understood.append(text)

    def spoke(self, call_id: str, text: str) -> None:
        del call_id
        self.spoken.append(text)

    def responded(self, call_id: str, after: timedelta) -> None:
        del call_id
        assert after

    def ended(self, call_id: str, result: CallResult) -> None:
        del call_id
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
        quick = VoiceSettings(no_input_after=timedelta(seconds=1.5))
        part = VoicePartSettings(edge=mesh.edge, voice=quick, metrics="127.0.0.1:0")
        async with (
            tracing,
            run_voice(part, tracing.tracer, heard) as voice,
            phone_call(voice.edge.address) as phone,
        ):
            figures = await call_the_service_desk(ScriptedCaller(phone, voice.synthesiser, lambda *_: None))
            await asyncio.wait_for(heard.over.wait(), 10)
            greeting, silent_once, silent_twice = phrases_in("en").greeting, *phrases_in("en").no_input
            assert not await in_full(phone, voice.synthesiser, "I will connect you to one of my cousins.")
            whole = await in_full(phone, voice.synthesiser, greeting, silent_once, silent_twice, *FAREWELL)
            with await asyncio.to_thread(urllib.request.urlopen, voice.metrics) as response:
                told = response.read().decode()

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
        for line in (
            'lmos_calls_total{end="transferred"} 1.0',
            "lmos_active_calls 0.0",
            "lmos_call_voice_to_voice_seconds_count 4.0",
            "lmos_call_barge_in_seconds_count 1.0",
            'lmos_call_reprompts_total{why="no input"} 2.0',
        ):
            assert line in told.splitlines()
        assert len(figures.seconds["interruption to silence on the line"]) == 1

        # One trace has the call and the work of the agents.
        wanted = {"lmos-voice", "lmos-orchestrator", "billing-agent", "reception-agent"}
        await until(lambda: any(wanted <= services for services in services_of_traces(tmp_path)))


class TwoPartAgent(Agent):
    """Says the second half of an answer when it is let."""

    def __init__(self) -> None:
        super().__init__("two-part-agent", version="1.0.0", description="Talks about bills.")
        self.go_on = asyncio.Event()
        self.histories: list[int] = []

        @self.capability("explain-bill", version="1.0.0", examples={"en": ["why is my bill so high"]})
        async def explain(turn: Turn) -> AsyncIterator[str]:
            self.histories.append(len(turn.history))
            yield f"Answer {len(self.histories)} begins. "
            await self.go_on.wait()
            yield f"Answer {len(self.histories)} ends."


@pytest.mark.mesh
@pytest.mark.timeout(120)
async def test_a_call_goes_on_while_the_orchestrator_is_replaced_under_it(tmp_path: Path) -> None:
    agent, voice = TwoPartAgent(), settings(turn_limit=timedelta(seconds=30), no_input_after=timedelta(seconds=60))
    with ExitStack() as processes:
        parts = Parts(processes, tmp_path)
        parts.start_all()
        async with serve_agent(agent, AgentSettings(mesh=parts.addresses["internal"])) as served:
            await asyncio.wait_for(served.wait_registered(), 10)
            patient = replace(voice, patience=LinePatience(away=timedelta(seconds=60)))
            async with voice_desk(parts.addresses["edge"], patient) as desk:
                await desk.hears("hello")
                await desk.say("why is my bill so high")
                await desk.hears("Answer 1 begins.")
                orchestrator = parts.processes["orchestrator"]
                os.kill(orchestrator.pid, signal.SIGTERM)
                # It is finished where it began, by the process that is about to go.
                agent.go_on.set()
                await desk.hears("Answer 1 ends.")
                await asyncio.to_thread(orchestrator.process.wait, 30)
                # The caller knows nothing of this.
                await desk.say("why is my bill so high")
                await asyncio.to_thread(parts.start, "orchestrator")
                await desk.phone.until(lambda: "Answer 2 ends." in desk.watching.spoken, 60)
                said = [each for each in desk.watching.spoken if each not in (PHRASES.filler, PHRASES.reconnecting)]
                answers = [f"Answer {number} {part}." for number in (1, 2) for part in ("begins", "ends")]
                assert said == [PHRASES.greeting, *answers]
                assert desk.watching.resumed == [True]
                assert agent.histories == [0, 2]
