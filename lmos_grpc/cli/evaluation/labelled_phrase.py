"""Phrases with who should get them, from a CSV, TSV, JSON Lines or YAML file."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import yaml

from lmos_grpc.errors import InvalidConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class LabelledPhrase:
    """What somebody says, and who should get it: an agent, a capability, `agent/capability`, or `nobody`.

    An empty locale, tenant or channel is that of the command line.
    """

    text: str
    expected: str
    locale: str = ""
    tenant: str = ""
    channel: str = ""


_FIELDS = tuple(each.name for each in fields(LabelledPhrase))


def read_phrases(file: Path) -> tuple[LabelledPhrase, ...]:
    """All phrases of the file.

    Raises:
        InvalidConfigurationError: it cannot be read, or an entry is not one; the message names the entry.
    """
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfigurationError(f"cannot read {file}: {error}") from error
    try:
        entries = list(_entries(file.suffix.lower(), text))
    except (ValueError, TypeError, csv.Error, yaml.YAMLError) as error:
        raise InvalidConfigurationError(f"{file} is not what its name says: {' '.join(str(error).split())}") from error
    if not entries:
        raise InvalidConfigurationError(f"{file} has no phrases")
    return tuple(_phrase(entry, f"{file}, entry {number}") for number, entry in enumerate(entries, 1))


def _entries(suffix: str, text: str) -> Iterator[object]:
    match suffix:
        case ".csv" | ".tsv":
            yield from csv.DictReader(io.StringIO(text), delimiter="\t" if suffix == ".tsv" else ",", strict=True)
        case ".jsonl" | ".ndjson":
            yield from (json.loads(line) for line in text.splitlines() if line.strip())
        case ".yaml" | ".yml":
            read = yaml.safe_load(text)
            if not isinstance(read, list):
                raise TypeError("it has to be a list of entries with text and expected")
            yield from read
        case _:
            raise ValueError(f"{suffix or 'a file without an ending'} is not known; use .csv, .tsv, .jsonl or .yaml")


def _phrase(entry: object, where: str) -> LabelledPhrase:
    if not isinstance(entry, dict):
        raise InvalidConfigurationError(f"{where}: there is no text and expected")
    given = {str(name): value for name, value in entry.items() if value is not None}
    unknown = sorted(given.keys() - set(_FIELDS))
    if unknown:
        raise InvalidConfigurationError(f"{where}: {unknown[0]!r} is not known; the fields are {', '.join(_FIELDS)}")
    return _checked({name: str(value).strip() for name, value in given.items()}, where)


def _checked(given: Mapping[str, str], where: str) -> LabelledPhrase:
    for name in ("text", "expected"):
        if not given.get(name):
            raise InvalidConfigurationError(f"{where}: {name!r} is missing")
    return LabelledPhrase(**given)
