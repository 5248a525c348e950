"""The rules as a part of a mesh: read at the start, kept in step with their files, and told of."""

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from lmos_grpc.cli.mesh.agents_by_proxy import AgentsByProxy
from lmos_grpc.cli.mesh.rules_note import RulesNote, noted_rules
from lmos_grpc.cli.running import beside
from lmos_grpc.clients.discovery_client import DiscoveryClient
from lmos_grpc.declarations import RulesWatch
from lmos_grpc.rpc import open_channel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path

    from lmos_grpc.domain.rules import Rules
    from lmos_grpc.routing import Router
    from lmos_grpc.telemetry import Metrics


@asynccontextmanager
async def rules_in_force(
    paths: Sequence[Path], router: Router, discovery: str, state: Path, metrics: Metrics
) -> AsyncIterator[None]:
    """Keeps the router to the rules of these files while the block runs; SIGHUP reads them at once. No files: no rules.

    Raises:
        InvalidConfigurationError: something is wrong with the files at the start.
    """
    if not paths:
        yield
        return
    async with open_channel(discovery) as channel:
        agents = AgentsByProxy(DiscoveryClient(channel))

        def use(rules: Rules) -> None:
            router.use(rules)
            agents.use(rules)

        with noted_rules(state) as note:

            def tell(watch: RulesWatch) -> None:
                metrics.rules_read(sound=not watch.problems)
                note(RulesNote(watch.summary, watch.in_force_since, tuple(map(str, watch.problems))))

            watch = RulesWatch(paths, use, told=tell)
            watch.start()
            with _reloaded_on_hangup(watch):
                async with beside(watch.run(), agents.run()):
                    yield


@contextmanager
def _reloaded_on_hangup(watch: RulesWatch) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, watch.reload)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
