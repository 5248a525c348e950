"""Files of tenants, channels and agents: what they say is read, and what is wrong with them is told, with its place."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from lmos_grpc.cli.app import run_command
from lmos_grpc.declarations import json_schema, read_rules
from lmos_grpc.declarations.ivy_range import npm_range
from lmos_grpc.domain.card import AgentKey
from lmos_grpc.domain.channel import Thresholds, VersionPick
from lmos_grpc.domain.turn import Lane, StrategyKind
from lmos_grpc.domain.version_range import VersionRange
from lmos_grpc.errors import InvalidConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from lmos_grpc.domain.channel import Channel
    from lmos_grpc.domain.rules import Rules

WHOLE = """
kind: Tenant
metadata: {name: acme}
spec:
  channels: [web]
  defaultLocale: de-DE
  subsetOverride: true
  limits: {maxBranches: 3, turnBudget: 1.5s}
---
kind: Channel
metadata: {name: acme-web}
spec:
  channel: web
  tenants: [acme]
  policy: strict
  requiredCapabilities:
    - {name: explain-bill, version: ^1.2.0, strategy: MOST_SIMILAR}
    - {id: track-order}
  weights: {stable: 90, canary: 10}
  fallback: {agent: concierge-agent, text: {en: Sorry., de: Leider nein.}}
  strategy: first
  thresholds: {accept: 0.6, clearOdds: 2}
  lane: express
  durable: true
  turnBudget: 2m
  handover: false
---
kind: Agent
metadata: {name: billing-agent, labels: {version: 1.0.0, subset: canary}}
spec:
  address: 10.0.0.7:50051
  description: Explains bills.
  locales: [de]
  supportedTenants: [acme]
  supportedChannels: ["*"]
  providedCapabilities:
    - {name: Explain a bill, id: explain-bill, version: 1.2.0, examples: {de: [warum so teuer]}}
"""
# As `kubectl get -o yaml` prints a resource of Eclipse LMOS.
LMOS_CHANNEL = """
apiVersion: lmos.eclipse/v1
kind: Channel
metadata:
  annotations: {note: ours}
  creationTimestamp: "2024-07-23T13:15:25Z"
  generation: 1
  labels:
    app.kubernetes.io/managed-by: Helm
    channel: web
    subset: stable
    tenant: acme
    version: 1.0.0
  name: acme-web-stable
  namespace: default
  resourceVersion: "8"
  uid: 00000000-0000-0000-0000-000000000055
spec:
  requiredCapabilities:
    - name: view-contract
      version: ">=1.0.0"
      strategy: HIGHEST
    - id: old-id
      name: download-contract
      version: "[1.0,2.0["
status:
  resolveStatus: UNRESOLVED
  unresolvedRequiredCapabilities: []
"""
LMOS_AGENT = """
apiVersion: lmos.eclipse/v1
kind: Agent
metadata:
  name: contract-agent
  labels: {version: 1.0.0, subset: stable, lmos-agent: "true"}
spec:
  id: contract-agent
  description: This is the contract agent description
  supportedTenants: [acme]
  supportedChannels: [web]
  providedCapabilities:
    - name: view-contract
      version: 1.2.0
      description: Capability to view contract
      examples: [show me my contract, what did I sign]
"""


def written(folder: Path, text: str, name: str = "rules.yaml") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    return file


def rules_of(folder: Path, text: str) -> Rules:
    return read_rules([written(folder, text)]).sound_rules()


def problems_of(folder: Path, text: str) -> list[str]:
    return [f"{each.line}:{each.column}: {each.message}" for each in read_rules([written(folder, text)]).problems]


def only_channel(rules: Rules) -> Channel:
    [by_subset] = rules.channels.values()
    [channel] = by_subset.values()
    return channel


def test_everything_that_a_file_can_say_is_read(tmp_path: Path) -> None:
    rules = rules_of(tmp_path, WHOLE)
    tenant = rules.tenants["acme"]
    assert (tenant.channels, tenant.default_locale, tenant.subset_override) == (frozenset({"web"}), "de-DE", True)
    assert (tenant.max_branches, tenant.turn_budget) == (3, timedelta(seconds=1.5))
    channel = only_channel(rules)
    assert rules.channels_at("acme", "web") == {"stable": channel}
    assert (channel.strict, channel.weights, channel.fallback_agent) == (
        True,
        {"stable": 90, "canary": 10},
        "concierge-agent",
    )
    assert [(each.name, each.versions.text, each.pick) for each in channel.required or ()] == [
        ("explain-bill", "^1.2.0", VersionPick.MOST_SIMILAR),
        ("track-order", "", VersionPick.HIGHEST),
    ]
    assert (channel.strategy, channel.lane, channel.durable) == (StrategyKind.FIRST, Lane.EXPRESS, True)
    assert channel.thresholds == Thresholds(accept=0.6, clear_odds=2)
    assert (channel.turn_budget, channel.may_hand_over) == (timedelta(minutes=2), False)
    assert channel.fallback_texts == {"en": "Sorry.", "de": "Leider nein."}
    [agent] = rules.declared(AgentKey("billing-agent", "1.0.0", "canary"))
    assert (agent.address, agent.tenants, agent.card.locales) == ("10.0.0.7:50051", frozenset({"acme"}), ("de",))
    [capability] = agent.card.capabilities
    assert (capability.id, capability.name, capability.examples) == (
        "explain-bill",
        "Explain a bill",
        {"de": ("warum so teuer",)},
    )
    assert [each.where for each in (tenant, channel, agent)] == [
        f"{tmp_path}/rules.yaml:{line}" for line in (2, 10, 28)
    ]


def test_resources_of_eclipse_lmos_load_as_they_are(tmp_path: Path) -> None:
    rules = rules_of(tmp_path, f"{LMOS_CHANNEL}---{LMOS_AGENT}")
    channel = only_channel(rules)
    assert rules.channels_at("acme", "web") == {"stable": channel}
    assert [str(each) for each in channel.required or ()] == [
        "view-contract >=1.0.0",
        "download-contract >=1.0.0 <2.0.0",
    ]
    assert not channel.strict
    [agent] = rules.declared(AgentKey("contract-agent", "1.0.0"))
    assert (agent.tenants, agent.channels) == (frozenset({"acme"}), frozenset({"web"}))
    assert agent.card.capabilities[0].examples == {"und": ("show me my contract", "what did I sign")}


def test_a_list_as_kubectl_prints_it_is_unpacked_and_keeps_its_places(tmp_path: Path) -> None:
    items = "".join(f"- {text.strip().replace(chr(10), chr(10) + '  ')}\n" for text in (LMOS_CHANNEL, LMOS_AGENT))
    rules = rules_of(tmp_path, f"apiVersion: v1\nkind: List\nmetadata: {{resourceVersion: ''}}\nitems:\n{items}")
    assert only_channel(rules).where.endswith("rules.yaml:5")
    assert set(rules.agents) == {"contract-agent"}
    [problem] = problems_of(tmp_path, "kind: List\nitems:\n- kind: Tenant\n  metadata: {nmae: a, name: b}")
    assert problem.startswith("4:14: unknown key 'nmae' in `metadata`; did you mean 'name'?")


def test_an_agent_of_lmos_without_channels_may_be_reached_over_none(tmp_path: Path) -> None:
    rules = rules_of(tmp_path, LMOS_AGENT.replace("supportedChannels: [web]", "supportedChannels: []"))
    [agent] = rules.agents["contract-agent"]
    assert not agent.serves_channel("web")


@pytest.mark.parametrize(
    ("ivy", "takes", "refuses"),
    [
        ("[1.0,2.0]", "2.0.0", "2.0.1"),
        ("[1.0,2.0[", "1.9.9", "2.0.0"),
        ("]1.0,2.0]", "1.0.1", "1.0.0"),
        ("[1.0,)", "9.0.0", "0.9.0"),
        ("(,2.0]", "0.1.0", "2.1.0"),
        ("1.+", "1.7.0", "2.0.0"),
        ("1.2.+", "1.2.9", "1.3.0"),
        (" ^1.0.0 ", "1.5.0", "2.0.0"),
    ],
)
def test_ranges_of_apache_ivy_are_understood(ivy: str, takes: str, refuses: str) -> None:
    versions = VersionRange(npm_range(ivy))
    assert (versions.takes(takes), versions.takes(refuses)) == (True, False)


@pytest.mark.parametrize("latest", ["latest.release", "latest.integration", "[,]", "+"])
def test_an_ivy_range_without_bounds_takes_every_release(latest: str) -> None:
    assert VersionRange(npm_range(latest)).takes("7.0.0")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "kind: Tenant\nmetadata: {name: a}\nspec: {channls: [web]}",
            "3:8: unknown key 'channls' in `spec`; did you mean 'channels'?",
        ),
        (
            "kind: Tenant\nmetadata: {name: a}\nspcs: {}",
            "3:1: unknown key 'spcs' in the document; did you mean 'spec'?",
        ),
        (
            "kind: Tenant\nspec: {}",
            "1:1: `metadata` is missing; known here are apiVersion, metadata, status, kind, spec",
        ),
        ("kind: Tenant\nmetadata: {}", "2:11: `metadata.name` is missing; known here are"),
        ("kind: Tenant\nmetadata: {name: no}", "2:18: `metadata.name` must be text, not false; put it in quotes"),
        ("kind: Tenant\nmetadata: {name: A_b}", "2:18: `metadata.name`: 'A_b' is no DNS label"),
        ("kind: Tenant\nmetadata: {name: a}\nspec: {channels: web}", "3:18: `spec.channels` must be a list, not 'web'"),
        (
            "kind: Tenant\nmetadata: {name: a}\nspec: {channels: [a b]}",
            "3:19: `spec.channels.0` is 'a b': use up to 128",
        ),
        ("kind: Tenant\nmetadata: {name: a}\nspec: [1]", "3:7: `spec` must be a mapping of keys to values, not a list"),
        (
            "kind: Tenant\nmetadata: {name: a}\nspec: {limits: {maxBranches: 99}}",
            "3:30: `spec.limits.maxBranches` is 99: input should be less",
        ),
        (
            "kind: Tenant\nmetadata: {name: a}\nspec: {limits: {turnBudget: soon}}",
            "3:29: `spec.limits.turnBudget`: 'soon' is no time",
        ),
        (
            "kind: Tenant\nmetadata: {name: a}\nspec: {limits: {turnBudget: 0s}}",
            "3:29: `spec.limits.turnBudget`: '0s' is no time",
        ),
        (
            "kind: Channel\nmetadata: {name: a}\nspec:\n  policy: lax",
            "4:11: `spec.policy` is 'lax'; say 'partial' or 'strict'",
        ),
        (
            "kind: Channel\nmetadata: {name: a}\nspec:\n  lane: off",
            "4:9: `spec.lane` is false; say 'auto', 'managed' or 'express'",
        ),
        (
            "kind: Channel\nmetadata: {name: a}\nspec:\n  durable: maybe",
            "4:12: `spec.durable` must be true or false, not 'maybe'",
        ),
        ("kind: Channel\nmetadata: {name: a}\nspec:\n  weights: {stable: 0}", "4:3: `spec`: `weights` are all 0"),
        (
            "kind: Channel\nmetadata: {name: a}\nspec:\n  requiredCapabilities:\n  - version: 1.0.0",
            "5:5: `spec.requiredCapabilities.0`: it says neither `name` nor `id`",
        ),
        (
            "kind: Channel\nmetadata: {name: a}\nspec:\n  requiredCapabilities:\n  - {name: a, version: newest}",
            "5:24: `spec.requiredCapabilities.0.version`: 'newest' is no range of versions",
        ),
        (
            "kind: Channel\nmetadata: {name: a}\nspec:\n  requiredCapabilities:\n  - {name: a, version: 1.0}",
            "5:24: `spec.requiredCapabilities.0.version` must be text, not 1.0; put it in quotes",
        ),
        (
            "kind: Agent\nmetadata: {name: a}\nspec: {address: nowhere}",
            "3:17: `spec.address`: 'nowhere' is no address: give HOST:PORT",
        ),
        (
            "kind: Agent\nmetadata: {name: a}\nspec: {address: 'h:70000'}",
            "3:17: `spec.address`: 'h:70000' is no address",
        ),
        (
            "kind: Agent\nmetadata: {name: a}\nspec:\n  providedCapabilities:\n  - {name: b, version: '1'}",
            "5:24: `spec.providedCapabilities.0.version`: '1' is no semantic version",
        ),
        (
            (
                "kind: Agent\nmetadata: {name: a}\n"
                "spec: {address: 'h:1', providedCapabilities: [{name: b, version: 1.0.0}]}"
            ),
            "2:11: an agent with an address needs its version",
        ),
        (
            "kind: Agent\nmetadata: {name: a, labels: {version: 1.0.0}}\nspec: {address: 'h:1'}",
            "3:7: capabilities: there are 0",
        ),
        ("kind: Chanel\nmetadata: {name: a}", "1:7: 'Chanel' is no kind; did you mean 'Channel'?"),
        (
            "kind: ChannelRouting\nmetadata: {name: a}",
            "1:7: ChannelRouting is not read: the mesh works it out by itself",
        ),
        ("metadata: {name: a}", "1:1: `kind` is missing: say Tenant, Channel or Agent"),
        ("- a\n- b", "1:1: a document must be a mapping"),
        ("apiVersion: apps/v1\nkind: Tenant\nmetadata: {name: a}", "1:13: `apiVersion` is 'apps/v1'; say"),
        ("kind: Tenant\nkind: Tenant\nmetadata: {name: a}", "2:1: the key 'kind' stands twice: keep one"),
        ("kind: Tenant\nmetadata: &m {name: a}\nspec: *m", "2:11: an alias (*) is not supported here"),
        ("? [a]\n: b", "1:3: a key must be a plain word"),
        ("kind: [Tenant", "1:14: no YAML: expected ',' or ']'"),
        (
            "kind: Tenant\nmetadata: {name: a}\nspec: {defaultLocale: !!python/object:os.system x}",
            "3:23: no YAML: could not determine a constructor",
        ),
        ("# nothing", "0:0: nothing is declared here"),
    ],
)
def test_what_is_wrong_is_told_with_its_place_and_what_to_do(text: str, problem: str, tmp_path: Path) -> None:
    [told] = problems_of(tmp_path, text)
    assert told.startswith(problem)


def test_all_that_is_wrong_with_all_files_is_told_at_once_in_the_order_of_the_lines(tmp_path: Path) -> None:
    written(tmp_path, "kind: Tenant\nmetadata: {nam: a}\nspec: {x: 1}\n---\nkind: Chanel\n", "a.yaml")
    written(tmp_path, "kind: Tenant\nmetadata: {name: b}\nspec: {y: 1}\n", "sub/b.yml")
    found = [(each.file.rpartition("/")[2], each.line) for each in read_rules([tmp_path]).problems]
    assert found == [("a.yaml", 2), ("a.yaml", 2), ("a.yaml", 3), ("a.yaml", 5), ("b.yml", 3)]


@pytest.mark.parametrize(
    ("second", "problem"),
    [
        ("kind: Tenant\nmetadata: {name: acme}", "7:18: the tenant acme is declared before, at "),
        (
            "kind: Channel\nmetadata: {name: acme-web}\nspec: {channel: app}",
            "7:18: the channel acme-web is declared before",
        ),
        (
            "kind: Channel\nmetadata: {name: other}\nspec: {tenants: [acme], channel: web}",
            "7:11: the subset stable of the channel 'web' of the tenant acme is declared before",
        ),
        ("kind: Agent\nmetadata: {name: bill}\nspec: {}", "7:18: the agent bill is declared before"),
    ],
)
def test_what_is_declared_twice_is_told(second: str, problem: str, tmp_path: Path) -> None:
    first = {
        "Tenant": "kind: Tenant\nmetadata: {name: acme}\n\n\n---\n",
        "Channel": "kind: Channel\nmetadata: {name: acme-web, labels: {tenant: acme, channel: web}}\n\n\n---\n",
        "Agent": "kind: Agent\nmetadata: {name: bill}\nspec: {}\n\n---\n",
    }[second.partition("\n")[0].removeprefix("kind: ")]
    told = problems_of(tmp_path, first + second)
    assert [each for each in told if each.startswith(problem)]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            (
                "kind: Tenant\nmetadata: {name: acme}\nspec:\n  channels:\n  - web\n  - vwr\n---\n"
                "kind: Channel\nmetadata: {name: web}\n---\n"
                "kind: Channel\nmetadata: {name: ivr}"
            ),
            "6:5: there is no channel 'vwr'; did you mean",
        ),
        (
            "kind: Tenant\nmetadata: {name: acme}\n---\nkind: Channel\nmetadata: {name: web, labels: {tenant: acne}}",
            "5:40: there is no tenant 'acne'; did you mean 'acme'?",
        ),
        (
            (
                "kind: Tenant\nmetadata: {name: acme}\n---\n"
                "kind: Agent\nmetadata: {name: a}\nspec: {supportedTenants: [acme, de]}"
            ),
            "6:33: there is no tenant 'de'; declared are acme",
        ),
        (
            (
                "kind: Channel\nmetadata: {name: web}\n---\n"
                "kind: Agent\nmetadata: {name: a}\nspec: {supportedChannels: ['*', sms]}"
            ),
            "6:33: there is no channel 'sms'; declared are web",
        ),
    ],
)
def test_a_name_that_there_is_not_is_told(text: str, problem: str, tmp_path: Path) -> None:
    [told] = problems_of(tmp_path, text)
    assert told.startswith(problem)


def test_names_are_not_looked_up_while_documents_are_missing(tmp_path: Path) -> None:
    # Else one misspelt key of a channel would make a problem of every tenant that uses it.
    text = (
        "kind: Tenant\nmetadata: {name: a}\nspec: {channels: [web]}\n---\n"
        "kind: Channel\nmetadata: {name: x}\n---\n"
        "kind: Channel\nmetadata: {name: web}\nspec: {x: 1}"
    )
    assert [each.partition(":")[0] for each in problems_of(tmp_path, text)] == ["10"]


@pytest.mark.parametrize("name", ["lmos.yaml", ".hidden.yaml", ".git/a.yaml", "..data/a.yaml", "notes.txt"])
def test_what_is_no_declaration_in_a_folder_is_let_be(name: str, tmp_path: Path) -> None:
    written(tmp_path, WHOLE, "rules.yaml")
    written(tmp_path, "nothing: true", name)
    assert read_rules([tmp_path]).problems == ()


def test_a_file_that_is_not_there_or_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    found = [each.message for each in read_rules([tmp_path / "gone.yaml", tmp_path / "binary.yaml"]).problems]
    assert found == ["is no text in UTF-8", "cannot be read: No such file or directory"]


def test_what_is_no_file_or_is_too_large_or_too_deep_is_told_and_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    written(tmp_path, "#" * 5_000_000, "large.yaml")
    written(tmp_path, "[" * 50_000, "deep.yaml")
    (tmp_path / "gone.yaml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.yaml").mkdir()
    found = {each.file.rpartition("/")[2]: each.message for each in read_rules([tmp_path]).problems}
    assert found == {
        "pipe.yaml": "is no file that can be read",
        "large.yaml": "is larger than 4194304 bytes: split it",
        "deep.yaml": "no YAML that can be read: it is nested too deeply",
        "gone.yaml": "cannot be read: No such file or directory",
    }


def test_an_alias_that_contains_itself_ends(tmp_path: Path) -> None:
    assert problems_of(tmp_path, "kind: Tenant\nmetadata: &a\n  name: *a\n") != []


def test_a_mesh_is_told_the_first_problems_in_one_line(tmp_path: Path) -> None:
    text = "kind: Tenant\nmetadata: {name: a}\nspec: {" + ", ".join(f"x{each}: 1" for each in range(14)) + "}"
    with pytest.raises(InvalidConfigurationError, match=r"unknown key 'x0' in `spec`.*; and 4 more$"):
        read_rules([written(tmp_path, text)]).sound_rules()


def test_check_tells_every_problem_on_a_line_and_ends_with_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, "kind: Tenant\nmetadata: {name: a}\nspec: {channls: [web], y: 1}")
    assert run_command(["check", str(file)]) == 2
    said = capsys.readouterr()
    assert said.out.splitlines()[0] == f"{file}:3:8: unknown key 'channls' in `spec`; did you mean 'channels'?"
    assert len(said.out.splitlines()) == 2
    assert said.err == "2 problems in 1 file\n"
    assert run_command(["check", "--json", str(file)]) == 2
    assert json.loads(capsys.readouterr().out.splitlines()[0]) | {"message": ""} == {
        "file": str(file),
        "line": 3,
        "column": 8,
        "message": "",
    }


def test_check_says_what_sound_files_declare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["check", str(written(tmp_path, WHOLE))]) == 0
    assert capsys.readouterr().out == "1 file, all sound: 1 tenants, 1 channels, 1 agents\n"


def test_check_without_anything_to_check_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command(["check"]) == 2
    assert "there is nothing to check: name a FILE or a DIR" in capsys.readouterr().err
    written(tmp_path, "rules: [mesh.d]\n", "lmos.yaml")
    written(tmp_path, WHOLE, "mesh.d/all.yaml")
    assert run_command(["check"]) == 0
    assert run_command(["check", "--config", "mesh.d"]) == 0


def test_the_schema_for_editors_has_every_key_with_its_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["check", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json_schema()
    definitions: dict[str, dict[str, Any]] = json_schema()["$defs"]  # Any: JSON values
    keys = {key: value for each in definitions.values() for key, value in each.get("properties", {}).items()}
    assert {"requiredCapabilities", "supportedChannels", "subsetOverride", "clearOdds"} <= keys.keys()
    assert [key for key, value in keys.items() if not value.get("description")] == []


def test_the_sample_files_are_sound() -> None:
    from pathlib import Path  # noqa: PLC0415 - else only needed for types

    reading = read_rules([Path(__file__).parents[2] / "agents" / "mesh.d"])
    assert reading.problems == ()
    assert len(reading.rules.tenants) == 2
