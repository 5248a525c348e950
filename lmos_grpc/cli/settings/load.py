"""Settings from defaults, then the file, then the environment, then the command line: the later one wins."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lmos_grpc.cli.settings.environment import CONFIG_VARIABLE, settings_in
from lmos_grpc.cli.settings.settings import Settings
from lmos_grpc.cli.settings.settings_file import Entry, read_file
from lmos_grpc.errors import InvalidConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_FILE = Path("lmos.yaml")
_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
# A file is shown, copied and committed; a key is not.
_NOT_IN_FILE = {"api_key"}
_LISTS = {"agents", "rules"}

Value = str | bool | Path | tuple[str, ...]


def load_settings(
    environment: Mapping[str, str], *, file: Path | None = None, given: Mapping[str, Value | None] | None = None
) -> Settings:
    """The settings; `given` are those of the command line by name (`mesh.edge`), None where not said.

    Where `file` is a folder, the settings are `lmos.yaml` in it, and the other YAML files in it are the rules.

    Raises:
        InvalidConfigurationError: the file or a variable is wrong.
    """
    named = file or (Path(environment[CONFIG_VARIABLE]) if environment.get(CONFIG_VARIABLE) else None)
    settings = Settings(rules=_rules_in(named) if named and named.is_dir() else ())
    found = _settings_file(named)
    entries = read_file(found, known_keys()) if found else {}
    for name, entry in entries.items():
        settings = _with(settings, name, _parsed(settings, name, entry))
    for variable, name, text in settings_in(environment):
        settings = _with(settings, name, _parsed(settings, name, Entry(text, f"the environment variable {variable}")))
    for name, value in (given or {}).items():
        if value is not None:
            settings = _with(settings, name, value)
    return replace(settings, mesh=replace(settings.mesh, state=settings.mesh.state.expanduser()))


def known_keys() -> dict[str, tuple[str, ...]]:
    """Every key that a file may hold, by section; "" stands for the keys outside of sections."""
    known: dict[str, tuple[str, ...]] = {"": ()}
    for each in fields(Settings):
        section = getattr(Settings(), each.name)
        if is_dataclass(section):
            known[each.name] = tuple(key.name for key in fields(section) if key.name not in _NOT_IN_FILE)
        else:
            known[""] += (each.name,)
    return known


def _settings_file(named: Path | None) -> Path | None:
    """The file of settings. One that was named has to be there; one that is only looked for need not."""
    if named and not named.is_dir():
        return named
    looked_for = named / DEFAULT_FILE if named else DEFAULT_FILE
    return looked_for if looked_for.is_file() else None


def _rules_in(folder: Path) -> tuple[str, ...]:
    # A folder with nothing in it is to be told of, and not to be taken for one without rules.
    files = {each.relative_to(folder) for each in folder.rglob("*.y*ml")}
    return () if files == {DEFAULT_FILE} else (str(folder),)


def _parsed(settings: Settings, name: str, entry: Entry) -> Value:
    if name in _LISTS:
        return entry.value if isinstance(entry.value, tuple) else (entry.value,)
    if isinstance(entry.value, tuple):
        raise InvalidConfigurationError(f"{entry.where}: {name} takes one value, not a list")
    section, _, key = name.partition(".")
    match getattr(getattr(settings, section), key):
        case bool():
            if entry.value.lower() not in _BOOLEANS:
                raise InvalidConfigurationError(f"{entry.where}: {name} is {entry.value!r}; say true or false")
            return _BOOLEANS[entry.value.lower()]
        case Path():
            return Path(entry.value)
        case _:
            return entry.value


def _with(settings: Settings, name: str, value: Value) -> Settings:
    section, _, key = name.partition(".")
    if not key:
        return replace(settings, **{section: value})  # type: ignore[arg-type] # the keys are the fields of the class
    return replace(settings, **{section: replace(getattr(settings, section), **{key: value})})
