from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lmos_grpc.cli.agent_loader import load_agent
from lmos_grpc.cli.mesh.sample_agents import agent_commands, sample_agents_folder
from lmos_grpc.errors import InvalidConfigurationError

MAKES = "from lmos_grpc import Agent\n{name} = Agent({agent!r}, version='1.0.0')\n"


@pytest.fixture(autouse=True)
def _fresh_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))


def write(path: str, text: str) -> None:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")


def test_an_agent_is_found_in_a_file_a_folder_and_a_module() -> None:
    write("desk/agent.py", MAKES.format(name="agent", agent="desk-agent"))
    targets = ("desk/agent.py", "desk", "desk.agent", "desk.agent:agent", "desk/agent.py:agent")
    assert [load_agent(target).name for target in targets] == ["desk-agent"] * 5


def test_the_only_agent_may_have_any_name() -> None:
    write("other.py", MAKES.format(name="my_agent", agent="my-agent"))
    assert load_agent("other.py").name == "my-agent"


def test_of_several_agents_one_has_to_be_named() -> None:
    write("two.py", MAKES.format(name="one", agent="one") + MAKES.format(name="two", agent="two"))
    with pytest.raises(InvalidConfigurationError, match=r"Say two\.py:NAME; it has: one, two"):
        load_agent("two.py")
    assert load_agent("two.py:two").name == "two"


def test_what_lies_beside_the_file_can_be_imported() -> None:
    write("desk/helper_of_desk.py", "NAME = 'desk-agent'\n")
    write("desk/agent.py", "from helper_of_desk import NAME\n" + MAKES.format(name="agent", agent="desk-agent"))
    assert load_agent("desk/agent.py").name == "desk-agent"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nowhere/agent.py", "no such file, folder or module"),
        ("no.such.module", "there is no module no.such.module"),
        ("empty.py", "it makes none"),
        ("empty.py:agent", "has no agent 'agent'; it makes none"),
    ],
)
def test_what_is_not_there_is_said(target: str, message: str) -> None:
    write("empty.py", "")
    with pytest.raises(InvalidConfigurationError, match=message):
        load_agent(target)


def test_a_missing_dependency_of_the_agent_is_its_own_error() -> None:
    write("needy.py", "import a_library_that_nobody_has\n")
    with pytest.raises(ModuleNotFoundError, match="a_library_that_nobody_has"):
        load_agent("needy")


def test_a_folder_of_agents_is_one_command_each_with_the_folder_above_importable() -> None:
    write("agents/billing/agent.py", "")
    write("agents/orders/agent.py", "")
    write("agents/shared/data.py", "")
    commands = agent_commands(["agents"], options=("--mesh", "x"), environment={})
    assert [each.name for each in commands] == ["billing", "orders"]
    assert {each.folder for each in commands} == {Path.cwd()}
    [one] = agent_commands(["agents/billing"], options=(), environment={})
    assert one.target.endswith("agents/billing/agent.py")


def test_files_and_modules_are_started_where_we_are() -> None:
    commands = agent_commands(["desk.py:agent", "package.module"], options=(), environment={})
    assert [(each.name, each.target) for each in commands] == [
        ("desk", "desk.py:agent"),
        ("package", "package.module"),
    ]


def test_a_folder_without_agents_is_an_error() -> None:
    Path("empty").mkdir()
    with pytest.raises(InvalidConfigurationError, match="there are no agents in empty"):
        agent_commands(["empty"], options=(), environment={})


def test_in_a_checkout_the_sample_agents_are_the_default() -> None:
    assert sample_agents_folder() is not None
    names = {each.name for each in agent_commands(None, options=(), environment={})}
    assert "billing" in names
