"""What can be set, and the only place where files and the environment are read for it."""

from lmos_grpc.cli.settings.load import load_settings
from lmos_grpc.cli.settings.settings import (
    CallerSection,
    MeshSection,
    ModelSection,
    ServeSection,
    Settings,
    TelemetrySection,
)

__all__ = [
    "CallerSection",
    "MeshSection",
    "ModelSection",
    "ServeSection",
    "Settings",
    "TelemetrySection",
    "load_settings",
]
