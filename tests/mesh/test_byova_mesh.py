"""Webex Contact Center's flows, through Envoy and the orchestrator to the sample agents, with real speech."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from lmos_grpc.channels.byova.settings import ByovaSettings, SoundMode
from lmos_grpc.channels.speech.g711 import Coding, decoded
from lmos_grpc.channels.speech.pcm import SILENCE, level
from lmos_grpc.cli.ivr.byova_part import ByovaPartSettings, run_byova
from lmos_grpc.cli.mesh.mesh import run_mesh
from lmos_grpc.cli.mesh.mesh_settings import MeshSettings
from lmos_grpc.cli.mesh.readiness import wait_for_agents
from lmos_grpc.cli.mesh.sample_agents import sample_agents_folder
from lmos_grpc.rpc import open_channel
from lmos_grpc.telemetry import start_tracing
from tests.fakes.webex_caller import WebexCaller

if TYPE_CHECKING:
    from pathlib import Path

    from lmos_grpc.channels.speech.engine import Synthesiser

PAUSE = SILENCE * 50


async def speech_of(synthesiser: Synthesiser, text: str) -> bytes:
    return await synthesiser.synthesise(text, locale="en-US") + PAUSE


@pytest.mark.mesh
@pytest.mark.parametrize("sound", SoundMode)
async def test_the_documented_flows(tmp_path: Path, sound: SoundMode) -> None:
    agents = sample_agents_folder()
    assert agents
    chosen = tuple(str(agents / name) for name in ("billing", "reception"))
    async with run_mesh(MeshSettings(state=tmp_path, agents=chosen)) as mesh:
        await wait_for_agents(mesh, timedelta(seconds=60))
        tracing = start_tracing("lmos-byova", endpoint=mesh.otlp, instance_id="byova-test")
        settings = ByovaPartSettings(edge=mesh.edge, byova=ByovaSettings(sound=sound))
        async with (
            tracing,
            run_byova(settings, tracing.tracer) as byova,
            open_channel(byova.address) as channel,
        ):
            caller = WebexCaller(channel, "webex-1", agent_id="service-desk")
            assert await caller.agents() == [
                ("service-desk", True),
                ("billing-agent", False),
                ("reception-agent", False),
            ]

            welcome = await caller.happening("SESSION_START")
            assert welcome.kinds == (["FINAL"] if sound is SoundMode.WAV else ["CHUNK", "FINAL"])

            bill = await caller.say(await speech_of(byova.synthesiser, "why is my bill so high"))
            assert bill.events == ["START_OF_INPUT", "END_OF_INPUT"]
            assert "invoice" in bill.text
            assert level(decoded(bill.sound[44:], Coding.MULAW)) > 200

            asked = await caller.say(await speech_of(byova.synthesiser, "is my bill paid"))
            assert "customer number" in asked.text
            assert asked.last.input_handling_config.dtmf_config.dtmf_input_length == 4

            paid = await caller.type("1003")
            assert "€99.90" in paid.text

            assert (await caller.happening("NO_INPUT")).events == ["NO_INPUT"]

            person = await caller.say(await speech_of(byova.synthesiser, "I want to speak to a person"))
            assert person.events[-1] == "TRANSFER_TO_AGENT"
            assert dict(person.last.output_events[0].metadata) == {"target": "service-desk"}

            over = await caller.happening("SESSION_END")
            assert (over.sound, over.events) == (b"", [])
