"""Has the real Envoy check the bootstrap, with and without what is optional in it.

Usage: python tools/validate_envoy.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from lmos_grpc.control_plane.bootstrap import EnvoySettings, render_bootstrap
from lmos_grpc.control_plane.envoy_process import find_envoy

PLAIN = EnvoySettings(
    orchestrator=("127.0.0.1:9001",),
    discovery=("127.0.0.1:9002", "127.0.0.1:9003"),
    conversation=("127.0.0.1:9001",),
    reflection=("127.0.0.1:9001",),
    ads=("127.0.0.1:9004",),
)


def main() -> int:
    """Validate each variant; say what Envoy says where it minds."""
    with tempfile.TemporaryDirectory() as scratch:
        full = replace(
            PLAIN,
            express=("127.0.0.1:9005",),
            otlp="127.0.0.1:4317",
            access_log=Path(scratch) / "access.json",
            allowed_origins=("https://a.example",),
        )
        secure = replace(PLAIN, otlp="https://otlp.example:4317", sampling=0.1, allowed_origins=("*", "local"))
        variants = (("plain", PLAIN), ("full", full), ("secure", secure))
        return max(_validate(name, settings, Path(scratch)) for name, settings in variants)


def _validate(name: str, settings: EnvoySettings, scratch: Path) -> int:
    bootstrap = scratch / f"{name}.yaml"
    bootstrap.write_text(render_bootstrap(settings), "utf-8")
    command = [str(find_envoy()), "--mode", "validate", "--log-level", "error", "--config-path", str(bootstrap)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    said = checked.stdout + checked.stderr
    # Envoy only warns of a field that is deprecated or ignored.
    bad = checked.returncode != 0 or "deprecated" in said.lower()
    print(
        f"envoy bootstrap, {name}: {'refused' if bad else 'valid'}", *([said] if bad else []), sep="\n" if bad else ""
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
