"""Whatever stands in a file of declarations, it is rules or problems with a place, and never anything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lmos_grpc.declarations import read_rules

if TYPE_CHECKING:
    from pathlib import Path

KEYS = (
    *("apiVersion", "kind", "metadata", "spec", "status", "name", "labels", "id", "version", "strategy", "weights"),
    *("channels", "tenants", "requiredCapabilities", "supportedChannels", "providedCapabilities", "examples", "limits"),
    *("fallback", "text", "thresholds", "address", "turnBudget", "policy", "lane", "subset", "tenant", "channel"),
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(("Tenant", "Channel", "Agent", "a", "1.0.0", "^1.0.0", "30s", "h:1", "stable", "lmos.eclipse/v1")),
)
keys = st.sampled_from(KEYS) | st.text(max_size=3)
values = st.recursive(
    scalars,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(keys, below, max_size=4),
    max_leaves=12,
)
documents = st.fixed_dictionaries(
    {"kind": st.sampled_from(("Tenant", "Channel", "Agent", "Chanel")), "metadata": values, "spec": values}
)


def check(folder: Path, text: str) -> None:
    file = folder / "rules.yaml"
    file.write_text(text, "utf-8", newline="")
    reading = read_rules([file])
    lines = text.count("\n") + text.count("\r") + text.count("\x85") + text.count("\u2028") + text.count("\u2029") + 2
    for problem in reading.problems:
        assert problem.message
        assert 0 <= problem.line <= lines
        assert (problem.line == 0) is (problem.column == 0)


@given(st.text(st.characters(codec="utf-8"), max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text(tmp_path: Path, text: str) -> None:
    check(tmp_path, text)


@given(st.lists(documents | values, max_size=3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_documents(tmp_path: Path, found: list[Any]) -> None:  # Any: YAML values
    check(tmp_path, yaml.safe_dump_all(found))
