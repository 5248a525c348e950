"""The format as JSON Schema: for editors, and for what the checks say of keys that nobody knows."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from lmos_grpc.declarations.document_schema import KINDS, AgentDocument, ChannelDocument, TenantDocument

if TYPE_CHECKING:
    from collections.abc import Sequence

JsonObject = dict[str, Any]  # Any: JSON values


def json_schema() -> JsonObject:
    """The schema of one document (https://json-schema.org/draft/2020-12)."""
    any_kind = TypeAdapter[TenantDocument | ChannelDocument | AgentDocument](
        TenantDocument | ChannelDocument | AgentDocument
    )
    schema = any_kind.json_schema(by_alias=True, mode="validation")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tenants, channels and agents of an lmos-grpc mesh",
        **schema,
    }


def known_keys(kind: str, path: Sequence[str | int]) -> tuple[str, ...]:
    """The keys that a mapping of a document may have; empty: any, or it is no mapping."""
    root = _schema_of(kind)
    place = root
    for step in path:
        place = _below(root, place, step)
    return tuple(_resolved(root, place).get("properties", ()))


@cache
def _schema_of(kind: str) -> JsonObject:
    return KINDS[kind].model_json_schema(by_alias=True, mode="validation")


def _below(root: JsonObject, place: JsonObject, step: str | int) -> JsonObject:
    for each in (_resolved(root, place), *(_resolved(root, part) for part in place.get("anyOf", ()))):
        found = each.get("items") if isinstance(step, int) else each.get("properties", {}).get(step)
        if isinstance(found, dict):
            return found
    return {}


def _resolved(root: JsonObject, place: JsonObject) -> JsonObject:
    name = str(place.get("$ref", "")).rpartition("/")[2]
    resolved: JsonObject = root["$defs"][name] if name else place
    return resolved
