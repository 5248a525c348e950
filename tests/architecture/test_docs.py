"""The guides tell the truth: what they have to name they name, and what they name exists."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from lmos.agent.v1 import agent_event_pb2
from lmos.error.v1 import error_pb2

from lmos_grpc import errors
from lmos_grpc.cli.app import lmos
from lmos_grpc.cli.settings.environment import CONFIG_VARIABLE, VARIABLES
from lmos_grpc.cli.settings.load import known_keys
from lmos_grpc.domain.event import Outcome
from lmos_grpc.domain.failure import Reason
from lmos_grpc.errors import LmosError
from lmos_grpc.telemetry import Metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "agents" / "README.md"])
BY_NAME = {str(page.relative_to(ROOT)): page for page in PAGES}
ERRORS = {each.reason: each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, LmosError)}

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"`([a-z_]+(?:/[a-z_]+)+\.(?:py|yaml))`")
_TEST = re.compile(r"`(test_\w+)`")


def text_of(page: str) -> str:
    return BY_NAME[page].read_text("utf-8")


def prose_of(text: str) -> str:
    return _BLOCK.sub("", text)


def commands(group: click.Group, path: tuple[str, ...] = ("lmos",)) -> Iterator[str]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield " ".join((*path, name))
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def anchors_of(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", prose_of(page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def python_blocks() -> list[tuple[str, str]]:
    return [
        (name, code)
        for name, page in BY_NAME.items()
        for language, code in _BLOCK.findall(page.read_text("utf-8"))
        if language == "python"
    ]


@pytest.mark.parametrize("name", [each for each in error_pb2.ErrorReason.keys() if not each.endswith("_UNSPECIFIED")])  # noqa: SIM118 # an enum of Protobuf is no dictionary
def test_every_reason_stands_in_the_table_of_errors_with_its_code(name: str) -> None:
    reason = Reason[name.removeprefix("ERROR_REASON_")]
    assert f"| `{reason.name}` | {ERRORS[reason].code.name} |" in text_of("docs/caller.md")


def test_every_event_and_outcome_is_told_to_callers() -> None:
    kinds = [field.name for field in agent_event_pb2.AgentEvent.DESCRIPTOR.oneofs_by_name["event"].fields]
    page = text_of("docs/caller.md")
    assert [kind for kind in kinds if f"`{kind}`" not in page] == []
    # HANDED_OVER is never seen by callers; the last three belong to live sessions that are still to come.
    unseen = {"UNSPECIFIED", "HANDED_OVER", "INTERRUPTED", "TRANSFERRED", "SESSION_ENDED"}
    assert [each.name for each in Outcome if each.name not in unseen and f"`{each.name}`" not in page] == []


@pytest.mark.parametrize("command", list(commands(lmos)))
def test_every_command_is_named_in_the_readme_or_in_the_guide_for_operators(command: str) -> None:
    parent, _, name = command.rpartition(" ")
    page = text_of("README.md") + text_of("docs/operator.md")
    assert command in page or f"`{parent}` (`{name}`" in page or f"`{parent}` (`show`, `{name}`)" in page


def test_every_key_and_variable_of_the_configuration_is_in_the_guide_for_operators() -> None:
    page = text_of("docs/operator.md")
    keys = [f"{section}.{key}" if section else key for section, keys in known_keys().items() for key in keys]
    names = [*keys, *VARIABLES, CONFIG_VARIABLE]
    assert [name for name in names if f"`{name}`" not in page] == []


def test_every_metric_is_in_the_guide_for_operators() -> None:
    page = text_of("docs/operator.md")
    names = {family.name for family in Metrics().registry.collect()}
    assert [name for name in sorted(names) if name not in page] == []


@pytest.mark.parametrize("page", BY_NAME)
def test_every_relative_link_leads_somewhere(page: str) -> None:
    place = BY_NAME[page]
    broken = []
    for link in _LINK.findall(prose_of(text_of(page))):
        target, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        file = (place.parent / target).resolve() if target else place
        if not file.exists() or (anchor and anchor not in anchors_of(file)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize(("page", "code"), python_blocks(), ids=lambda each: each if "/" in each else "")
def test_every_example_in_python_is_python_and_imports_what_exists(page: str, code: str) -> None:
    del page
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lmos"):
            module = importlib.import_module(node.module or "")
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


def test_the_page_on_the_architecture_names_files_and_tests_that_exist() -> None:
    page = text_of("docs/architecture.md")
    files = [
        name for name in _FILE.findall(page) if not any((base / name).is_file() for base in (ROOT, ROOT / "lmos_grpc"))
    ]
    sources = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    tests = [name for name in _TEST.findall(page) if f"def {name}(" not in sources]
    assert (files, tests) == ([], [])


@pytest.mark.parametrize("page", BY_NAME)
def test_no_page_names_a_place_on_its_authors_machine(page: str) -> None:
    assert re.findall(r"/(?:work|tmp|root)/\S*", text_of(page)) == []
