"""Which agents a mesh starts, and how."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lmos_grpc.cli.mesh.agent_process import AgentCommand
from lmos_grpc.errors import InvalidConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_FILE = "agent.py"


def sample_agents_folder() -> Path | None:
    """The sample agents of the checkout that this code runs from; None where it is installed without them."""
    folder = Path(__file__).resolve().parents[3] / "agents"
    return folder if any(folder.glob(f"*/{_FILE}")) else None


def agent_commands(
    targets: Iterable[str] | None, *, options: tuple[str, ...], environment: Mapping[str, str]
) -> tuple[AgentCommand, ...]:
    """How to start the agents of these targets: folders of agents, files or modules. None: the sample agents.

    Raises:
        InvalidConfigurationError: a folder has no agents in it.
    """
    if targets is None:
        samples = sample_agents_folder()
        targets = (str(samples),) if samples else ()
    places = [place for target in targets for place in _places(target)]
    return tuple(AgentCommand(name, place, folder, options, environment) for name, place, folder in places)


def _places(target: str) -> Iterator[tuple[str, str, Path]]:
    path = Path(target)
    if not path.is_dir():
        file = Path(target.rpartition(":")[0] or target)
        name = file.parent.name if file.name == _FILE else file.stem
        yield name or target, target, Path.cwd()
        return
    found = [path] if (path / _FILE).is_file() else sorted(each.parent for each in path.glob(f"*/{_FILE}"))
    if not found:
        raise InvalidConfigurationError(f"there are no agents in {path}: expected {path}/{_FILE} or {path}/*/{_FILE}")
    for each in found:
        # Agents that share code import it from the folder above their own.
        root = each.resolve().parent.parent
        yield each.name, str((each / _FILE).resolve()), root
