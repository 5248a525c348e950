"""Our HTTP/2 server against h2spec, the conformance suite of HTTP/2 and HPACK."""

from __future__ import annotations

import asyncio
import re

import pytest

from lmos_grpc.http2 import Http2Server
from tests.fakes.interop_service import add_interop_service
from tests.protocol.go_tool import go_tool

pytestmark = pytest.mark.timeout(300)  # the first run on a machine compiles h2spec

LIMIT_SECONDS = 60


async def test_the_server_keeps_every_rule_that_h2spec_knows() -> None:
    h2spec = go_tool("github.com/summerwind/h2spec/cmd/h2spec", "v2.2.1+incompatible")
    server = Http2Server()
    add_interop_service(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        spec = await asyncio.create_subprocess_exec(
            *(h2spec, "--host", "127.0.0.1", "--port", str(port), "generic", "http2", "hpack"),
            stdout=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(LIMIT_SECONDS):
            printed, _ = await spec.communicate()
    finally:
        await server.stop(0)
    report = printed.decode()
    ran = re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", report)
    assert ran, report
    assert (spec.returncode, ran[3], ran[4]) == (0, "0", "0"), report[report.find("Failures:") :]
    assert int(ran[1]) > 100
