"""Page tokens: where the next page of turns begins, as text that callers do not look into."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

from lmos_grpc.errors import InvalidPageTokenError

_MARK = "turns:"
_END = 2**63


def page_token_after(place: int) -> str:
    """The token of the page after the turn with this place in the log."""
    return urlsafe_b64encode(f"{_MARK}{place}".encode()).decode()


def place_of(token: str) -> int:
    """The place after which the page begins; 0 for no token.

    Raises:
        InvalidPageTokenError: the token is none that `page_token_after` made.
    """
    if not token:
        return 0
    try:
        after = int(urlsafe_b64decode(token).decode().removeprefix(_MARK))
    except ValueError:
        after = 0
    if not 0 < after < _END or page_token_after(after) != token:
        raise InvalidPageTokenError("the page token is none that this server made: begin again without one")
    return after
