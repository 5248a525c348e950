"""Finds the agent that `lmos agent run` was told of, in a file or in a module."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lmos_grpc.errors import InvalidConfigurationError
from lmos_grpc.sdk import Agent

if TYPE_CHECKING:
    from types import ModuleType

USUAL_NAME = "agent"
_MODULE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")


def load_agent(target: str) -> Agent:
    """The agent of `path/to/file.py`, `path/to/folder` (its agent.py) or `package.module`, each with `:name` or not.

    Without a name it is the one called `agent`, or the only agent that there is. What the code of the agent raises
    while it is loaded comes through as it is: its traceback is for its author.

    Raises:
        InvalidConfigurationError: there is no such file, module or agent.
    """
    place, _, name = target.rpartition(":") if ":" in target else (target, "", "")
    module = _module_of(place)
    if name:
        found = getattr(module, name, None)
        if not isinstance(found, Agent):
            raise InvalidConfigurationError(f"{place} has no agent {name!r}; {_known(module)}", target=target)
        return found
    agents = _agents_of(module)
    if USUAL_NAME in agents:
        return agents[USUAL_NAME]
    if len(agents) == 1:
        return next(iter(agents.values()))
    raise InvalidConfigurationError(f"which agent of {place}? Say {place}:NAME; {_known(module)}", target=target)


def _module_of(place: str) -> ModuleType:
    _make_importable(Path.cwd())
    path = Path(place)
    if path.is_dir():
        path /= "agent.py"
    if path.is_file():
        return _module_in(path.resolve())
    if place.endswith(".py") or not _MODULE.fullmatch(place):
        raise InvalidConfigurationError(f"there is no agent at {place}: no such file, folder or module", target=place)
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{place}.".startswith(f"{error.name}."):
            raise
        raise InvalidConfigurationError(f"there is no module {place}; looked in {Path.cwd()}", target=place) from error


def _module_in(path: Path) -> ModuleType:
    # As `python path/to/agent.py` does: what lies beside the file can be imported.
    _make_importable(path.parent)
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InvalidConfigurationError(f"{path} is no Python file; give agent.py or a module", target=str(path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _make_importable(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _agents_of(module: ModuleType) -> dict[str, Agent]:
    return {name: each for name, each in vars(module).items() if isinstance(each, Agent)}


def _known(module: ModuleType) -> str:
    names = ", ".join(_agents_of(module))
    return f"it has: {names}" if names else "it makes none (`agent = Agent(…)`)"
