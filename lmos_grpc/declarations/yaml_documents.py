"""The YAML documents of a file, each with the place of everything in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from lmos_grpc.declarations.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LARGEST_FILE = 4 * 1024 * 1024

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """One document: its plain values, and the tree that they were read from."""

    file: str
    node: yaml.Node
    value: Any  # Any: whatever the YAML says

    @property
    def where(self) -> str:
        """File and line, for people."""
        return f"{self.file}:{self.node.start_mark.line + 1}"

    def problem(self, path: Sequence[str | int], message: str, *, at_key: bool = False) -> Problem:
        """A problem with what is at the path, or where there is nothing with what is nearest to it."""
        mark = _mark(self.node, tuple(path), at_key=at_key)
        return Problem(self.file, mark.line + 1, mark.column + 1, message)


def yaml_documents(file: str, text: str) -> tuple[list[YamlDocument], list[Problem]]:
    """All documents that are not empty; what cannot be read is told, and not among them."""
    documents: list[YamlDocument] = []
    problems: list[Problem] = []
    try:
        for node in yaml.compose_all(text, Loader=yaml.SafeLoader):
            faults = list(_faults(node, file, set()))
            problems.extend(faults)
            if not faults:
                value = yaml.constructor.SafeConstructor().construct_document(node)
                if value is not None:
                    documents.extend(_unpacked(YamlDocument(file, node, value)))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        problems.append(Problem(file, line, column, f"no YAML: {' '.join(str(error.problem).split())}"))
    except RecursionError:
        problems.append(Problem(file, 0, 0, "no YAML that can be read: it is nested too deeply"))
    except (yaml.YAMLError, ValueError) as error:
        problems.append(Problem(file, 0, 0, f"no YAML: {' '.join(str(error).split())}"))
    return documents, problems


def _unpacked(document: YamlDocument) -> Iterator[YamlDocument]:
    """The items of a list as `kubectl get -o yaml` prints it; else the document itself."""
    value = document.value
    if not isinstance(value, dict) or value.get("kind") != "List" or not isinstance(value.get("items"), list):
        yield document
        return
    [items] = [node for key, node in document.node.value if key.value == "items"]
    for node, item in zip(items.value, value["items"], strict=True):
        yield YamlDocument(document.file, node, item)


def _faults(node: yaml.Node, file: str, seen: set[int]) -> Iterator[Problem]:
    """What YAML allows and no reader can be held to: keys that stand twice, and values that stand elsewhere."""
    if id(node) in seen:
        yield _at(node, file, "an alias (*) is not supported here: write the value out")
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _faults(item, file, seen)
    if isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                yield _at(key, file, "a key must be a plain word")
                continue
            if key.value in keys:
                yield _at(key, file, f"the key {key.value!r} stands twice: keep one")
            keys.add(key.value)
            yield from _faults(value, file, seen)


def _at(node: yaml.Node, file: str, message: str) -> Problem:
    return Problem(file, node.start_mark.line + 1, node.start_mark.column + 1, message)


def _mark(node: yaml.Node, path: Path, *, at_key: bool) -> yaml.Mark:
    mark = node.start_mark
    for number, step in enumerate(path):
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(step)), None)
            if found is None:
                break
            key, node = found
            mark = key.start_mark if at_key and number == len(path) - 1 else node.start_mark
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            mark = node.start_mark
        else:
            break
    return mark
