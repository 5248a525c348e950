"""The requests of the demo, as they stand in their file."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import yaml

from lmos_grpc.domain.event import Outcome
from lmos_grpc.errors import InvalidConfigurationError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoRequest:
    """One turn: what is said by whom, and who is to answer how. The file's own comment says what each field means."""

    title: str
    text: str
    expect_agents: tuple[str, ...]
    expect_outcome: Outcome
    locale: str = "en"
    user: str = "C-1001"
    channel: str = "web"
    conversation: str = ""
    answer_option: str = ""
    cancel_after_events: int = 0


_FIELDS = {each.name for each in fields(DemoRequest)}


def read_requests(path: Path) -> tuple[DemoRequest, ...]:
    """The requests of a file, in their order.

    Raises:
        InvalidConfigurationError: it cannot be read, or a request is not as it should be.
    """
    try:
        entries = yaml.safe_load(path.read_text("utf-8"))["requests"]
    except (OSError, yaml.YAMLError, TypeError, KeyError) as error:
        raise InvalidConfigurationError(f"{path} holds no demo: expected `requests`, a list ({error})") from error
    return tuple(_request(entry, f"{path}, request {number}") for number, entry in enumerate(entries, 1))


def _request(entry: dict[str, object], where: str) -> DemoRequest:
    unknown = ", ".join(sorted(set(entry) - _FIELDS))
    if unknown:
        raise InvalidConfigurationError(f"{where}: unknown {unknown}; known are {', '.join(sorted(_FIELDS))}")
    try:
        return DemoRequest(
            title=str(entry["title"]),
            text=str(entry["text"]),
            expect_agents=tuple(map(str, _listed(entry["expect_agents"]))),
            expect_outcome=Outcome[str(entry["expect_outcome"])],
            locale=str(entry.get("locale", "en")),
            user=str(entry.get("user", "C-1001")),
            channel=str(entry.get("channel", "web")),
            conversation=str(entry.get("conversation", "")),
            answer_option=str(entry.get("answer_option", "")),
            cancel_after_events=int(str(entry.get("cancel_after_events", 0))),
        )
    except KeyError as error:
        raise InvalidConfigurationError(f"{where}: {error} is missing or not known") from error
    except ValueError as error:
        raise InvalidConfigurationError(f"{where}: {error}") from error


def _listed(value: object) -> list[object]:
    if not isinstance(value, list):
        raise ValueError("expect_agents is no list")  # noqa: TRY004 - a value in a file, not a type in the code
    return value
