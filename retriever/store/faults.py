"""A driver's errors as this package's errors, with the database and the next step named."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from retriever.errors import SchemaError, StorageFullError, StoreError

#: What :func:`translate` understands.
DRIVER_ERRORS = (DBAPIError, sqlite3.Error, PoolTimeoutError)

_UPGRADE = "run: spanbot db upgrade"

# PostgreSQL's SQLSTATE codes.
_DISK_FULL = "53100"
_UNDEFINED_TABLE = "42P01"
_READ_ONLY = "25006"
_BUSY = {"40001", "40P01", "55P03", "53300"}


def missing(store: str) -> SchemaError:
    """The error for a database that was never made."""
    return SchemaError(f"there is no database at {store}; {_UPGRADE}")


def behind(store: str, revision: str | None, needed: str) -> SchemaError:
    """The error for a schema that is older than this program."""
    if revision is None:
        has, then = "it has no tables yet", _UPGRADE
    else:  # an upgrade goes one way
        has = f"its schema is at revision {revision}"
        then = f"{_UPGRADE} (it saves a copy of an SQLite file first)"
    return SchemaError(
        f"the database {store} is behind: {has}, this spanbot needs {needed}; {then}"
    )


def newer(store: str, revision: str) -> SchemaError:
    """The error for a schema that this program does not know."""
    return SchemaError(
        f"the database {store} was written by a newer spanbot (revision {revision}); update spanbot"
    )


def translate(
    error: BaseException, *, store: str, path: Path | None, reading: bool
) -> StoreError | None:
    """Our error for a driver's error; ``None`` where the statement is wrong, not the storage.

    Args:
        error: what was raised.
        store: the database as messages name it.
        path: its file, if it is one.
        reading: whether this was a session that may only read.
    """
    problem = _translate_one(error, store=store, path=path, reading=reading)
    # A full disk takes the whole transaction away; the rollback to a savepoint in it then fails
    # in turn, and hides why. What a caller was handling before all that is not looked at.
    link = error.__context__ if "no such savepoint" in str(error) else None
    while problem is None and link is not None:
        problem = _translate_one(link, store=store, path=path, reading=reading)
        link = link.__context__
    return problem


def translate_os_error(error: OSError, *, store: str, folder: Path) -> StoreError:
    """Our error for a folder or file that cannot be made."""
    reason = error.strerror or str(error)
    if error.errno == errno.ENOSPC:
        return full(store)
    return StoreError(
        f"the database {store} cannot be made: {folder} is not writable ({reason}); "
        "check its permissions or name another place"
    )


def full(store: str) -> StorageFullError:
    """The error for a disk without space."""
    return StorageFullError(
        f"the disk that holds {store} is full, nothing was written; free some space and try again"
    )


def _translate_one(
    error: BaseException, *, store: str, path: Path | None, reading: bool
) -> StoreError | None:
    if isinstance(error, PoolTimeoutError):
        return _busy(store)
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite3.Error):
        return _from_sqlite(cause, store=store, path=path, reading=reading)
    if isinstance(error, DBAPIError):
        return _from_server(error, store=store)
    return None


def _busy(store: str) -> StoreError:
    return StoreError(f"the database {store} is busy with another writer; try again")


def _from_sqlite(
    error: sqlite3.Error, *, store: str, path: Path | None, reading: bool
) -> StoreError | None:
    extended: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    code = extended & 0xFF  # the rest of the bits only say more about the same
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _no_space(path)):
        return full(store)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL):
        return _busy(store)
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return StoreError(
            f"{store} is not a database or is damaged ({error}); restore a backup of it"
        )
    if reading and extended == sqlite3.SQLITE_READONLY:
        return StoreError(f"{store}: a session of read() tried to write ({error})")
    if code == sqlite3.SQLITE_CANTOPEN and path is not None and not path.exists():
        return missing(store)
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN):
        return StoreError(
            f"{store} or its folder is not writable, or not readable ({error}); "
            "check the permissions of both"
        )
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM):
        return StoreError(f"the database {store} cannot be read or written: {error}")
    if str(error).startswith("no such table"):
        return SchemaError(f"the database {store} has no tables of this spanbot's; {_UPGRADE}")
    return None


def _no_space(path: Path | None) -> bool:
    """SQLite reports a full disk as an I/O error where its shared memory file cannot grow."""
    if path is None:
        return False
    try:
        facts = os.statvfs(path.parent)
    except OSError:
        return False
    return facts.f_bavail * facts.f_frsize < 64 * 1024


def _from_server(error: DBAPIError, *, store: str) -> StoreError | None:
    state = getattr(error.orig, "sqlstate", None)
    first_line = str(error.orig).partition("\n")[0]
    if state == _DISK_FULL:
        return full(store)
    if state == _UNDEFINED_TABLE:
        return SchemaError(f"the database {store} has no tables of this spanbot's; {_UPGRADE}")
    if state == _READ_ONLY:
        return StoreError(f"the database {store} is not writable in this session ({first_line})")
    if state in _BUSY:
        return _busy(store)
    if isinstance(error, OperationalError | InterfaceError):
        return StoreError(f"the database {store} cannot be reached: {first_line}")
    return None
