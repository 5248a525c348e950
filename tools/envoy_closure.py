"""Dumps the descriptors of the Envoy messages that the mesh reads and writes, with everything that they import.

Usage: python tools/envoy_closure.py

The `xds-protos` package overwrites files of others (grpc/grpc#42926), so it lives in an environment of its own here,
and the product ships one descriptor file instead.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLCHAIN = ROOT / ".cache" / "envoy-closure"
REQUIREMENT = "xds-protos==1.85.0"
TARGET = ROOT / "lmos_grpc" / "envoy_api" / "envoy_descriptors.binpb"

# Runs inside the toolchain: importing a module registers its file, whose dependencies are then followed.
DUMP = """
import sys
from google.protobuf import descriptor_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from envoy.service.discovery.v3 import discovery_pb2

closure = {}

def visit(file):
    if file.name not in closure:
        for dependency in file.dependencies:
            visit(dependency)
        closure[file.name] = file

for root in (cluster_pb2, http_protocol_options_pb2, discovery_pb2):
    visit(root.DESCRIPTOR)
files = descriptor_pb2.FileDescriptorSet()
for file in closure.values():
    file.CopyToProto(files.file.add())
sys.stdout.buffer.write(files.SerializeToString(deterministic=True))
"""


def main() -> int:
    """Write the closure."""
    python = TOOLCHAIN / "bin" / "python"
    if not python.exists():
        venv.create(TOOLCHAIN, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", REQUIREMENT], check=True)
    dumped = subprocess.run([python, "-c", DUMP], check=True, capture_output=True).stdout
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_bytes(dumped)
    print(f"{TARGET.relative_to(ROOT)}: {len(dumped):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
