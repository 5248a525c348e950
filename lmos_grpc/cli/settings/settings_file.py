"""The strict YAML file: an unknown key is an error that names the key and its line."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from lmos_grpc.errors import InvalidConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Entry:
    """A value as it stands in the file: text, or a list of texts, and where (`lmos.yaml:3`)."""

    value: str | tuple[str, ...]
    where: str


def read_file(path: Path, known: Mapping[str, Iterable[str]]) -> dict[str, Entry]:
    """The entries of a file by setting (`mesh.edge`). `known` maps each section to its keys, and "" to the others.

    Raises:
        InvalidConfigurationError: the file cannot be read, is no YAML mapping, or has a key that is not known.
    """
    try:
        with path.open(encoding="utf-8") as stream:
            root = yaml.compose(stream, Loader=yaml.SafeLoader)
    except OSError as error:
        raise InvalidConfigurationError(f"cannot read {path}: {error.strerror}", file=str(path)) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidConfigurationError(f"{path} is no YAML: {_one_line(error)}", file=str(path)) from error
    return dict(_entries(root, str(path), known)) if root is not None else {}


def _entries(root: yaml.Node, path: str, known: Mapping[str, Iterable[str]]) -> Iterator[tuple[str, Entry]]:
    sections = [*(name for name in known if name), *known[""]]
    for name, node, where in _members(root, path, "the file", sections):
        if name in known:
            for key, value, line in _members(node, path, f"`{name}`", known[name]):
                yield f"{name}.{key}", _entry(value, line)
        else:
            yield name, _entry(node, where)


def _members(node: yaml.Node, path: str, place: str, known: Iterable[str]) -> Iterator[tuple[str, yaml.Node, str]]:
    where = f"{path}:{node.start_mark.line + 1}"
    if not isinstance(node, yaml.MappingNode):
        raise InvalidConfigurationError(f"{where}: {place} must be a mapping of keys to values", where=where)
    allowed, seen = list(known), set()
    for key_node, value in node.value:
        key, line = str(key_node.value), f"{path}:{key_node.start_mark.line + 1}"
        if key not in allowed:
            raise InvalidConfigurationError(f"{line}: unknown key {key!r} in {place}; {_advice(key, allowed)}")
        if key in seen:
            raise InvalidConfigurationError(f"{line}: the key {key!r} stands twice in {place}; keep one")
        seen.add(key)
        yield key, value, line


def _entry(node: yaml.Node, where: str) -> Entry:
    match node:
        case yaml.ScalarNode(value=str(value)):
            return Entry(value, where)
        case yaml.SequenceNode(value=[*items]) if all(isinstance(each, yaml.ScalarNode) for each in items):
            return Entry(tuple(each.value for each in items), where)
        case _:
            raise InvalidConfigurationError(f"{where}: expected a plain value or a list of plain values", where=where)


def _advice(key: str, allowed: list[str]) -> str:
    close = difflib.get_close_matches(key, allowed, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(allowed))}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
