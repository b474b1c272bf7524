"""The bounded queue."""

from __future__ import annotations

import threading
import time

import pytest

from bot.errors import RestartError, WaitedTooLongError
from bot.slack.work import WorkQueue


def fail(error: Exception) -> None:
    raise AssertionError(f"unexpected: {error!r}")


def test_a_full_queue_takes_no_more() -> None:
    work = WorkQueue("test", workers=1, limit=1)
    gate, begun, done = threading.Event(), threading.Event(), []

    def slow() -> None:
        begun.set()
        assert gate.wait(30)
        done.append("slow")

    assert work.submit(slow, on_error=fail)
    assert begun.wait(30)
    assert work.submit(lambda: done.append("waited"), on_error=fail)
    assert not work.submit(lambda: done.append("refused"), on_error=fail)
    gate.set()
    assert work.close(30)
    assert done == ["slow", "waited"]


def test_a_failing_job_reports_and_the_worker_lives_on() -> None:
    work = WorkQueue("test", workers=1, limit=5)
    errors: list[Exception] = []
    done: list[str] = []
    work.submit(lambda: [][0], on_error=errors.append)
    work.submit(lambda: done.append("next"), on_error=fail)
    assert work.close(30)
    assert [type(error) for error in errors] == [IndexError]
    assert done == ["next"]


def test_a_failing_report_does_not_kill_the_worker() -> None:
    work = WorkQueue("test", workers=1, limit=5)
    done: list[str] = []
    work.submit(lambda: [][0], on_error=fail)
    work.submit(lambda: done.append("next"), on_error=fail)
    assert work.close(30)
    assert done == ["next"]


def test_closing_gives_up_on_a_job_that_hangs() -> None:
    work = WorkQueue("test", workers=1, limit=1)
    gate, begun = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        gate.wait(30)

    work.submit(hang, on_error=fail)
    assert begun.wait(30)
    assert not work.close(0.01)
    assert not work.submit(lambda: None, on_error=fail)
    gate.set()


def test_closing_reports_every_job_that_is_not_done() -> None:
    work = WorkQueue("test", workers=1, limit=5)
    gate, begun = threading.Event(), threading.Event()
    left: list[tuple[str, Exception]] = []

    def hang() -> None:
        begun.set()
        gate.wait(30)

    work.submit(hang, on_error=lambda error: left.append(("begun", error)))
    assert begun.wait(30)
    for name in ("second", "third"):
        work.submit(
            lambda: left.append(("done", ValueError())),
            on_error=lambda error, name=name: left.append((name, error)),  # type: ignore[misc]
        )
    assert not work.close(0.01)
    assert sorted(name for name, _ in left) == ["begun", "second", "third"]
    assert all(isinstance(error, RestartError) for _, error in left)
    gate.set()
    assert work.close(30)
    assert len(left) == 3


def test_who_waits_too_long_is_told_while_the_workers_are_busy() -> None:
    work = WorkQueue("test", workers=1, limit=5)
    gate, begun, told = threading.Event(), threading.Event(), threading.Event()
    errors: list[Exception] = []
    done: list[str] = []

    def slow() -> None:
        begun.set()
        assert gate.wait(30)

    def late(error: Exception) -> None:
        errors.append(error)
        told.set()

    work.submit(slow, on_error=fail, until=time.monotonic() + 3600)
    assert begun.wait(30)
    work.submit(lambda: done.append("late"), on_error=late, until=time.monotonic() + 0.05)
    work.submit(lambda: done.append("patient"), on_error=fail)
    assert told.wait(30)
    assert [type(error) for error in errors] == [WaitedTooLongError]
    gate.set()
    assert work.close(30)
    assert done == ["patient"]


def test_closing_an_unused_queue_is_immediate() -> None:
    work = WorkQueue("test", workers=2, limit=1)
    assert work.close(0)
    assert not work.submit(lambda: None, on_error=fail)


def test_no_workers_or_no_room_is_refused() -> None:
    with pytest.raises(ValueError, match="workers=0"):
        WorkQueue("test", workers=0, limit=1)
