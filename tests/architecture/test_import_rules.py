"""The tree is the architecture: who may import whom, and what every room shows at its door."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = sorted(path.parent for path in (ROOT / "lmos_grpc").glob("*/__init__.py"))
TOUCHES_THE_WIRE = {"wire", "clients", "sdk", "rpc"}


def imports_of(path: Path) -> set[str]:
    """The modules that a file imports, as written."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


def test_rooms_import_downwards_only() -> None:
    # In a process of its own: the linter reconfigures logging for the process that it runs in.
    linter = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_generated_code_is_touched_only_at_the_edges() -> None:
    strangers = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "lmos_grpc").rglob("*.py")
        if any(name == "lmos" or name.startswith("lmos.") for name in imports_of(path))
        and path.name not in {"service.py", "wire.py"}
        and not path.name.endswith("_client.py")
        and path.relative_to(ROOT / "lmos_grpc").parts[0] not in TOUCHES_THE_WIRE
    ]
    assert strangers == []


def test_agents_use_the_public_sdk_only() -> None:
    inside = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / "agents").rglob("*.py")
        for name in imports_of(path)
        if name.startswith("lmos_grpc.")
    ]
    assert inside == []


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_every_room_has_a_sign(room: Path) -> None:
    assert ast.get_docstring(ast.parse((room / "__init__.py").read_text()))
