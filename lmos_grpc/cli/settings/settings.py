"""Everything that can be set, with defaults that work on one machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class MeshSection:
    """Where a mesh listens and keeps its state, and where callers and agents look for it. Port 0 takes a free one."""

    edge: str = "127.0.0.1:8080"
    internal: str = "127.0.0.1:8081"
    metrics: str = "127.0.0.1:9464"
    state: Path = Path("~/.local/state/lmos")
    fallback_agent: str = ""
    express: str = "off"  # off, asked or on
    durability: str = "behind"  # or before-shown
    max_turns: int = 2_000
    most_held_bytes: int = 4 * 1024 * 1024  # of each answer that is held back until all are judged
    routers: str = "0"  # of the express lane in processes of their own; 0: one beside the orchestrator
    allowed_origins: str = "local"  # of web pages, separated by commas; * for any, local for those of this machine
    transport: str = "http2"  # or grpcio
    judge_model: str = ""  # empty: the scores of routing judge
    classifier: str = "lexical"  # lexical or sentence
    opinion: str = "off"  # off, chat or embedding: whom to ask, over model.base_url, where the classifier is not sure
    opinion_model: str = ""  # empty: model.name
    opinion_limit: str = "1s"
    insecure_listen: bool = False


@dataclass(frozen=True, slots=True)
class ServeSection:
    """Where each part listens when it runs as a process of its own."""

    discovery: str = "127.0.0.1:9201"
    control_plane: str = "127.0.0.1:9202"
    orchestrator: str = "127.0.0.1:9203"
    router: str = "127.0.0.1:9204"  # for Envoy: of every router, separated by commas
    routers_apart: bool = False
    traces: str = "127.0.0.1:4317"


@dataclass(frozen=True, slots=True)
class CallerSection:
    """For whom this command line speaks."""

    tenant: str = "default"
    channel: str = "web"
    locale: str = ""


@dataclass(frozen=True, slots=True)
class TelemetrySection:
    """Where spans go, and whether they carry what people said. An empty endpoint means the mesh's own trace store."""

    otlp_endpoint: str = ""
    record_text: bool = False
    sampling: str = "1"  # the share of traces that is taken where no caller has decided


@dataclass(frozen=True, slots=True)
class ModelSection:
    """The OpenAI-compatible model that agents may use. The key comes from the environment only and never prints."""

    base_url: str = ""
    name: str = ""
    api_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of the command line."""

    mesh: MeshSection = field(default_factory=MeshSection)
    serve: ServeSection = field(default_factory=ServeSection)
    caller: CallerSection = field(default_factory=CallerSection)
    telemetry: TelemetrySection = field(default_factory=TelemetrySection)
    model: ModelSection = field(default_factory=ModelSection)
    agents: tuple[str, ...] | None = None  # None: the sample agents, in a checkout
    rules: tuple[str, ...] = ()  # files and folders that declare tenants, channels and agents
