"""Page tokens: opaque to the caller, and good only for the filters that they were made with (AIP-158)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import TYPE_CHECKING

from lmos_grpc.domain.card import AgentKey, is_version
from lmos_grpc.errors import InvalidPageTokenError

if TYPE_CHECKING:
    from collections.abc import Hashable

_LONGEST = 1_024


def token_after(last: AgentKey, filters: Hashable) -> str:
    """The token of the page that begins after `last`."""
    content = json.dumps([_digest(filters), last.name, last.version, last.subset])
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def key_from_token(token: str, filters: Hashable) -> AgentKey:
    """The key that the page before ended with.

    Raises:
        InvalidPageTokenError: the token is not ours, or was made with other filters.
    """
    match _content(token):
        case [str(digest), str(name), str(version), str(subset)] if digest == _digest(filters) and is_version(version):
            return AgentKey(name, version, subset)
        case _:
            raise InvalidPageTokenError(
                "page_token: not a token that this server gave for these filters; begin without one"
            )


def _content(token: str) -> object:
    if len(token) > _LONGEST:
        return None
    try:
        content: object = json.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        return None
    return content


def _digest(filters: Hashable) -> str:
    return hashlib.sha256(repr(filters).encode()).hexdigest()[:16]
