"""The SQLite file of the turn log: one process opens it, its tables have a version."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lmos_grpc.conversation.group_commit import store_unavailable
from lmos_grpc.errors import EnvironmentFaultError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# How long to wait where somebody looks into the file with a tool of his own.
_BUSY_SECONDS = 2.0
_FOR_THE_OWNER = 0o600
_SCHEMA_VERSION = 2
_SCHEMA = f"""
BEGIN;
CREATE TABLE conversation (
  id INTEGER PRIMARY KEY,
  tenant TEXT NOT NULL,
  conversation_id TEXT NOT NULL,
  channel TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  last_agent TEXT NOT NULL DEFAULT '',
  last_capability TEXT NOT NULL DEFAULT '',
  open_question BLOB NOT NULL DEFAULT x'',
  turn_count INTEGER NOT NULL DEFAULT 0,
  UNIQUE (tenant, conversation_id)
);
CREATE INDEX conversation_by_update ON conversation (updated_at);
-- A number is never given twice, so that a page token stays true when turns are deleted.
CREATE TABLE turn (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  conversation INTEGER NOT NULL REFERENCES conversation ON DELETE CASCADE,
  turn_id TEXT NOT NULL,
  fingerprint BLOB NOT NULL,
  request BLOB NOT NULL,
  responses BLOB NOT NULL DEFAULT x'',
  outcome TEXT,
  created_at INTEGER NOT NULL,
  ended_at INTEGER,
  UNIQUE (conversation, turn_id)
);
CREATE INDEX turn_in_order ON turn (conversation, id);
CREATE INDEX turn_running ON turn (id) WHERE outcome IS NULL;
-- Events that were written together: with dense numbers, one after the other as responses carry them.
CREATE TABLE chunk (
  id INTEGER PRIMARY KEY,
  turn INTEGER NOT NULL REFERENCES turn ON DELETE CASCADE,
  first_sequence INTEGER NOT NULL,
  last_sequence INTEGER NOT NULL,
  events BLOB NOT NULL,
  UNIQUE (turn, first_sequence)
);
PRAGMA user_version = {_SCHEMA_VERSION};
COMMIT;
"""


@contextmanager
def sole_owner(path: Path) -> Iterator[None]:
    """Keeps other processes from opening the log: they would take our running turns for broken ones.

    Raises:
        EnvironmentFaultError: another process has it, or its folder cannot be written.
    """
    try:
        lock = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, _FOR_THE_OWNER)
    except OSError as error:
        raise EnvironmentFaultError(f"cannot write beside {path}: {error}", path=str(path)) from error
    try:
        _lock(lock, path)
        yield
    finally:
        os.close(lock)


def _lock(lock: int, path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise EnvironmentFaultError(
            f"the conversation log {path} is in use by another process: stop that one, or give this one its own file",
            path=str(path),
        ) from error


def open_for_writing(path: Path) -> sqlite3.Connection:
    """The connection of the writer; a write is on the disk when its transaction is committed.

    Raises:
        StoreUnavailableError: the file cannot be opened or is no database.
        EnvironmentFaultError: it cannot be written, or a later version of the software made it.
    """
    connection = _make(path)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        _bring_up_to_date(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise store_unavailable(error) from error
    except EnvironmentFaultError:
        connection.close()
        raise
    return connection


def _make(path: Path) -> sqlite3.Connection:
    try:
        # What people said is for the owner's eyes; the files that SQLite puts beside this one get its mode.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, _FOR_THE_OWNER))
    except OSError as error:
        raise EnvironmentFaultError(f"cannot write {path}: {error}", path=str(path)) from error
    return _connect(path)


def open_for_reading(path: Path) -> sqlite3.Connection:
    """A connection that can only read."""
    connection = _connect(path)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _connect(path: Path) -> sqlite3.Connection:
    # One thread at a time uses it, but not always the one that made it. Transactions are said, never implied.
    return sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def _bring_up_to_date(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > _SCHEMA_VERSION:
        raise EnvironmentFaultError(
            f"the conversation log {path} has version {version}, and this software knows {_SCHEMA_VERSION}: "
            "use the newer software, or give this one its own file",
            path=str(path),
        )
    if 0 < version < _SCHEMA_VERSION:
        raise EnvironmentFaultError(
            f"the conversation log {path} was made by a version of this software before its first release, and its "
            "form has changed since: move the file away, or give this process its own file",
            path=str(path),
        )
    if not version:
        connection.executescript(_SCHEMA)
