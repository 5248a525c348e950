"""Programs in Go that test a protocol: built once on a machine, through the module proxy."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.mesh.foreign_tool import tool

_CACHE = Path(__file__).resolve().parents[2] / ".cache" / "go-tools"


def go_tool(package: str, version: str) -> Path:
    """The program of a Go package, by its last name. Without Go or a network the test is skipped.

    It fails instead where LMOS_TEST_REQUIRE names `go`.
    """
    go = tool("go")
    place = _CACHE / f"{package.replace('/', '-')}-{version}"
    program = place / package.rpartition("/")[2]
    if program.exists():
        return program
    install = subprocess.run(
        [go, "install", f"{package}@{version}"],
        env={**os.environ, "GOBIN": str(place), "GOFLAGS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    if install.returncode:
        reason = f"{package} cannot be built: {install.stderr.strip()[-300:]}"
        if "go" in os.environ.get("LMOS_TEST_REQUIRE", "").split(","):
            pytest.fail(reason)
        pytest.skip(reason)
    return program
