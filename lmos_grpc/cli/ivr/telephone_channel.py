"""What the commands of telephony make of the options of all callers."""

from __future__ import annotations

from lmos_grpc.cli.settings import CallerSection

_TELEPHONE = "ivr"


def telephone_channel(channel: str) -> str:
    """The channel of telephone calls: the default of a command line is a browser's."""
    return _TELEPHONE if channel == CallerSection().channel else channel
