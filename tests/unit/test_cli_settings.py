from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lmos_grpc.cli.settings import Settings, load_settings
from lmos_grpc.cli.settings.environment import unknown_variables
from lmos_grpc.errors import InvalidConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(text: str, environment: Mapping[str, str] | None = None) -> Settings:
    Path("lmos.yaml").write_text(text, "utf-8")
    return load_settings(environment or {})


def test_without_a_file_the_defaults_work() -> None:
    loaded = load_settings({})
    assert loaded.mesh.edge == "127.0.0.1:8080"
    assert loaded.mesh.state.is_absolute()
    assert loaded.agents is None


def test_a_file_sets_values_of_every_kind() -> None:
    loaded = load(
        "mesh: {edge: '127.0.0.1:9090', insecure_listen: yes, state: here}\n"
        "telemetry:\n  record_text: true\n"
        "agents: [a.py, b.py]\n"
    )
    assert loaded.mesh.edge == "127.0.0.1:9090"
    assert loaded.mesh.insecure_listen
    assert loaded.mesh.state == Path("here")
    assert loaded.telemetry.record_text
    assert loaded.agents == ("a.py", "b.py")


def test_an_empty_file_is_fine() -> None:
    assert load("# nothing yet\n") == load_settings({})


def test_the_environment_wins_over_the_file_and_the_command_line_over_both() -> None:
    Path("lmos.yaml").write_text("mesh: {edge: 'file:1', internal: 'file:2', metrics: 'file:3'}\n", "utf-8")
    environment = {"LMOS_EDGE": "env:1", "LMOS_INTERNAL": "env:2", "LMOS_TENANT": ""}
    mesh = load_settings(environment, given={"mesh.edge": "given:1", "mesh.state": None}).mesh
    assert (mesh.edge, mesh.internal, mesh.metrics) == ("given:1", "env:2", "file:3")


def test_an_unknown_key_names_the_key_its_line_and_what_was_meant() -> None:
    with pytest.raises(InvalidConfigurationError, match=r"lmos\.yaml:3: unknown key 'egde' in `mesh`; .*'edge'"):
        load("mesh:\n  metrics: 'x:1'\n  egde: 'x:2'\n")


def test_an_unknown_section_names_the_ones_there_are() -> None:
    with pytest.raises(InvalidConfigurationError, match=r"lmos\.yaml:1: unknown key 'zzz'.*known are agents, caller"):
        load("zzz: 1\n")


def test_a_key_that_stands_twice_is_an_error() -> None:
    with pytest.raises(InvalidConfigurationError, match=r"lmos\.yaml:2: the key 'agents' stands twice"):
        load("agents: [a]\nagents: [b]\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n", r"lmos\.yaml:1: the file must be a mapping"),
        ("mesh: 3\n", r"lmos\.yaml:1: `mesh` must be a mapping"),
        ("mesh:\n  edge: [a, b]\n", r"lmos\.yaml:2: mesh\.edge takes one value"),
        ("mesh:\n  edge: {a: b}\n", r"lmos\.yaml:2: expected a plain value"),
        ("mesh:\n  insecure_listen: perhaps\n", r"lmos\.yaml:2: mesh\.insecure_listen is 'perhaps'; say true or false"),
        ("mesh: [\n", r"lmos\.yaml is no YAML"),
        ("model: {api_key: sk-1}\n", r"unknown key 'api_key' in `model`"),
    ],
)
def test_a_wrong_file_says_where_and_what(text: str, message: str) -> None:
    with pytest.raises(InvalidConfigurationError, match=message):
        load(text)


def test_a_file_that_is_asked_for_and_not_there_is_an_error() -> None:
    with pytest.raises(InvalidConfigurationError, match=r"cannot read other\.yaml: No such file"):
        load_settings({"LMOS_CONFIG": "other.yaml"})


def test_a_folder_is_settings_and_rules_in_one() -> None:
    folder = Path("mesh")
    (folder / "sub").mkdir(parents=True)
    (folder / "lmos.yaml").write_text("mesh: {fallback_agent: desk}\n", "utf-8")
    assert load_settings({}, file=folder).rules == ()
    (folder / "sub" / "channels.yml").write_text("kind: Channel\n", "utf-8")
    for loaded in (load_settings({}, file=folder), load_settings({"LMOS_CONFIG": "mesh"})):
        assert (loaded.mesh.fallback_agent, loaded.rules) == ("desk", ("mesh",))
    (folder / "lmos.yaml").write_text("rules: [elsewhere, too]\n", "utf-8")
    assert load_settings({}, file=folder).rules == ("elsewhere", "too")


def test_an_empty_folder_is_told_of_and_not_taken_for_one_without_rules() -> None:
    Path("mesh").mkdir()
    assert load_settings({}, file=Path("mesh")).rules == ("mesh",)


def test_in_a_folder_that_is_named_the_settings_of_this_one_do_not_count() -> None:
    Path("lmos.yaml").write_text("mesh: {fallback_agent: here}\n", "utf-8")
    Path("mesh").mkdir()
    assert load_settings({}, file=Path("mesh")).mesh.fallback_agent == ""


def test_the_model_key_never_prints() -> None:
    loaded = load_settings({"OPENAI_API_KEY": "sk-very-secret", "OPENAI_BASE_URL": "http://model"})
    assert loaded.model.api_key == "sk-very-secret"
    assert "sk-very-secret" not in repr(loaded)


def test_a_wrong_variable_is_named() -> None:
    with pytest.raises(InvalidConfigurationError, match="the environment variable LMOS_RECORD_TEXT"):
        load_settings({"LMOS_RECORD_TEXT": "maybe"})


def test_misspelt_variables_are_noticed() -> None:
    assert unknown_variables({"LMOS_EGDE": "x", "LMOS_EDGE": "x", "HOME": "x"}) == ("LMOS_EGDE",)


@given(st.text(max_size=200) | st.from_regex(r"(mesh|agents|caller|x):\n( {1,2}[a-z_]{1,8}: ?[^\n]{0,10}\n){0,3}"))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_file_holds_it_is_settings_or_an_error_of_ours(text: str) -> None:
    with suppress(InvalidConfigurationError):
        assert isinstance(load(text), Settings)
