"""The database: its connections, its transactions, its schema and its backup.

SQLite is used in write-ahead mode: readers work on the snapshot they began with and never wait,
writers come one at a time. Any other database goes through SQLAlchemy as it is.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    NullPool,
    QueuePool,
    create_engine,
    event,
    inspect,
    make_url,
)
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.orm import Session

from retriever.errors import StoreError
from retriever.store import faults, schema

_BUSY_TIMEOUT_S = 10.0
_PASSWORD = re.compile(r"(?<=:)[^:/@][^@]*(?=@)")
_WAL_LIMIT_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class _Engines:
    reader: Engine
    writer: Engine
    migrator: Engine


class Database:
    """A database by its URL, e.g. ``sqlite:////srv/spanbot/spanbot.db``.

    Nothing is opened or created before it is used, and no file before :meth:`upgrade`. One object
    serves all threads of a process; a forked process makes its own. ``?mode=ro`` at the end of a
    SQLite URL opens a file that is never written.

    Args:
        url: an SQLAlchemy URL. A relative path is taken from the current folder, now.
        busy_timeout: seconds to wait for another writer before giving up.

    Raises:
        StoreError: the URL is none, or names no file.
    """

    def __init__(self, url: str, *, busy_timeout: float = _BUSY_TIMEOUT_S) -> None:
        try:
            parsed = make_url(url)
        except (ArgumentError, ValueError) as error:  # the latter by a port that is no number
            shown = _PASSWORD.sub("***", url)
            raise StoreError(
                f'"{shown}" is not a database URL; write one like sqlite:////srv/spanbot/spanbot.db'
            ) from error
        #: The file, where the database is one.
        self.path: Path | None = None
        #: As messages show it; the query may hold a password too.
        self.name = parsed.set(query={}).render_as_string(hide_password=True)
        self._engines: _Engines | StoreError
        if parsed.get_backend_name() == "sqlite":
            self.path = _sqlite_path(parsed)
            self.name = str(self.path)
            mode = str(parsed.query.get("mode", "rw"))
            self._connect = partial(_connect_sqlite, self.path, mode, busy_timeout)
            self._engines = _sqlite_engines(self._connect, busy_timeout)
        else:
            self._engines = _server_engines(parsed, self.name)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one state of the database throughout, and cannot write.

        Raises:
            StoreError: the database cannot be opened or read, or something was written.
            SchemaError: it does not exist.
        """
        with self._session(self._ready().reader, reading=True) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session whose changes are committed at the end, all of them, or none on an error.

        On SQLite no other session writes from its beginning on, so what is read in it is still
        true when it is written. Keep it short: others wait for it, ``busy_timeout`` at most.

        Raises:
            StorageFullError: the disk is full.
            StoreError: the database cannot be opened or written, or another writer took too long.
            SchemaError: it does not exist.
        """
        with self._session(self._ready().writer, reading=False) as session:
            yield session

    def is_new(self) -> bool:
        """Whether this is a file that does not exist, or has no tables yet: another process may
        be about to make them, or was ended before it had.

        Raises:
            StoreError: the file is no database, or cannot be read.
        """
        if self.path is None:
            return False
        if not self.path.exists():
            return True
        with self._translated(reading=True), self._ready().reader.connect() as connection:
            return not inspect(connection).get_table_names()

    def check_schema(self, *, older: bool = False) -> None:
        """Make sure that the schema is the one this program works with.

        Args:
            older: one that :meth:`upgrade` would bring up to date will do too, as for a copy.

        Raises:
            SchemaError: there is no database, or it is behind; or it is newer than this program.
            StoreError: the database cannot be read.
        """
        with self._translated(reading=True), self._ready().reader.connect() as connection:
            schema.check(connection, self.name, older=older)

    def upgrade(self, *, first: Callable[[str], object] | None = None) -> tuple[str | None, str]:
        """Bring the schema to this program's, in one transaction; make the database if need be.

        Several processes may do this at once: the first one does the work, and the others wait for
        it, on SQLite as long as for any writer.

        Args:
            first: called with the revision of a database that is older than this program, before
                anything is changed, as for a :meth:`backup`: on SQLite nobody else writes from
                then on until the upgrade is done. What it raises leaves all as it was.

        Returns:
            The revision before, ``None`` for a new database, and after.

        Raises:
            SchemaError: the database is newer than this program; nothing is changed.
            StoreError: it cannot be made or written, or is another program's.
        """
        self._ready()
        if self.path is not None and not self.path.exists():
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.path.touch()
            except OSError as error:
                raise faults.translate_os_error(
                    error, store=self.name, folder=self.path.parent
                ) from error
        with self.migrating() as connection:
            return schema.upgrade(connection, self.name, first=first)

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """A connection in a transaction in which the schema may be changed.

        On SQLite it alone writes, and foreign keys are not enforced: a table that is rebuilt there
        would otherwise take every row that refers to it along.
        """
        with self._translated(reading=False), self._ready().migrator.begin() as connection:
            yield connection

    def backup(self, target: Path, *, remedy: str = "check its folder, or name another") -> None:
        """Write a copy of the database, as it is at this moment, to a new file.

        Others may read and write meanwhile. ``target`` appears when it is complete, or not at all,
        and may be read by whoever may read the database.

        Args:
            remedy: what is to be done where ``target`` cannot be written, as the error says it.

        Raises:
            StorageFullError: the disk that ``target`` is to be on is full.
            StoreError: ``target`` exists, or cannot be written; or the database is no SQLite file.
        """
        if self.path is None:
            self._ready()
            raise StoreError(f"{self.name} is not an SQLite file; back it up with pg_dump")
        target = target.absolute()
        if os.path.lexists(target):
            raise StoreError(f"{target} exists; name a new file for the backup")
        if not self.path.exists():
            raise faults.missing(self.name)
        try:
            handle, name = tempfile.mkstemp(
                prefix=f".{target.name}.", suffix=".part", dir=target.parent
            )
            os.close(handle)
        except OSError as error:
            raise _backup_os_error(target, error, remedy) from error
        part = Path(name)
        try:
            shutil.copymode(self.path, part)
            with self._translated(reading=True), closing(self._connect()) as connection:
                try:
                    connection.execute("VACUUM INTO ?", (name,))
                except sqlite3.OperationalError as error:
                    code = error.sqlite_errorcode & 0xFF
                    if code == sqlite3.SQLITE_FULL:
                        raise faults.full(str(target)) from error
                    # Of a copy that is larger than SQLite's cache, it does not tell whether
                    # reading or writing failed.
                    if code == sqlite3.SQLITE_IOERR:
                        reason = f"{error}, there or where {self.name} is"
                        raise _backup_error(target, reason, remedy) from error
                    raise
            _sync(part)  # VACUUM INTO leaves that to its caller
            _move_to_new(part, target)
            _sync(target.parent)
        except OSError as error:
            raise _backup_os_error(target, error, remedy) from error
        finally:
            part.unlink(missing_ok=True)
            # SQLite keeps it where it could not roll back on a disk that fails.
            part.with_name(f"{part.name}-journal").unlink(missing_ok=True)

    def close(self) -> None:
        """Close every connection. The object may be used again; it then opens new ones."""
        if isinstance(self._engines, _Engines):
            for engine in (self._engines.reader, self._engines.writer, self._engines.migrator):
                engine.dispose()

    def _ready(self) -> _Engines:
        if isinstance(self._engines, StoreError):
            raise self._engines
        return self._engines

    @contextmanager
    def _session(self, engine: Engine, *, reading: bool) -> Iterator[Session]:
        with (
            self._translated(reading=reading),
            Session(engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            session.connection()  # begin now, not at the first statement
            yield session

    @contextmanager
    def _translated(self, *, reading: bool) -> Iterator[None]:
        try:
            yield
        except faults.DRIVER_ERRORS as error:
            problem = faults.translate(error, store=self.name, path=self.path, reading=reading)
            if problem is None:
                raise
            raise problem from error


def _sqlite_path(url: URL) -> Path:
    database = url.database
    wrong = set(url.query) - {"mode"} or url.query.get("mode", "rw") not in ("ro", "rw")
    if not database or database == ":memory:" or database.startswith("file:") or wrong:
        raise StoreError(
            f'"{url}" does not name a database file; '
            "write sqlite:////absolute/path/spanbot.db, with ?mode=ro for one that is only read"
        )
    return Path(database).absolute()


def _connect_sqlite(
    path: Path,
    mode: str,
    busy_timeout: float,
    *,
    query_only: bool = False,
    foreign_keys: bool = True,
) -> sqlite3.Connection:
    # By URI, because mode=rw opens a file and never makes one. Without an isolation level the
    # driver begins no transactions of its own accord; see _engine_for.
    connection = sqlite3.connect(
        f"file:{quote(os.fsencode(path))}?mode={mode}",
        uri=True,
        timeout=busy_timeout,
        isolation_level=None,
        check_same_thread=False,  # the pool lends a connection to one thread at a time
    )
    try:
        if not query_only and mode == "rw":
            _prefer_write_ahead(connection)
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(f"PRAGMA journal_size_limit={_WAL_LIMIT_BYTES}")
        connection.execute(f"PRAGMA foreign_keys={'ON' if foreign_keys else 'OFF'}")
        connection.execute(f"PRAGMA query_only={'ON' if query_only else 'OFF'}")
    except BaseException:
        connection.close()
        raise
    return connection


def _prefer_write_ahead(connection: sqlite3.Connection) -> None:
    """The file remembers the mode, but a restored backup comes without it."""
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.OperationalError as error:
        # Another process is at work in the old mode, or the file cannot be written. Transactions
        # are safe in either mode, and say themselves what they cannot do.
        tolerated = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY)
        if error.sqlite_errorcode & 0xFF not in tolerated:
            raise


def _sqlite_engines(connect: Callable[..., sqlite3.Connection], busy_timeout: float) -> _Engines:
    reader = create_engine(
        "sqlite://",
        creator=partial(connect, query_only=True),
        poolclass=QueuePool,
        pool_size=8,
        max_overflow=24,
        hide_parameters=True,  # error messages reach logs, documents must not
    )
    # One connection, as there is one writer anyway: the threads of a process then wait for each
    # other in order, and only processes meet in SQLite's polling.
    writer = create_engine(
        "sqlite://",
        creator=connect,
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=busy_timeout,
        hide_parameters=True,
    )
    migrator = create_engine(
        "sqlite://",
        creator=partial(connect, foreign_keys=False),
        poolclass=NullPool,
        hide_parameters=True,
    )
    # A deferred transaction that reads and then writes fails when another wrote in between, and no
    # timeout helps it; one that says so at once waits for its turn.
    event.listen(reader, "begin", partial(_begin, "BEGIN"))
    event.listen(writer, "begin", partial(_begin, "BEGIN IMMEDIATE"))
    event.listen(migrator, "begin", partial(_begin, "BEGIN IMMEDIATE"))
    return _Engines(reader, writer, migrator)


def _begin(statement: str, connection: Connection) -> None:
    connection.exec_driver_sql(statement)


def _server_engines(url: URL, name: str) -> _Engines | StoreError:
    try:
        engine = create_engine(url, pool_pre_ping=True, hide_parameters=True)
    except NoSuchModuleError as error:
        raise StoreError(
            f'"{name}": there is no such kind of database as {url.drivername}; write one like '
            "sqlite:////srv/spanbot/spanbot.db or postgresql+psycopg://user@host/spanbot"
        ) from error
    except ModuleNotFoundError as error:
        needed = '"psycopg[binary]"' if url.get_backend_name() == "postgresql" else error.name
        return StoreError(
            f"{name} needs the Python module {error.name}, which is not installed; "
            f"run: pip install {needed}"
        )
    reader = engine
    if engine.dialect.name == "postgresql":
        reader = engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
    return _Engines(reader, engine, engine)


def _backup_os_error(target: Path, error: OSError, remedy: str) -> StoreError:
    if isinstance(error, FileExistsError):
        return StoreError(f"{target} exists; name a new file for the backup")
    if error.errno == errno.ENOSPC:
        return faults.full(str(target))
    return _backup_error(target, error.strerror or str(error), remedy)


def _backup_error(target: Path, reason: str, remedy: str) -> StoreError:
    return StoreError(f"the backup {target} cannot be written: {reason}; {remedy}")


def _move_to_new(part: Path, target: Path) -> None:
    """Give a file its name; a file that has that name by now stays as it is."""
    try:
        target.hardlink_to(part)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        part.rename(target)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
