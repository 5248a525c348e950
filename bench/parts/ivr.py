"""IVR: telephone calls, one at a time and many at once, as their callers hear them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bench.child_process import child_process
from bench.figure import plain
from bench.mesh_parts import run_mesh_parts
from bench.part_result import PartResult
from bench.table import Table
from bench.toolchain import ROOT
from lmos_grpc.cli.ivr.call_figures import BARGE_IN, GREETING, VOICE_TO_VOICE, percentile

if TYPE_CHECKING:
    from bench.bench_run import BenchRun

_START_SECONDS = 60.0
_CALL_SECONDS = 60.0
_ROUND_SECONDS = 20.0  # a question, its answer and an interruption take seven
_FIGURES = (GREETING, VOICE_TO_VOICE, BARGE_IN)
_ABOUT = (
    "Scripted callers speak with a synthesiser's voice over AudioSocket to a voice edge (`lmos voice`), and through "
    "Envoy and the orchestrator to an agent that talks as a model does: 200 ms to its first token, then one every "
    "20 ms. They interrupt each answer. Speech is offline: PocketSphinx with a grammar, SVOX Pico. All of it, the "
    "callers too, shares this machine. Times are those of the caller's telephone: from the last frame with speech to "
    "the first frame with sound of the answer, and from the first frame of an interruption to silence."
)


async def measure_ivr(run: BenchRun) -> PartResult:
    """Measures each number of calls."""
    run.steps.expect(len(run.scale.calls))
    found: dict[int, dict[str, list[float]]] = {}
    async with run_mesh_parts(run.folder / "mesh") as mesh:
        cli = (sys.executable, "-m", "lmos_grpc.cli")
        agent = (sys.executable, "-m", "bench.talking_agent", mesh.internal)
        async with child_process("talking-agent", *agent, folder=run.folder, cwd=ROOT) as talking:
            await talking.said("registered", _START_SECONDS)
            voice = (*cli, "voice", "--json", "--edge", mesh.edge, "--listen", "127.0.0.1:0")
            state = ("--state", str(run.folder / "voice"))
            async with child_process("voice", *voice, *state, folder=run.folder, cwd=ROOT) as edge:
                address = str((await edge.said("ready", _START_SECONDS))["voice"])
                for calls in run.scale.calls:
                    found[calls] = await _calls(run, address, calls)
                    run.steps.done(f"{calls} calls")
    return _result(found)


async def _calls(run: BenchRun, address: str, count: int) -> dict[str, list[float]]:
    rounds = max(1, run.scale.call_rounds // count)
    command = (sys.executable, "-m", "bench.phone_load", address, str(count), str(rounds))
    async with child_process(f"phones-{count}", *command, folder=run.folder, cwd=ROOT) as phones:
        said = await phones.said("done", _CALL_SECONDS + rounds * _ROUND_SECONDS)
        return {str(name): [float(each) for each in seconds] for name, seconds in said["seconds"].items()}


def _result(found: dict[int, dict[str, list[float]]]) -> PartResult:
    rows = tuple(
        (
            name,
            str(calls),
            str(len(seconds[name])),
            *(f"{plain(percentile(seconds[name], share) * 1_000)} ms" for share in (0.5, 0.95, 1)),
        )
        for name in _FIGURES
        for calls, seconds in found.items()
    )
    figures: dict[str, float | None] = {}
    for calls, seconds in found.items():
        for key, name in (("greeting", GREETING), ("voice_to_voice", VOICE_TO_VOICE), ("barge_in", BARGE_IN)):
            figures[f"{key}_p50_ms_{calls}"] = percentile(seconds[name], 0.5) * 1_000
            figures[f"{key}_p95_ms_{calls}"] = percentile(seconds[name], 0.95) * 1_000
    fewest, most = min(found), max(found)
    for key in ("voice_to_voice_p50", "voice_to_voice_p95", "barge_in_p95"):
        alone, together = figures[f"{key}_ms_{fewest}"], figures[f"{key}_ms_{most}"]
        figures[f"{key}_{most}_over_{fewest}"] = together / alone if alone and together else None
    return PartResult(
        "ivr",
        _ABOUT,
        (Table("Telephone calls", ("from … to", "calls at once", "times", "p50", "p95", "most"), rows),),
        (),
        figures,
    )
