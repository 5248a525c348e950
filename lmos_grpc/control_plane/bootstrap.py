"""Envoy's bootstrap: the readable YAML of `envoy/` with this mesh's addresses filled in."""

from __future__ import annotations

import base64
import ssl
from dataclasses import dataclass
from datetime import timedelta
from importlib import resources
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import yaml

from lmos_grpc.control_plane.endpoint import is_ip, lb_endpoint, resolution, split_address
from lmos_grpc.control_plane.local_reply import local_reply_config
from lmos_grpc.errors import InvalidConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable

LOCAL_ORIGINS = "local"
_LEAST_HEALTH_LIMIT = timedelta(milliseconds=500)
_LOCAL_PAGES = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"
_HTTPS = "https://"
_DESCRIPTORS = "lmos_descriptors.binpb"
_EXPRESS_PARTS = (
    "filter",
    "route",
    "check",
    "session_question",
    "session_route",
)  # of the edge listener


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoySettings:
    """What differs from one mesh to another. Addresses are `host:port`; a listener has an IP address, port 0: any.

    `reflection` is the server that answers reflection and health for all public services. `express` are the routers
    of the express lane; without one all turns go to the orchestrator, and so does a turn that is not decided on within
    `router_limit`. `otlp` None means no traces, and with `https://` before it they go over TLS; `sampling` is the
    share of traces that is taken, where the caller has not decided. `access_log` None means no access log.
    `allowed_origins` are web origins (CORS), `*` for any and `local` for pages of this machine.
    """

    orchestrator: tuple[str, ...]
    discovery: tuple[str, ...]
    conversation: tuple[str, ...]
    reflection: tuple[str, ...]
    ads: tuple[str, ...]
    edge_host: str = "127.0.0.1"
    edge_port: int = 8080
    internal_host: str = "127.0.0.1"
    internal_port: int = 8081
    admin_port: int = 9901
    express: tuple[str, ...] = ()
    router_limit: timedelta = timedelta(milliseconds=300)
    otlp: str | None = None
    sampling: float = 1.0
    access_log: Path | None = None
    allowed_origins: tuple[str, ...] = (LOCAL_ORIGINS,)
    node_id: str = "envoy"
    concurrency: int = 2


def render_bootstrap(settings: EnvoySettings) -> str:
    """The whole bootstrap as YAML; it names no other file.

    Raises:
        InvalidConfigurationError: an address is not `host:port`, or a listener's host is a name.
    """
    edge = _listener("edge", settings, settings.edge_host, settings.edge_port)
    internal = _listener("internal", settings, settings.internal_host, settings.internal_port)
    values: dict[str, object] = {
        "NODE_ID": settings.node_id,
        "ADMIN_PORT": settings.admin_port,
        "EDGE_LISTENER": edge,
        "INTERNAL_LISTENER": internal,
        "OTLP_CLUSTER": _tracing(settings, "lmos-edge").get("cluster"),
        "EXPRESS_CLUSTER": _express(settings).get("cluster"),
        **_upstream("ADS", settings.ads),
        **_upstream("ORCHESTRATOR", settings.orchestrator),
        **_upstream("DISCOVERY", settings.discovery),
        **_upstream("CONVERSATION", settings.conversation),
        **_upstream("REFLECTION", settings.reflection),
    }
    return yaml.dump(_filled("bootstrap.yaml", values), Dumper=_PlainDumper, sort_keys=False, width=120)


def _listener(name: str, settings: EnvoySettings, host: str, port: int) -> object:
    if not is_ip(host):
        raise InvalidConfigurationError(
            f"Envoy cannot listen on {host!r} ({name}): give an IP address, such as 127.0.0.1"
        )
    service = f"lmos-{name}"
    values: dict[str, object] = {
        "HOST": host,
        "PORT": port,
        "TRACING": _tracing(settings, service).get("tracing"),
        "ACCESS_LOG": _access_log(settings, service),
        **{f"EXPRESS_{part.upper()}": _express(settings).get(part) for part in _EXPRESS_PARTS},
        "LOCAL_REPLIES": local_reply_config(_parsed("local_replies.yaml"), web=name == "edge"),
        "ALLOWED_ORIGINS": [_origin(each) for each in settings.allowed_origins],
        "DESCRIPTORS": base64.b64encode(_folder().joinpath(_DESCRIPTORS).read_bytes()).decode(),
    }
    return _filled(f"{name}_listener.yaml", values)


def _origin(name: str) -> dict[str, object]:
    return {"safe_regex": {"regex": _LOCAL_PAGES}} if name == LOCAL_ORIGINS else {"exact": name}


def _tracing(settings: EnvoySettings, service: str) -> dict[str, object]:
    if settings.otlp is None:
        return {}
    values: dict[str, object] = {
        "SERVICE_NAME": service,
        "SAMPLED_PER_MILLION": round(settings.sampling * 1_000_000),
        **_upstream("OTLP", (settings.otlp.removeprefix(_HTTPS),)),
        "OTLP_TLS": _tls(settings.otlp.removeprefix(_HTTPS)) if settings.otlp.startswith(_HTTPS) else None,
    }
    parts = _parsed("tracing.yaml")
    return {name: _fill(part, values) for name, part in parts.items()}


def _tls(address: str) -> dict[str, object]:
    trusted = ssl.get_default_verify_paths().cafile
    if trusted is None:
        raise InvalidConfigurationError(
            f"Envoy cannot send spans to {_HTTPS}{address}: this machine has no file of trusted certificates; set "
            "SSL_CERT_FILE to one"
        )
    host = address.rpartition(":")[0]
    context = {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "sni": host,
        "common_tls_context": {
            "alpn_protocols": ["h2"],
            "validation_context": {
                "trusted_ca": {"filename": trusted},
                "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": host}}],
            },
        },
    }
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def _express(settings: EnvoySettings) -> dict[str, object]:
    if not settings.express:
        return {}
    limit = settings.router_limit
    values = {
        **_upstream("EXPRESS", settings.express),
        "EXPRESS_LIMIT": f"{limit.total_seconds()}s",
        "EXPRESS_HEALTH_LIMIT": f"{max(limit, _LEAST_HEALTH_LIMIT).total_seconds()}s",
    }
    return {name: _fill(part, values) for name, part in _parsed("express.yaml").items()}


def _access_log(settings: EnvoySettings, service: str) -> object:
    if settings.access_log is None:
        return None
    return _filled("access_log.yaml", {"SERVICE_NAME": service, "ACCESS_LOG": str(settings.access_log)})


def _upstream(name: str, addresses: tuple[str, ...]) -> dict[str, object]:
    found = [split_address(address) for address in addresses]
    pairs = [pair for pair in found if pair is not None]
    if not pairs or len(pairs) < len(addresses):
        raise InvalidConfigurationError(f"Envoy cannot reach {name.lower()} at {addresses}: give each as host:port")
    return {
        f"{name}_ENDPOINTS": [lb_endpoint(host, port) for host, port in pairs],
        f"{name}_RESOLUTION": resolution(host for host, _ in pairs),
    }


def _folder() -> Traversable:
    shipped = resources.files("lmos_grpc").joinpath("envoy_config")
    return shipped if shipped.is_dir() else Path(__file__).resolve().parents[2] / "envoy"


def _filled(name: str, values: Mapping[str, object]) -> object:
    return _fill(_parsed(name), values)


def _parsed(name: str) -> Any:  # plain YAML: lists, mappings, texts and numbers
    return yaml.safe_load(_folder().joinpath(name).read_text("utf-8"))


def _fill(node: object, values: Mapping[str, object]) -> object:
    # After parsing, so that no value can change the structure; a placeholder alone takes on the value's own type.
    match node:
        case dict():
            filled = {key: _fill(value, values) for key, value in node.items()}
            return {key: value for key, value in filled.items() if value is not None}
        case list():
            return [value for each in node if (value := _fill(each, values)) is not None]
        case str() if node.startswith("${") and node.endswith("}"):
            return values[node[2:-1]]
        case str():
            return Template(node).substitute(values)
        case _:
            return node


class _PlainDumper(yaml.SafeDumper):
    """Writes shared parts out in full, because people search the result."""

    def ignore_aliases(self, data: object) -> bool:
        del data
        return True
