"""What Envoy and the control plane say to each other, read and written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format

from lmos_grpc.envoy_api import descriptor_pool, message_class

if TYPE_CHECKING:
    from collections.abc import Mapping

CLUSTER_TYPE = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
ADS_METHOD = ("envoy.service.discovery.v3.AggregatedDiscoveryService", "DeltaAggregatedResources")
_CLUSTER = "envoy.config.cluster.v3.Cluster"
_REQUEST = "envoy.service.discovery.v3.DeltaDiscoveryRequest"
_RESPONSE = "envoy.service.discovery.v3.DeltaDiscoveryResponse"


@dataclass(frozen=True, slots=True)
class DeltaRequest:
    """What Envoy says on a delta stream. `error` is empty unless it refuses the response with `nonce`."""

    type_url: str = CLUSTER_TYPE
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    initial_versions: Mapping[str, str] = field(default_factory=dict)
    nonce: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Resource:
    """One named resource, serialized. Its version is a hash of its content."""

    name: str
    version: str
    body: bytes


@dataclass(frozen=True, slots=True)
class DeltaResponse:
    """What Envoy is told: one resource, or names that do not exist."""

    nonce: str
    resource: Resource | None = None
    removed: tuple[str, ...] = ()


def cluster_bytes(cluster: Mapping[str, object]) -> bytes:
    """The serialized form of a cluster that is written as in Envoy's documentation.

    Raises:
        google.protobuf.json_format.ParseError: a field that Envoy does not know.
    """
    message = json_format.ParseDict(dict(cluster), message_class(_CLUSTER)(), descriptor_pool=descriptor_pool())
    data: bytes = message.SerializeToString(deterministic=True)
    return data


def cluster_dict(body: bytes) -> dict[str, Any]:
    """The readable form of a serialized cluster."""
    message = message_class(_CLUSTER).FromString(body)
    return json_format.MessageToDict(message, preserving_proto_field_name=True, descriptor_pool=descriptor_pool())


def read_request(data: bytes) -> DeltaRequest:
    """Parses a DeltaDiscoveryRequest."""
    message: Any = message_class(_REQUEST).FromString(data)
    return DeltaRequest(
        type_url=message.type_url,
        subscribe=tuple(message.resource_names_subscribe),
        unsubscribe=tuple(message.resource_names_unsubscribe),
        initial_versions=dict(message.initial_resource_versions),
        nonce=message.response_nonce,
        error=(message.error_detail.message or "refused") if message.HasField("error_detail") else "",
    )


def write_request(request: DeltaRequest) -> bytes:
    """Serializes a DeltaDiscoveryRequest, as Envoy would."""
    message: Any = message_class(_REQUEST)(
        type_url=request.type_url,
        resource_names_subscribe=request.subscribe,
        resource_names_unsubscribe=request.unsubscribe,
        initial_resource_versions=request.initial_versions,
        response_nonce=request.nonce,
    )
    if request.error:
        message.error_detail.message = request.error
    data: bytes = message.SerializeToString()
    return data


def read_response(data: bytes) -> DeltaResponse:
    """Parses a DeltaDiscoveryResponse with at most one resource, as Envoy would."""
    message: Any = message_class(_RESPONSE).FromString(data)
    resource = next((Resource(each.name, each.version, each.resource.value) for each in message.resources), None)
    return DeltaResponse(message.nonce, resource, tuple(message.removed_resources))


def write_response(response: DeltaResponse) -> bytes:
    """Serializes a DeltaDiscoveryResponse."""
    message: Any = message_class(_RESPONSE)(
        type_url=CLUSTER_TYPE, nonce=response.nonce, removed_resources=response.removed
    )
    if response.resource is not None:
        resource = message.resources.add(name=response.resource.name, version=response.resource.version)
        resource.resource.type_url, resource.resource.value = CLUSTER_TYPE, response.resource.body
    data: bytes = message.SerializeToString()
    return data
