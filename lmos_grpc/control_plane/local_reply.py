"""Envoy's own answers as errors of the contract: mappers for gRPC callers and for callers in JSON."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from lmos_grpc.domain.failure import Code, FailureDetail, Reason
from lmos_grpc.wire.failure import failure_to_status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    Entry = Mapping[str, Any]  # an entry of local_replies.yaml: plain YAML

# The transcoder has made gRPC of the request by now, but it notes what the method was.
_CAME_IN_JSON = {"header_filter": {"header": {"name": "x-envoy-original-method", "present_match": True}}}


def local_reply_config(entries: Iterable[Entry], *, web: bool) -> dict[str, object]:
    """Envoy's LocalReplyConfig for the entries, in their order; `web`: for a listener that takes gRPC-Web as well."""
    return {"mappers": [mapper for entry in entries for mapper in _mappers(entry, web=web)]}


def _mappers(entry: Entry, *, web: bool) -> Iterator[dict[str, object]]:
    # Callers in JSON go first: the transcoder leaves Envoy's own answers as they are.
    callers = entry.get("callers", "all")
    reason = {"header": {"key": "x-lmos-error-reason", "value": entry.get("reason")}}
    yield {
        "filter": _all_of([*entry["filters"], *([] if callers == "http" else [_CAME_IN_JSON])]),
        "status_code": entry["http_status"],
        "headers_to_add": [reason] if "reason" in entry else [],
        "body_format_override": {"json_format": _status(entry)},
    }
    if callers != "all":
        return
    yield {
        "filter": _all_of(entry["filters"]),
        "status_code": entry["http_status"],
        # Without it Envoy derives the code from the HTTP status, and calls 404 UNIMPLEMENTED.
        "headers_to_add": [
            reason,
            {"header": {"key": "grpc-status", "value": str(entry["code"])}},
            *([{"header": {"key": "lmos-grpc-status", "value": str(entry["code"])}}] if web else []),
            *_details(entry),
        ],
        "body_format_override": {"text_format_source": {"inline_string": entry["message"]}},
    }


def _all_of(filters: list[Entry]) -> Entry:
    return filters[0] if len(filters) == 1 else {"and_filter": {"filters": filters}}


def _details(entry: Entry) -> Iterator[dict[str, object]]:
    """The status in whole, where its message is always the same: Envoy cannot encode one that it fills in."""
    if "%" in entry["message"]:
        return
    detail = FailureDetail(Code(entry["code"]), Reason[entry["reason"]], entry["message"])
    encoded = base64.b64encode(failure_to_status(detail).SerializeToString()).decode().rstrip("=")
    yield {"header": {"key": "grpc-status-details-bin", "value": encoded}}


def _status(entry: Entry) -> dict[str, object]:
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": entry.get("reason"), "domain": "lmos-grpc"}
    return {"code": entry["code"], "message": entry["message"], "details": [info] if "reason" in entry else []}
