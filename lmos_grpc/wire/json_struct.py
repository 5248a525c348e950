"""JSON values on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

from lmos_grpc.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping


def struct_of(data: Mapping[str, Any]) -> Struct:  # Any: JSON values
    """JSON values as a Struct.

    Raises:
        google.protobuf.json_format.ParseError: the data is no JSON object.
    """
    return json_format.ParseDict(dict(data), Struct())


def json_of(struct: Struct) -> dict[str, Any]:  # Any: JSON values
    """The JSON values of a Struct.

    Raises:
        InvalidRequestError: a number in it is none of JSON's.
    """
    try:
        values: dict[str, Any] = json_format.MessageToDict(struct)
    except (json_format.Error, ValueError):  # one or the other, by the version of protobuf
        raise InvalidRequestError("data holds a number that JSON has not: NaN or infinity") from None
    return values
