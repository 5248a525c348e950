"""The `lmos` command: the only place that reads the environment and wires the rooms together."""

from lmos_grpc.cli.app import main

__all__ = ["main"]
