"""The `lmos` command: the only place that reads the environment and wires the rooms together."""

import os

# uvloop starts processes with fork(), and gRPC's handlers for it crash the child while calls are running
# (https://github.com/grpc/grpc/blob/master/doc/fork_support.md). We only ever exec, so we have no use for them.
# It has to be said before gRPC is loaded.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

from lmos_grpc.cli.app import main

__all__ = ["main"]
