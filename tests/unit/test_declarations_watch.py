"""Rules follow their files: sound ones come into force as a whole, and wrong ones leave in force what was."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from lmos_grpc.declarations import RulesWatch
from lmos_grpc.errors import InvalidConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from lmos_grpc.domain.rules import Rules

SOUND = "kind: Tenant\nmetadata: {{name: {}}}\n"
WRONG = "kind: Tenant\nmetadata: {name: x}\nspec: {y: 1}\n"
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@dataclass
class Watched:
    """A watch whose clock the test moves, and what it has put in force."""

    folder: Path
    in_force: list[list[str]] = field(default_factory=list)
    told: list[int] = field(default_factory=list)
    hours: int = 0

    def __post_init__(self) -> None:
        self.watch = RulesWatch(
            [self.folder],
            self.use,
            told=lambda watch: self.told.append(len(watch.problems)),
            now=lambda: NOON + timedelta(hours=self.hours),
        )

    def use(self, rules: Rules) -> None:
        self.in_force.append(sorted(rules.tenants))

    def write(self, text: str, name: str = "rules.yaml") -> None:
        (self.folder / name).write_text(text, "utf-8")


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    (tmp_path / "rules.yaml").write_text(SOUND.format("one"), "utf-8")
    watched = Watched(tmp_path)
    watched.watch.start()
    return watched


async def test_nothing_is_read_again_while_nothing_changes(watched: Watched) -> None:
    await watched.watch.look()
    await watched.watch.look()
    assert watched.in_force == [["one"]]
    assert watched.told == [0]


async def test_a_changed_a_new_and_a_removed_file_come_into_force(watched: Watched) -> None:
    watched.write(SOUND.format("three"))
    await watched.watch.look()
    watched.write(SOUND.format("two"), "more.yml")
    await watched.watch.look()
    (watched.folder / "rules.yaml").unlink()
    await watched.watch.look()
    assert watched.in_force == [["one"], ["three"], ["three", "two"], ["two"]]


async def test_a_file_that_is_put_in_the_place_of_another_is_noticed_though_time_and_size_are_the_same(
    watched: Watched,
) -> None:
    before = (watched.folder / "rules.yaml").stat()
    watched.write(SOUND.format("two"), "new.txt")
    os.utime(watched.folder / "new.txt", ns=(before.st_atime_ns, before.st_mtime_ns))
    (watched.folder / "new.txt").replace(watched.folder / "rules.yaml")
    await watched.watch.look()
    assert watched.in_force == [["one"], ["two"]]


async def test_a_mounted_config_map_that_is_swapped_is_noticed(tmp_path: Path) -> None:
    # Kubernetes shows files as links through `..data`, which it moves to another folder all at once.
    for name in ("one", "two"):
        (tmp_path / f"..{name}").mkdir()
        (tmp_path / f"..{name}" / "rules.yaml").write_text(SOUND.format(name), "utf-8")
    (tmp_path / "..data").symlink_to("..one")
    (tmp_path / "rules.yaml").symlink_to("..data/rules.yaml")
    watched = Watched(tmp_path)
    watched.watch.start()
    (tmp_path / "..next").symlink_to("..two")
    (tmp_path / "..next").replace(tmp_path / "..data")
    await watched.watch.look()
    assert watched.in_force == [["one"], ["two"]]


async def test_a_wrong_file_leaves_the_rules_in_force_and_says_so_until_it_is_mended(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.hours = 1
    watched.write(WRONG)
    with caplog.at_level(logging.ERROR):
        await watched.watch.look()
        await watched.watch.look()
    assert watched.in_force == [["one"]]
    assert watched.watch.in_force_since == NOON
    [line] = caplog.messages
    assert line.startswith("the rules stay as they were: ")
    assert "rules.yaml:3:8: unknown key 'y' in `spec`" in line
    assert [str(each) for each in watched.watch.problems] == [line.partition(": ")[2]]
    watched.write(SOUND.format("mended"))
    await watched.watch.look()
    assert watched.in_force == [["one"], ["mended"]]
    assert watched.watch.problems == ()
    assert watched.watch.in_force_since == NOON + timedelta(hours=1)
    assert watched.told == [0, 1, 0]


async def test_a_folder_that_is_emptied_or_gone_does_not_lift_the_rules(watched: Watched) -> None:
    (watched.folder / "rules.yaml").unlink()
    await watched.watch.look()
    watched.folder.rmdir()
    await watched.watch.look()
    assert watched.in_force == [["one"]]
    assert watched.told == [0, 1, 1]


def test_a_mesh_does_not_start_with_wrong_rules(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(WRONG, "utf-8")
    watched = Watched(tmp_path)
    with pytest.raises(InvalidConfigurationError, match="unknown key 'y'"):
        watched.watch.start()
    assert watched.in_force == []


@asynccontextmanager
async def running(watch: RulesWatch) -> AsyncIterator[None]:
    task = asyncio.create_task(watch.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def until(watched: Watched, in_force: list[str], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while watched.in_force[-1] != in_force:  # noqa: ASYNC110 - the watch sets no event of ours
            await asyncio.sleep(0.01)


async def test_it_looks_by_itself(watched: Watched) -> None:
    async with running(watched.watch):
        watched.write(SOUND.format("two"))
        await until(watched, ["two"])


async def test_it_reads_at_once_when_it_is_told_to_changed_or_not(watched: Watched) -> None:
    async with running(watched.watch):
        count = len(watched.in_force)
        watched.watch.reload()
        async with asyncio.timeout(10):
            while len(watched.in_force) == count:  # noqa: ASYNC110 - the watch sets no event of ours
                await asyncio.sleep(0.01)
