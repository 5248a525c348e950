"""What a single value of a document may be: names, versions, ranges, times, addresses, texts by language."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from lmos_grpc.declarations.ivy_range import npm_range
from lmos_grpc.domain.card import is_label, is_version
from lmos_grpc.domain.version_range import VersionRange

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m)")
_UNITS = {"ms": timedelta(milliseconds=1), "s": timedelta(seconds=1), "m": timedelta(minutes=1)}
_UNKNOWN_LANGUAGE = "und"  # BCP 47


def label(text: str) -> str:
    """The text, where it is a DNS label; else ValueError."""
    if not is_label(text):
        raise ValueError(f"{text!r} is no DNS label: lower-case letters, digits and dashes, a letter first, at most 63")
    return text


def _version(text: str) -> str:
    if not is_version(text):
        raise ValueError(f"{text!r} is no semantic version: give three numbers, such as 1.0.0")
    return text


def _range(text: str) -> str:
    try:
        return VersionRange(npm_range(text)).text
    except ValueError:
        raise ValueError(
            f"{text!r} is no range of versions: give one as npm does, such as ^1.2.0 or >=1.0.0 <3"
        ) from None


def _duration(text: str) -> str:
    found = _DURATION.fullmatch(text)
    if not found or not float(found[1]):
        raise ValueError(f"{text!r} is no time: give a number with ms, s or m, such as 30s")
    return text


def _address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:  # noqa: PLR2004 - the last port
        raise ValueError(f"{text!r} is no address: give HOST:PORT, such as 10.0.0.7:50051")
    return text


def _by_language(value: object) -> object:
    """What is given without a language is of one that is not known."""
    return {_UNKNOWN_LANGUAGE: value} if isinstance(value, str | list) else value


def duration(text: str | None) -> timedelta | None:
    """A time as it stands in a document; None stays None."""
    found = _DURATION.fullmatch(text or "")
    return float(found[1]) * _UNITS[found[2]] if found else None


Label = Annotated[str, AfterValidator(label)]
Version = Annotated[str, AfterValidator(_version)]
Range = Annotated[str, AfterValidator(_range)]
Duration = Annotated[str, AfterValidator(_duration), Field(examples=["30s"])]
Address = Annotated[str, AfterValidator(_address)]
# What travels as a header: tenants, channels.
Id = Annotated[str, Field(pattern=r"^[!-+\--~]{1,128}$")]
ChannelId = Annotated[str, Field(pattern=r"^[!-+\--~]{1,128}$", description="A channel, or * for all.")]
Phrase = Annotated[str, Field(min_length=1, max_length=500)]
Texts = Annotated[dict[str, Phrase], BeforeValidator(_by_language, json_schema_input_type=str | dict[str, Phrase])]
Examples = Annotated[
    dict[str, list[Phrase]],
    BeforeValidator(_by_language, json_schema_input_type=list[Phrase] | dict[str, list[Phrase]]),
]
Share = Annotated[float, Field(ge=0, le=1)]
