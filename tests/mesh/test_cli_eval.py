"""Labelled phrases against a live mesh."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest

from lmos_grpc.cli.command.eval import evaluate
from lmos_grpc.cli.evaluation import LabelledPhrase
from lmos_grpc.cli.exit_code import ExitCode
from tests.mesh.whole_mesh import billing_agent, orders_agent, output_to, settings_for, whole_mesh

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.mesh
PHRASES = (
    LabelledPhrase("why is my bill so high?", "billing-agent/explain-bill"),
    LabelledPhrase("where is my parcel?", "orders-agent"),
    LabelledPhrase("where is my parcel?", "billing-agent"),
)


async def test_a_file_of_phrases_is_scored_against_the_live_mesh(tmp_path: Path) -> None:
    file = io.StringIO()
    async with whole_mesh(tmp_path, billing_agent(), orders_agent()) as mesh:
        good = await evaluate(settings_for(mesh), output_to(file, json=True), PHRASES, 0.6)
        bad = await evaluate(settings_for(mesh), output_to(io.StringIO()), PHRASES, 0.9)
    told = json.loads(file.getvalue())
    assert (good, bad) == (ExitCode.OK, ExitCode.FAILURE)
    assert told["right"] == 2
    assert [each["got"] for each in told["mistakes"]] == ["orders-agent"]
