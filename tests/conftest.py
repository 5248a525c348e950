"""What every test gets."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import pytest

from lmos_grpc.rpc import Transport, choose_transport, chosen_transport

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_configure() -> None:
    """The whole suite runs on either transport: `LMOS_TRANSPORT=grpcio pytest`."""
    choose_transport(Transport(os.environ.get("LMOS_TRANSPORT") or Transport.HTTP2))


@pytest.fixture(params=list(Transport))
def each_transport(request: pytest.FixtureRequest) -> Iterator[Transport]:
    """Runs a test once for every transport."""
    before = chosen_transport()
    choose_transport(request.param)
    yield request.param
    choose_transport(before)


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Undoes what a test did to logging, which is one for the whole process."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers
