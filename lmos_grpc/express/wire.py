"""What Envoy's ext_proc filter and the router say to each other, read and written.

https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/ext_proc/v3/external_processor.proto
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lmos_grpc.envoy_api import message_class

if TYPE_CHECKING:
    from collections.abc import Mapping

EXT_PROC_METHOD = ("envoy.service.ext_proc.v3.ExternalProcessor", "Process")
_REQUEST = "envoy.service.ext_proc.v3.ProcessingRequest"
_RESPONSE = "envoy.service.ext_proc.v3.ProcessingResponse"
_OVERWRITE_OR_ADD = 2


@dataclass(frozen=True, slots=True)
class RequestHeaders:
    """The headers of a call; `last` where it has no body."""

    headers: tuple[tuple[str, str], ...]
    last: bool = False


@dataclass(frozen=True, slots=True)
class RequestBody:
    """The body of a call, or as much of it as Envoy can hold."""

    shown: bytes


@dataclass(frozen=True, slots=True)
class Seen:
    """The headers were seen."""


@dataclass(frozen=True, slots=True)
class GoOn:
    """Lets the call go on with these headers set; Envoy then looks for its route anew."""

    headers: Mapping[str, str]


Heard = RequestHeaders | RequestBody | None
Said = Seen | GoOn


def read_request(data: bytes) -> Heard:
    """Parses a ProcessingRequest; None where it is about something that the router did not ask for."""
    message = message_class(_REQUEST).FromString(data)
    match message.WhichOneof("request"):
        case "request_headers":
            said = message.request_headers
            pairs = ((each.key, (each.raw_value or each.value.encode())) for each in said.headers.headers)
            # A header that is no UTF-8 is none of ours.
            headers = tuple((key, raw.decode("utf-8", "replace")) for key, raw in pairs)
            return RequestHeaders(headers, said.end_of_stream)
        case "request_body":
            return RequestBody(message.request_body.body)
        case _:
            return None


def write_request(heard: RequestHeaders | RequestBody) -> bytes:
    """Serializes a ProcessingRequest, as Envoy would."""
    message = message_class(_REQUEST)()
    match heard:
        case RequestHeaders(headers, last):
            message.request_headers.end_of_stream = last
            for key, value in headers:
                message.request_headers.headers.headers.add(key=key, raw_value=value.encode())
        case RequestBody(shown):
            message.request_body.body = shown
    data: bytes = message.SerializeToString()
    return data


def write_response(said: Said) -> bytes:
    """Serializes a ProcessingResponse."""
    message = message_class(_RESPONSE)()
    match said:
        case Seen():
            message.request_headers.SetInParent()
        case GoOn(headers):
            answer = message.request_body.response
            answer.clear_route_cache = bool(headers)
            for key, value in headers.items():
                option = answer.header_mutation.set_headers.add(append_action=_OVERWRITE_OR_ADD)
                # Envoy reads `raw_value` only.
                option.header.key, option.header.raw_value = key, value.encode()
    data: bytes = message.SerializeToString()
    return data


def read_response(data: bytes) -> Said:
    """Parses a ProcessingResponse, as Envoy would."""
    message: Any = message_class(_RESPONSE).FromString(data)
    if message.HasField("request_headers"):
        return Seen()
    headers = message.request_body.response.header_mutation.set_headers
    return GoOn({each.header.key: each.header.raw_value.decode() for each in headers})
