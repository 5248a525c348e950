"""Holds a document against its schema, and says in plain words what is wrong and where."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from lmos_grpc.declarations.document_schema import KINDS
from lmos_grpc.declarations.json_schema import known_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_core import ErrorDetails

    from lmos_grpc.declarations.document_schema import AgentDocument, ChannelDocument, TenantDocument
    from lmos_grpc.declarations.problem import Problem
    from lmos_grpc.declarations.yaml_documents import YamlDocument

_COMPUTED = {"ChannelRouting", "ChannelRollout"}
_PLAIN = {
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "list_type": "a list",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
}


def checked(document: YamlDocument) -> tuple[TenantDocument | ChannelDocument | AgentDocument | None, list[Problem]]:
    """The document as its schema reads it, or None and everything that is wrong with it."""
    kind = document.value.get("kind") if isinstance(document.value, dict) else None
    schema = KINDS.get(kind) if isinstance(kind, str) else None
    if not isinstance(kind, str) or schema is None:
        return None, [_of_no_kind(document, kind)]
    try:
        return schema.model_validate(document.value), []
    except ValidationError as error:
        return None, [_told(document, kind, each) for each in error.errors(include_url=False)]


def _of_no_kind(document: YamlDocument, kind: object) -> Problem:
    if not isinstance(document.value, dict):
        return document.problem((), "a document must be a mapping with `kind`, `metadata` and `spec`")
    if kind is None:
        return document.problem((), "`kind` is missing: say Tenant, Channel or Agent")
    if str(kind) in _COMPUTED:
        return document.problem(("kind",), f"{kind} is not read: the mesh works it out by itself; leave it out")
    return document.problem(("kind",), f"{kind!r} is no kind{_meant(str(kind), tuple(KINDS))}")


def _told(document: YamlDocument, kind: str, error: ErrorDetails) -> Problem:
    path = tuple(error["loc"])
    match error["type"]:
        case "extra_forbidden":
            name, known = str(path[-1]), known_keys(kind, path[:-1])
            place = f"`{'.'.join(map(str, path[:-1]))}`" if path[:-1] else "the document"
            return document.problem(path, f"unknown key {name!r} in {place}{_meant(name, known)}", at_key=True)
        case "missing":
            return document.problem(path[:-1], f"`{_key(path)}` is missing{_expected(kind, path)}")
        case _:
            return document.problem(path, _about_value(_key(path), error))


def _about_value(key: str, error: ErrorDetails) -> str:
    said, context = error["input"], error.get("ctx", {})
    match error["type"]:
        case "value_error":
            return f"`{key}`: {context['error']}"
        case "literal_error":
            return f"`{key}` is {_shown(said)}; say {context['expected']}"
        case "string_pattern_mismatch":
            return f"`{key}` is {_shown(said)}: use up to 128 letters, digits and signs, without blanks and commas"
        case name if name in _PLAIN:
            return f"`{key}` must be {_PLAIN[name]}, not {_shown(said)}{_quotes(name, said)}"
        case _:
            return f"`{key}` is {_shown(said)}: {error['msg'][:1].lower()}{error['msg'][1:]}"


def _key(path: Sequence[str | int]) -> str:
    return ".".join(map(str, path))


def _expected(kind: str, path: Sequence[str | int]) -> str:
    known = known_keys(kind, path[:-1])
    return f"; known here are {', '.join(known)}" if known else ""


def _meant(name: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known are {', '.join(known)}" if known else ""


def _quotes(expected: str, said: object) -> str:
    # 1.0 is a number in YAML, and no is false.
    return "; put it in quotes" if expected == "string_type" and not isinstance(said, list | dict | None) else ""


def _shown(value: Any) -> str:  # Any: whatever the YAML says
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case _:
            return repr(value)[:80]
