"""The bounded queue."""

from __future__ import annotations

import threading

import pytest

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


def test_closing_an_unused_queue_is_immediate() -> None:
    work = WorkQueue("test", workers=2, limit=1)
    assert work.close(0)
    assert not work.submit(lambda: None, on_error=fail)


def test_no_workers_or_no_room_is_refused() -> None:
    with pytest.raises(ValueError, match="workers=0"):
        WorkQueue("test", workers=0, limit=1)
