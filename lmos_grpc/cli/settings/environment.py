"""The environment variables that are read, and the setting that each stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PREFIX = "LMOS_"
VARIABLES = {
    "LMOS_EDGE": "mesh.edge",
    "LMOS_INTERNAL": "mesh.internal",
    "LMOS_METRICS": "mesh.metrics",
    "LMOS_STATE": "mesh.state",
    "LMOS_FALLBACK_AGENT": "mesh.fallback_agent",
    "LMOS_EXPRESS": "mesh.express",
    "LMOS_DURABILITY": "mesh.durability",
    "LMOS_MAX_TURNS": "mesh.max_turns",
    "LMOS_MOST_HELD_BYTES": "mesh.most_held_bytes",
    "LMOS_ROUTERS": "mesh.routers",
    "LMOS_ALLOWED_ORIGINS": "mesh.allowed_origins",
    "LMOS_TRANSPORT": "mesh.transport",
    "LMOS_JUDGE_MODEL": "mesh.judge_model",
    "LMOS_CLASSIFIER": "mesh.classifier",
    "LMOS_OPINION": "mesh.opinion",
    "LMOS_OPINION_MODEL": "mesh.opinion_model",
    "LMOS_OPINION_LIMIT": "mesh.opinion_limit",
    "LMOS_INSECURE_LISTEN": "mesh.insecure_listen",
    "LMOS_TENANT": "caller.tenant",
    "LMOS_CHANNEL": "caller.channel",
    "LMOS_LOCALE": "caller.locale",
    "LMOS_OTLP_ENDPOINT": "telemetry.otlp_endpoint",
    "LMOS_RECORD_TEXT": "telemetry.record_text",
    "LMOS_TRACE_SAMPLING": "telemetry.sampling",
    "LMOS_MODEL": "model.name",
    "OPENAI_BASE_URL": "model.base_url",
    "OPENAI_API_KEY": "model.api_key",
}
# Read elsewhere: which configuration file to take.
CONFIG_VARIABLE = "LMOS_CONFIG"


def settings_in(environment: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Variable, setting and value of everything that is set there; an empty variable counts as not set."""
    for variable, setting in VARIABLES.items():
        if value := environment.get(variable):
            yield variable, setting, value


def unknown_variables(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Variables that look like ours and are not: most likely misspelt."""
    known = {*VARIABLES, CONFIG_VARIABLE}
    return tuple(sorted(name for name in environment if name.startswith(PREFIX) and name not in known))
