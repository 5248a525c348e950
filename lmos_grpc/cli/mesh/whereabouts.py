"""Where a running mesh can be found: it leaves a note in its state directory, and callers look there."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from lmos_grpc.cli.settings import MeshSection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lmos_grpc.cli.settings import Settings

NOTE = "running.json"
TRACES = "traces.sqlite"


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """The addresses of a mesh (`host:port`); empty where not known."""

    edge: str
    internal: str
    otlp: str = ""
    metrics: str = ""


def find_mesh(settings: Settings) -> Whereabouts:
    """Where the settings say; what they leave at its default is as the mesh of the state directory noted it."""
    noted = read_note(settings.mesh.state)
    default, mesh = MeshSection(), settings.mesh
    if noted is None:
        return Whereabouts(mesh.edge, mesh.internal, settings.telemetry.otlp_endpoint)
    edge = noted.edge if mesh.edge == default.edge else mesh.edge
    internal = noted.internal if mesh.internal == default.internal else mesh.internal
    # Spans of calls to another mesh are none of this one's business.
    otlp = noted.otlp if edge == noted.edge or internal == noted.internal else ""
    return Whereabouts(edge, internal, settings.telemetry.otlp_endpoint or otlp, noted.metrics)


def read_note(state: Path) -> Whereabouts | None:
    """What a mesh noted there; None where none did, or the note cannot be read."""
    try:
        noted = json.loads((state / NOTE).read_text("utf-8"))
        return Whereabouts(**{str(key): str(value) for key, value in noted.items()})
    except (OSError, ValueError, TypeError, AttributeError):
        return None


@contextmanager
def noted(state: Path, whereabouts: Whereabouts) -> Iterator[None]:
    """Leaves the note while the block runs."""
    note = state / NOTE
    note.write_text(json.dumps(asdict(whereabouts)), "utf-8")
    try:
        yield
    finally:
        note.unlink(missing_ok=True)
