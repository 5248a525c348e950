"""What is worth showing of a span beside its name, in a few words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmos_grpc.telemetry import attributes as names

if TYPE_CHECKING:
    from lmos_grpc.traces.span import AttributeValue, Span

# The word shown, and the attributes that may hold it, the best first. The last of each line is Envoy's name.
_WORTH_SHOWING = (
    ("agent", (names.GEN_AI_AGENT_NAME,)),
    ("capability", (names.LMOS_CAPABILITY,)),
    ("tenant", (names.LMOS_TENANT,)),
    ("channel", (names.LMOS_CHANNEL,)),
    ("route", ("lmos.route.mode",)),
    ("to", ("lmos.route.targets",)),
    ("model", (names.GEN_AI_RESPONSE_MODEL, names.GEN_AI_REQUEST_MODEL)),
    ("tokens in", (names.GEN_AI_USAGE_INPUT_TOKENS,)),
    ("tokens out", (names.GEN_AI_USAGE_OUTPUT_TOKENS,)),
    ("finish", (names.GEN_AI_RESPONSE_FINISH_REASONS,)),
    ("outcome", (names.LMOS_TURN_OUTCOME,)),
    ("reason", (names.LMOS_ERROR_REASON,)),
    ("cluster", ("upstream_cluster.name", "upstream_cluster")),
    ("flags", ("response_flags",)),
)


def highlights(span: Span) -> tuple[tuple[str, str], ...]:
    """Pairs of word and value, in the order to show them. A status of OK and what the name says are left out."""
    shown = [(word, _first(span, keys)) for word, keys in _WORTH_SHOWING]
    shown += [("method", _method(span)), ("code", _code(span))]
    return tuple((word, value) for word, value in shown if value not in {"", "-"})


def _first(span: Span, keys: tuple[str, ...]) -> str:
    return next((_text(span.attributes[key]) for key in keys if key in span.attributes), "")


def _method(span: Span) -> str:
    # Envoy's spans are named by the side that they are on, and say the path.
    method = _first(span, (names.RPC_METHOD, "grpc.path")).removeprefix("/")
    return "" if method == span.name else method


def _code(span: Span) -> str:
    # Envoy tells the number of the gRPC status, we its name.
    code = _first(span, (names.RPC_RESPONSE_STATUS_CODE, "grpc.status_code"))
    return "" if code in {"OK", "0"} else code


def _text(value: AttributeValue) -> str:
    return ", ".join(str(each) for each in value) if isinstance(value, tuple) else str(value)
