"""`python -m lmos_grpc.cli` is `lmos`."""

from lmos_grpc.cli.app import main

main()
