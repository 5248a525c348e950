"""Reads files and folders of declarations into the rules of a mesh, or tells all that is wrong with them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING

from lmos_grpc.declarations.checks import checked
from lmos_grpc.declarations.declared import agent_of, channel_of, tenant_of
from lmos_grpc.declarations.document_schema import AgentDocument, ChannelDocument, TenantDocument
from lmos_grpc.declarations.problem import Problem
from lmos_grpc.declarations.references import Declarations, broken_references
from lmos_grpc.declarations.yaml_documents import LARGEST_FILE, yaml_documents
from lmos_grpc.domain.rules import Rules
from lmos_grpc.errors import InvalidConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lmos_grpc.declarations.yaml_documents import YamlDocument
    from lmos_grpc.domain.channel import Channel
    from lmos_grpc.domain.declared_agent import DeclaredAgent
    from lmos_grpc.domain.tenant import Tenant

SUFFIXES = (".yaml", ".yml")
# The settings of the command line may lie in the same folder.
NOT_A_DECLARATION = "lmos.yaml"
_MOST_TOLD = 10


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read: the rules, or the problems, of which there is then at least one."""

    rules: Rules
    problems: tuple[Problem, ...]
    files: int

    @property
    def summary(self) -> str:
        """What is declared, in a few words."""
        channels = {channel.name for by_subset in self.rules.channels.values() for channel in by_subset.values()}
        agents = sum(map(len, self.rules.agents.values()))
        return f"{len(self.rules.tenants)} tenants, {len(channels)} channels, {agents} agents"

    def sound_rules(self) -> Rules:
        """The rules.

        Raises:
            InvalidConfigurationError: there are problems; the message tells the first of them.
        """
        if not self.problems:
            return self.rules
        told = "; ".join(map(str, self.problems[:_MOST_TOLD]))
        more = len(self.problems) - _MOST_TOLD
        raise InvalidConfigurationError(f"{told}{f'; and {more} more' if more > 0 else ''}")


def read_rules(paths: Sequence[Path]) -> Reading:
    """Reads all files, and all that lie in the folders, except hidden ones and `lmos.yaml`."""
    tenants: list[tuple[Tenant, YamlDocument]] = []
    channels: list[tuple[Channel, YamlDocument]] = []
    agents: list[tuple[DeclaredAgent, YamlDocument]] = []
    problems: list[Problem] = []
    files = list(declaration_files(paths))
    for path in files:
        documents, faults = _documents(path)
        problems.extend(faults)
        for document in documents:
            found, faults = checked(document)
            problems.extend(faults)
            match found:
                case TenantDocument():
                    tenants.append((tenant_of(found, document.where), document))
                case ChannelDocument():
                    channels.append((channel_of(found, document.where), document))
                case AgentDocument():
                    agents.append((agent_of(found, document.where), document))
    problems.extend(broken_references(Declarations(tenants, channels, agents), whole=not problems))
    rules = Rules.of((each for each, _ in tenants), (each for each, _ in channels), (each for each, _ in agents))
    if not problems and not (tenants or channels or agents):
        # Rules that are gone are no reason to let everybody do everything.
        problems.append(
            Problem(", ".join(map(str, paths)), 0, 0, "nothing is declared here: no Tenant, Channel or Agent")
        )
    return Reading(rules, tuple(sorted(problems)), len(files))


def declaration_files(paths: Iterable[Path]) -> Iterator[Path]:
    """The files, and those in the folders, in the order of their names; what cannot be read is among them as it is."""
    for path in paths:
        yield from sorted(_in_folder(path)) if os.path.isdir(path) else (path,)  # noqa: PTH112 - Path.is_dir raises


def _in_folder(folder: Path) -> Iterator[Path]:
    unreadable: list[OSError] = []
    for place, folders, files in os.walk(folder, onerror=unreadable.append):
        folders[:] = [each for each in folders if not each.startswith(".")]
        for name in files:
            if name.endswith(SUFFIXES) and not name.startswith(".") and name != NOT_A_DECLARATION:
                yield Path(place, name)
    # A folder that cannot be listed is told of like a file that cannot be read, and not taken for an empty one.
    yield from (Path(each.filename) for each in unreadable)


def _documents(path: Path) -> tuple[list[YamlDocument], list[Problem]]:
    try:
        known = path.stat()
        if not S_ISREG(known.st_mode):
            return [], [Problem(str(path), 0, 0, "is no file that can be read")]
        if known.st_size > LARGEST_FILE:
            return [], [Problem(str(path), 0, 0, f"is larger than {LARGEST_FILE} bytes: split it")]
        return yaml_documents(str(path), path.read_text("utf-8"))
    except UnicodeDecodeError:
        return [], [Problem(str(path), 0, 0, "is no text in UTF-8")]
    except OSError as error:
        return [], [Problem(str(path), 0, 0, f"cannot be read: {error.strerror}")]
